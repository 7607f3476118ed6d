"""Export: the graph is the network, the file appears whole or not at all, and it says where it comes from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from envs.tasks import registry
from policies.contract.file import PolicyFile, PolicyFileError
from policies.export import exporter
from policies.export import onnx_graph as exporting
from policies.export.onnx_graph import annotate, export_student
from policies.networks.transformer import Transformer
from robolearn.config import schema
from robolearn.learning.export import export, record_sensors
from tests.learning_helpers import random_transformer, tiny_cfg, transformer_file
from tests.pairs import TASKS, make_env


def exported(folder: Path, task: str = "panda-reach", **sizes: Any) -> tuple[Transformer, PolicyFile]:
    env = make_env(task, num_worlds=1, num_threads=1, seed=2)
    net = random_transformer(env.spec.observation_dim, env.spec.action_dim, seed=7, **sizes)
    sensors = record_sensors(env, net, 10)
    return net, export_student(net, env.spec, sensors, {"seed": 2}, folder / "policy.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_graph_equals_torch_over_an_episode(task: str, tmp_path: Path) -> None:
    """200 steps in the environment, noise and delays on, with the memory reset wherever an episode ends."""
    if task == "go1-velocity-flat":
        file = PolicyFile(transformer_file(tmp_path / "policy.onnx"))
        net = random_transformer(file.spec.observation_dim, file.spec.action_dim, seed=5)
    else:
        net, file = exported(tmp_path, task, layers=3, heads=4, window=2, embed_hidden=(12,), head_hidden=(8,))
    env = make_env(task, num_worlds=1, num_threads=1, seed=4, episode_s=1.5)
    observation, _ = env.reset()
    memory, file_resets, worst, spread = net.start(1), 0, 0.0, []
    file.reset()
    first = torch.ones(1, 1, dtype=torch.bool)
    for _ in range(200):
        expected, memory = net(observation[:, None], memory, first)
        got = file.act(observation[0].numpy())
        worst = max(worst, float(np.abs(got - expected[0, 0].numpy()).max()))
        spread.append(got.copy())
        step = env.step(0.2 * expected[:, 0])
        observation, ended = step.policy, bool(step.terminated | step.truncated)
        first = torch.tensor([[ended]])
        if ended:
            file.reset()
            file_resets += 1
    assert worst <= 1e-5
    assert file_resets >= 2
    assert np.std(spread) > 0.1
    assert file.verify() <= exporting.EXPORT_TOLERANCE


@pytest.mark.slow
def test_the_presets_network_over_an_unbroken_episode(tmp_path: Path) -> None:
    """The size that the demo trains, 200 steps without a reset: the memory fills and moves on many times."""
    task = "panda-reach"
    env = make_env(task, num_worlds=1, num_threads=1, seed=4)
    torch.manual_seed(0)
    net = Transformer(env.spec.observation_dim, env.spec.action_dim, schema.load(task).student.network)
    for block in net.blocks:  # as after training: the bias by distance is not silent
        torch.nn.init.normal_(block.distance_bias)
    torch.nn.init.normal_(net.head[-1].weight, std=0.2)
    file = export_student(net, env.spec, record_sensors(env, net, 10), {}, tmp_path / "policy.onnx")
    observation, _ = env.reset()
    stream, first, worst, acted = net.stream(net.start(1)), torch.ones(1, dtype=torch.bool), 0.0, []
    for _ in range(200):
        expected = stream.step(observation, first)
        acted.append(file.act(observation[0].numpy()).copy())
        worst = max(worst, float(np.abs(acted[-1] - expected[0].numpy()).max()))
        step = env.step(expected)
        assert not (step.terminated | step.truncated).any()
        observation, first = step.policy, torch.zeros(1, dtype=torch.bool)
    assert worst <= 1e-5
    assert np.std(acted) > 0.1


def test_recorded_readings_are_one_unbroken_episode() -> None:
    env = make_env("go1-velocity-flat", num_worlds=1, num_threads=1, seed=2, episode_s=0.5)
    net = random_transformer(env.spec.observation_dim, env.spec.action_dim)
    record = record_sensors(env, net, 100)
    lengths = {len(values) for values in record.values()}
    assert lengths <= set(range(1, 26))
    assert len(lengths) == 1
    assert np.array_equal(record["last_action"][0], np.zeros(12))
    assert all(values.dtype == np.float32 for values in record.values())
    assert np.allclose(record["clock"][0], [0.0, 1.0])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return transformer_file(tmp_path / "policy.onnx")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path) -> PolicyFile:
    """Export a tiny network over `path` by a graph that is already there: `torch.onnx.export` takes seconds."""
    return exporting.export_student(*_arguments(), path)


def _arguments() -> tuple[Transformer, Any, dict[str, np.ndarray], dict[str, Any]]:
    env = make_env("go1-velocity-flat", num_worlds=1, num_threads=1, seed=3)
    net = random_transformer(env.spec.observation_dim, env.spec.action_dim, seed=5)
    return net, env.spec, record_sensors(env, net, 5), {}


@pytest.fixture
def prepared_graph(old: Path, monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
    """Stands in for torch's exporter: gives the graph of the same network."""
    model = onnx.load(str(old))

    class Program:
        model_proto = model

    monkeypatch.setattr(torch.onnx, "export", lambda *args, **kwargs: Program())
    return model


