"""The student's step in ONNX Runtime, one thread, against a window pass in torch; and its training rate."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Entry, seconds_of
from envs.registry import make_env
from policies.export import export_student
from policies.file import PolicyFile
from policies.transformer import Transformer, TransformerCfg
from robolearn import schema
from robolearn.export import record_sensors


def run(quick: bool = False) -> list[Entry]:
    """The paper's size and the demo's."""
    demo = schema.load("go1-velocity-flat").student.network
    entries: list[Entry] = []
    for cfg in (TransformerCfg(), demo):
        entries += _step(cfg, quick)
    return [*entries, *_training(TransformerCfg(), quick)]


def _step(cfg: TransformerCfg, quick: bool) -> list[Entry]:
    env = make_env("go1-velocity-flat", num_worlds=1, num_threads=1)
    net = Transformer(env.spec.observation_dim, env.spec.action_dim, cfg).eval()
    size, count = f"{cfg.width} x {cfg.layers}", 100 if quick else 3000
    with tempfile.TemporaryDirectory() as folder:
        file = export_student(net, env.spec, record_sensors(env, net, 20), {}, Path(folder) / "policy.onnx")
        times = _times(file, count)
    torch.set_num_threads(1)
    window = torch.randn(1, cfg.window, env.spec.observation_dim)
    with torch.no_grad():
        torch_seconds = seconds_of(lambda: net(window, net.start(1)), 20 if quick else 200)
    weights = [p.detach() for p in net.parameters() if p.ndim == 2]
    vectors = {w.shape[1]: torch.randn(w.shape[1]) for w in weights}
    limit = seconds_of(lambda: [torch.mv(w, vectors[w.shape[1]]) for w in weights], 20 if quick else 500) * 1e6
    median, p99 = np.percentile(times, (50, 99))
    return [
        Entry(name=f"student step {size}, ONNX Runtime, median", value=float(median), unit="us",
              against=f"{cfg.window}-token window pass in torch", ratio=float(median) / (torch_seconds * 1e6)),
        Entry(name=f"student step {size}, ONNX Runtime, p99", value=float(p99), unit="us"),
        Entry(name=f"student step {size}, over its limit", value=float(median), unit="us",
              against="its weights times vectors, one thread", ratio=float(median) / limit),
    ]  # fmt: skip


def _times(file: PolicyFile, count: int) -> np.ndarray:
    observation = file.golden.observation
    times = np.zeros(count)
    for index in range(count + 100):
        row = observation[index % len(observation)]
        begin = time.perf_counter()
        file.act(row)
        if index >= 100:
            times[index - 100] = (time.perf_counter() - begin) * 1e6
    return times


def _training(cfg: TransformerCfg, quick: bool) -> list[Entry]:
    """Forward, backward and Adam over 256 worlds x 16 tokens."""
    torch.set_num_threads(1 if quick else 2)
    worlds, tokens, size = 8 if quick else 256, 16, 48
    net = Transformer(size, 12, cfg)
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    observation, target = torch.randn(worlds, tokens, size), torch.randn(worlds, tokens, 12)
    memory = net.start(worlds)

    def once() -> None:
        loss = (net(observation, memory)[0] - target).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    once()
    seconds = seconds_of(once, 2 if quick else 8)
    parameters = sum(p.numel() for p in net.parameters())
    a, b = torch.randn(4096, 192), torch.randn(384, 192)
    rate = 2 * 4096 * 192 * 384 / seconds_of(lambda: torch.nn.functional.linear(a, b), 20)
    limit = rate / (6 * parameters)
    value = worlds * tokens / seconds
    against = "its matrix products at the measured matrix rate"
    return [Entry(name=f"student training {cfg.width} x {cfg.layers}", value=value, unit="tokens/s", against=against, ratio=value / limit)]
