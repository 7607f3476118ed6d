"""A step of the student as the robot runs it, against a pass over a whole window in torch; and how fast such a network trains.

The step is `PolicyFile.act`: ONNX Runtime, one thread, bound inputs and outputs, one token and its key-value cache. The pass is what a
policy without a cache costs: 16 tokens through the same network in torch, also on one thread.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Entry, Options, alternate, entry, median, rate_ratio, say
from envs.tasks.registry import make_env
from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from policies.export.onnx_graph import export_student
from policies.networks.transformer import Transformer, TransformerCfg
from robolearn.config import schema
from robolearn.learning.export import record_sensors
from robolearn.learning.precision import FP32, Products, choose
from robolearn.learning.threads import Threads

TASK = "go1-velocity-flat"  # preset
PAIR = ("velocity-flat", "go1")  # its task and robot
TOKENS = 16


def run(options: Options) -> list[Entry]:
    """Steps and training of both sizes."""
    env = make_env(*PAIR, num_worlds=1, num_threads=1)
    env.reset()
    large = TransformerCfg(width=16, layers=2, heads=2, window=4) if options.quick else TransformerCfg(width=192, layers=4, window=TOKENS)
    demo = schema.load(TASK).student.network
    assert isinstance(demo, TransformerCfg)
    with tempfile.TemporaryDirectory() as folder:
        entries = step_entries(env, large, Path(folder) / "large.onnx", options)
        if not options.quick:
            entries += step_entries(env, demo, Path(folder) / "demo.onnx", options)
    for size in (large,) if options.quick else (large, demo):
        entries += training_entries(env, size, options)
    return entries


def make_net(env: VecEnv, cfg: TransformerCfg) -> Transformer:
    """A student of a size, untrained."""
    torch.manual_seed(0)
    return Transformer(env.spec.observation_dim, env.spec.action_dim, cfg)


def exported(env: VecEnv, net: Transformer, path: Path) -> PolicyFile:
    """The network's policy file."""
    return export_student(net, env.spec, record_sensors(env, net, 10), {}, path)


def step_entries(env: VecEnv, cfg: TransformerCfg, path: Path, options: Options) -> list[Entry]:
    """Median and 99th percentile of a step, against the median pass."""
    size = f"width {cfg.width} x {cfg.layers} layers"
    say(f"policy: {size}")
    net = make_net(env, cfg)
    file = exported(env, net, path)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((200, env.spec.observation_dim)).astype(np.float32)
    window, memory = torch.from_numpy(observations[None, :TOKENS].copy()), net.start(1)

    def act(index: int) -> None:
        file.act(observations[index % 200])

    def window_pass(index: int) -> None:
        with torch.inference_mode():
            net(window, memory)

    functions: dict[str, Callable[[int], None]] = {"step": act, "pass": window_pass}
    us: dict[str, list[float]] = {name: [] for name in functions}
    begin = time.perf_counter()
    while len(us["step"]) < 40 or (not options.quick and time.perf_counter() - begin < (options.seconds or 10.0)):
        for name, function in functions.items():  # in turns of 20, so that each runs warm
            for index in range(25):
                start = time.perf_counter_ns()
                function(index)
                if index >= 5:
                    us[name].append((time.perf_counter_ns() - start) * 1e-3)
    step, whole = np.percentile(us["step"], (50, 99)), np.percentile(us["pass"], (50, 99))
    against = f"torch pass over {TOKENS} tokens"
    return [
        entry(f"policy: ONNX Runtime step, {size}, median", step[0], "us", f"{against}, median", step[0] / whole[0]),
        entry(f"policy: ONNX Runtime step, {size}, p99", step[1], "us", f"{against}, p99", step[1] / whole[1]),
        entry(f"policy: {against}, {size}, median", whole[0], "us"),
    ]


def training_entries(env: VecEnv, cfg: TransformerCfg, options: Options) -> list[Entry]:
    """Tokens a second of forward, backward and Adam, in fp32 and in bf16, against the matrix products of its layers alone in fp32."""
    worlds = 4 if options.quick else 256
    size = f"width {cfg.width} x {cfg.layers} layers, {worlds} x {TOKENS} tokens"
    say(f"policy: training at {size}")
    Threads().learning()
    tokens, linear = worlds * TOKENS, [m for m in make_net(env, cfg).modules() if isinstance(m, torch.nn.Linear)]
    inputs = [torch.randn(tokens, m.in_features) for m in linear]
    gradients = [torch.randn(tokens, m.out_features) for m in linear]

    def products() -> None:
        with torch.no_grad():
            for layer, x, gradient in zip(linear, inputs, gradients, strict=True):
                _ = x @ layer.weight.T, gradient @ layer.weight, gradient.T @ x

    functions = {"fp32": training(env, cfg, worlds, FP32), "products": products}
    own = choose("auto", make_net(env, cfg), tokens, torch.device("cpu"))
    if own.name == "bf16":
        functions["bf16"] = training(env, cfg, worlds, own)
    times = alternate(functions, quick=options.quick, seconds=options.seconds or 15.0)
    alone = "the matrix products of its layers alone, in fp32"
    entries = [entry(f"policy: training, {size}", tokens / median(times["fp32"]), "tokens/s", alone, rate_ratio(times, "fp32", "products"))]
    if "bf16" in times:
        name, rate = f"policy: training in bf16, {size}", tokens / median(times["bf16"])
        entries.append(entry(name, rate, "tokens/s", alone, rate_ratio(times, "bf16", "products")))
        entries.append(entry(name, rate, "tokens/s", "the same in fp32", rate_ratio(times, "bf16", "fp32")))
    return entries


def training(env: VecEnv, cfg: TransformerCfg, worlds: int, products: Products) -> Callable[[], None]:
    """A step of the training of a fresh network on made-up data."""
    net = make_net(env, cfg)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
    observation, target = torch.randn(worlds, TOKENS, env.spec.observation_dim), torch.randn(worlds, TOKENS, env.spec.action_dim)
    memory = net.start(worlds)

    def train() -> None:
        with products.passes():
            action, _ = net(observation, memory)
        loss = (action.float() - target).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return train
