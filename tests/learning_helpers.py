"""Tiny trainings, networks and policy files for the tests of learning."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from envs.tasks import registry
from policies.contract.file import GOLDEN_KEY, PROVENANCE_KEY, SPEC_KEY, PolicyFile
from policies.contract.golden import Golden, pack, unpack
from policies.contract.observation import observe
from policies.export.onnx_graph import export_student
from policies.networks.teacher import TeacherPolicy
from policies.networks.transformer import Transformer, TransformerCfg
from robolearn.config import schema
from robolearn.config.schema import TrainCfg
from robolearn.learning.export import record_sensors
from robolearn.learning.student import StudentTrainer
from robolearn.learning.teacher import TeacherTrainer
from tests.pairs import cfg_of, make_env

TINY = (
    "--threads=1",
    "--env.num_worlds=8",
    "--env.num_threads=1",
    "--env.episode_s=0.24",  # episodes shorter than a test, so that resets are in it
    "--teacher.iterations=4",  # exactly: no targets
    "--teacher.hidden=[16,16]",
    "--teacher.ppo.rollout_steps=8",
    "--teacher.ppo.epochs=2",
    "--teacher.ppo.minibatches=2",
    "--student.iterations=4",
    "--student.ppo.rollout_steps=8",
    "--student.ppo.epochs=2",
    "--student.ppo.minibatches=2",
    "--student.network.width=16",
    "--student.network.heads=2",
    "--student.network.window=4",
)
TIMES = ("minutes", "steps_per_s")
"""Metrics that no two runs share."""


def tiny_cfg(task: str, *overrides: str) -> TrainCfg:
    """The task's preset, shrunk."""
    return schema.load(task, [*TINY, *overrides])


def tiny_teacher(cfg: TrainCfg, seed: int = 0) -> TeacherPolicy:
    """A teacher that was not trained but acts decidedly: its actions depend on all that it sees."""
    env = registry.make_env(cfg.task, cfg.robot, cfg.env, num_worlds=1)
    torch.manual_seed(seed)
    policy = TeacherPolicy(env.reset()[1].shape[1], env.spec.action_dim, cfg.teacher.hidden, cfg.teacher.initial_std)
    with torch.no_grad():
        for net in (policy.actor, policy.critic):
            net[-1].weight *= 50.0
    return policy.requires_grad_(False)


def make_trainer(kind: str, cfg: TrainCfg) -> Any:
    """A fresh trainer."""
    return TeacherTrainer(cfg) if kind == "teacher" else StudentTrainer(cfg, tiny_teacher(cfg))


def randomize(net: nn.Module, seed: int = 0) -> Any:
    """Weights far from their initial values: no bias is zero, no gain one, no head silent, no statistics trivial."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "distance_bias" in name:
                parameter.copy_(2.0 * noise)
            elif parameter.ndim > 1:
                parameter.copy_(noise * 1.2 / parameter.shape[1] ** 0.5)
            else:
                gain = 1.0 if "norm" in name and name.endswith("weight") else 0.0
                parameter.copy_(gain + 0.3 * noise)
        normalizer = getattr(net, "normalizer", None)
        if normalizer is not None:
            size = len(normalizer.mean)
            normalizer.update(torch.randn(500, size, generator=generator) * 1.5 + torch.randn(size, generator=generator))
    return net


def random_transformer(observation: int, action: int, seed: int = 0, **cfg: Any) -> Transformer:
    """A small student whose weights are `randomize`d, without gradients."""
    sizes = {"width": 16, "layers": 2, "heads": 2, "window": 4, **cfg}
    return randomize(Transformer(observation, action, TransformerCfg(**sizes)), seed).requires_grad_(False)


def assert_identical(a: Any, b: Any, where: str = "state") -> None:
    """Nested dicts, sequences, tensors and plain values agree to the last bit."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_identical(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_identical(x, y, f"{where}[{index}]")
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, where
        assert torch.equal(a, b), f"{where} differs by {(a.double() - b.double()).abs().max()}"
    else:
        assert a == b, where


def untimed(metrics: dict[str, float]) -> dict[str, float]:
    """Metrics without the clock's."""
    return {name: value for name, value in metrics.items() if name not in TIMES}


@functools.cache
def _exported_bytes(task: str) -> bytes:
    env = make_env(task, cfg_of(task), num_worlds=1, num_threads=1, seed=3)
    net = random_transformer(env.spec.observation_dim, env.spec.action_dim, seed=5)
    sensors = record_sensors(env, net, 20)
    with tempfile.TemporaryDirectory() as folder:
        return export_student(net, env.spec, sensors, {"seed": 3}, Path(folder) / "policy.onnx").path.read_bytes()


def transformer_file(path: Path, task: str = "go1-velocity-flat") -> Path:
    """A policy file of a `random_transformer`; exported once a session, for exporting takes seconds."""
    path.write_bytes(_exported_bytes(task))
    return path


def constant_policy(path: Path, action: float | list[float] = 0.0, task: str = "go1-velocity-flat") -> Path:
    """A policy file that gives the same action always, written without torch."""
    env = make_env(task, cfg_of(task), num_worlds=1, num_threads=1)
    spec = env.spec
    value = np.broadcast_to(np.asarray(action, np.float32), (1, spec.action_dim)).copy()
    weights = [numpy_helper.from_array(np.zeros((spec.observation_dim, spec.action_dim), np.float32), "zero")]
    weights.append(numpy_helper.from_array(value, "constant"))
    nodes = [helper.make_node("MatMul", ["state", "zero"], ["none"]), helper.make_node("Add", ["none", "constant"], ["action"])]
    observation = helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, spec.observation_dim])
    output = helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, spec.action_dim])
    graph = helper.make_graph(nodes, "policy", [observation], [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    env.reset()
    now = env.sensors()
    names = [name for name in now.__slots__ if getattr(now, name) is not None]
    golden = Golden({name: getattr(now, name).numpy() for name in names}, observe(now, spec, env.default_pose).numpy(), value)
    helper.set_model_props(
        model, {SPEC_KEY: spec.to_json(), PROVENANCE_KEY: json.dumps({"test": "constant"}), GOLDEN_KEY: golden.to_text()}
    )
    onnx.save(model, str(path))
    PolicyFile(path).verify()
    return path


def edit_metadata(path: Path, key: str, change: Any) -> Path:
    """Replace the JSON value of a metadata key by `change(value)`; the result may be a value or a raw string.

    Of the golden run it gets and gives the table of arrays, see `policies.contract.golden`, or gives a raw string.
    """
    model = onnx.load(str(path))
    meta = {prop.key: prop.value for prop in model.metadata_props}
    if key == GOLDEN_KEY:
        arrays = change(unpack(meta[key]))
        meta[key] = arrays if isinstance(arrays, str) else pack(arrays)
    else:
        value = change(json.loads(meta.get(key, "[]")))
        meta[key] = value if isinstance(value, str) else json.dumps(value)
    helper.set_model_props(model, meta)
    onnx.save(model, str(path))
    return path