def test_a_good_export_replaces_the_old_file(old: Path, prepared_graph: onnx.ModelProto) -> None:
    before = old.read_bytes()
    file = write(old)
    assert old.read_bytes() != before
    assert files(old.parent) == [old.name]
    assert len(file.golden.action) == 5
    weights = hashlib.sha256()
    for tensor in prepared_graph.graph.initializer:
        weights.update(tensor.name.encode() + tensor.raw_data)
    assert file.provenance["weights_sha256"] == weights.hexdigest()


def test_a_graph_that_differs_from_torch_is_refused(old: Path, prepared_graph: onnx.ModelProto) -> None:
    """The difference is small enough for a robot's check and too large for the exporter's."""
    before = old.read_bytes()
    tensors = {tensor.name: tensor for tensor in prepared_graph.graph.initializer}
    bias = next(tensor for name, tensor in tensors.items() if "head" in name and "bias" in name)
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(5e-5), bias.name))
    with pytest.raises(PolicyFileError, match=r"differs from torch by .* on the golden run \(allowed 1e-05\)"):
        write(old)
    assert old.read_bytes() == before
    assert files(old.parent) == [old.name]


def test_a_file_is_in_our_versions_whatever_the_exporter_prefers(old: Path, prepared_graph: onnx.ModelProto) -> None:
    prepared_graph.ir_version = 13
    write(old)
    assert onnx.load(old).ir_version == exporter.IR_VERSION
    prepared_graph.opset_import[0].version = exporter.OPSET + 1
    with pytest.raises(PolicyFileError, match=f"used opsets .* in place of {exporter.OPSET}"):
        write(old)
    prepared_graph.opset_import[0].version = exporter.OPSET
    prepared_graph.graph.output[0].type.tensor_type.elem_type = 25  # a type that only later IR versions have
    with pytest.raises(PolicyFileError):
        write(old)
    assert files(old.parent) == [old.name]


@pytest.mark.parametrize("where", ["export", "save", "read"])
def test_a_failing_export_leaves_nothing_and_keeps_the_old(
    where: str, old: Path, prepared_graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        if where == "save":
            Path(args[1]).write_bytes(b"half a file")
        raise OSError("no space left on device")

    target, name = {"export": (torch.onnx, "export"), "save": (onnx, "save"), "read": (PolicyFile, "verify")}[where]
    monkeypatch.setattr(target, name, fail)
    before = old.read_bytes()
    with pytest.raises(OSError, match="no space"):
        write(old)
    assert old.read_bytes() == before
    with pytest.raises(OSError, match="no space"):
        write(old.parent / "new.onnx")
    assert files(old.parent) == [old.name]


def test_annotating_leaves_graph_and_weights_as_they_are(old: Path) -> None:
    before, file = onnx.load(str(old)), PolicyFile(old)
    note = [{"engine": "precise", "survival": 0.1 + 0.2}]
    after_file = annotate(old, evaluation=note, deployable=True)
    after = onnx.load(str(old))
    assert [t.SerializeToString() for t in after.graph.initializer] == [t.SerializeToString() for t in before.graph.initializer]
    assert after.graph.SerializeToString(deterministic=True) == before.graph.SerializeToString(deterministic=True)
    assert after_file.provenance == file.provenance | {"evaluation": note, "deployable": True}
    assert after_file.spec == file.spec
    assert after_file.verify() == file.verify()
    assert files(old.parent) == [old.name]


def test_a_failing_annotation_keeps_the_old(old: Path) -> None:
    before = old.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        annotate(old, evaluation=float("nan"))
    assert old.read_bytes() == before
    assert files(old.parent) == [old.name]


@pytest.mark.slow
def test_provenance_tells_how_to_make_it_again(tmp_path: Path) -> None:
    cfg = tiny_cfg("panda-reach", "--seed=11")
    env = registry.make_env(cfg.task, cfg.robot, cfg.env, num_worlds=1)
    net = random_transformer(env.spec.observation_dim, env.spec.action_dim, window=1)
    net.normalizer.update(torch.randn(50, env.spec.observation_dim) * 3)
    file = export(net, cfg, tmp_path / "deep" / "policy.onnx", 42, "robolearn train panda-reach")
    origin = file.provenance
    assert origin["seed"] == 11
    assert origin["iteration"] == 42
    assert origin["command"] == "robolearn train panda-reach"
    assert "num_worlds: 8" in origin["config"]
    assert origin["commit"] == "unknown" or len(origin["commit"].removesuffix("-dirty")) == 40
    assert {"robolearn", "made", "torch", "onnxruntime", "python", "datasets", "weights_sha256"} <= origin.keys()
    assert origin["engine"]["name"] == "mujoco"
    assert file.spec.normalizer is not None
    assert file.spec.normalizer.mean == tuple(net.normalizer.mean.tolist())
    assert file.spec.normalizer.std == tuple(net.normalizer.std.tolist())
    assert file.spec.history_steps == 1
    assert len(file.golden.action) > 1
