"""The policy file: what it needs to run, what it refuses, and that its memory is its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from policies.contract.file import GOLDEN_KEY, MEMORY_KEY, PROVENANCE_KEY, SPEC_KEY, GoldenMismatchError, PolicyFile, PolicyFileError
from policies.contract.golden import Golden, memory_from_text, memory_to_text
from policies.contract.observation import Sensors, observe
from tests.learning_helpers import constant_policy, edit_metadata, transformer_file
from tests.pairs import TASKS, make_env

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return transformer_file(tmp_path / "policy.onnx")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return constant_policy(tmp_path / "constant.onnx", 0.25, "panda-reach")


ROBOT_SIDE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "mujoco", "onnx", "gymnasium", "yaml", "envs", "robolearn"):
            raise ImportError(f"{name} is not on the robot")

sys.meta_path.insert(0, Refuse())
from policies.contract.file import PolicyFile
from policies.contract.observation import Sensors

file = PolicyFile(sys.argv[1])
worst = file.verify()
now = Sensors(**{name: value[0] for name, value in file.golden.sensors.items()})
action = file.act(file.observe(now))
targets = file.targets(action, now.joint_position)
third = {name.partition(".")[0] for name, m in sys.modules.items() if "site-packages" in (getattr(m, "__file__", None) or "")}
print(worst <= 1e-5, action.shape == targets.shape == (file.spec.action_dim,), sorted(third & {"torch", "mujoco", "onnx"}))
"""


def test_runs_with_numpy_and_onnxruntime_alone(path: Path) -> None:
    command = [sys.executable, "-c", ROBOT_SIDE, str(path)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment, cwd=path.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "True True []"


def test_what_stands_in_it(path: Path) -> None:
    file = PolicyFile(path)
    assert file.path == path
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.spec.task == "velocity-flat"
    assert file.spec.normalizer is not None
    assert file.spec.history_steps == 2 * 3 + 1
    assert file.provenance["seed"] == 3
    assert len(file.golden.action) == 20
    assert file.verify() <= 1e-5
    meta = {prop.key for prop in onnx.load(str(path)).metadata_props}
    assert {SPEC_KEY, MEMORY_KEY, PROVENANCE_KEY, GOLDEN_KEY} <= meta


def replay(file: PolicyFile, steps: range) -> np.ndarray:
    return np.array([file.act(file.golden.observation[step]).copy() for step in steps])


def test_reset_restarts_and_memory_matters(path: Path) -> None:
    file = PolicyFile(path)
    fresh = replay(file, range(10))
    later = replay(file, range(10))
    assert not np.array_equal(fresh, later)
    file.reset()
    assert np.array_equal(replay(file, range(10)), fresh)
    replay(file, range(3))  # an odd number: the other set of buffers is current
    file.reset()
    assert np.array_equal(replay(file, range(10)), fresh)
    np.testing.assert_allclose(fresh, file.golden.action[:10], rtol=0, atol=1e-5)


def test_forks_have_memories_of_their_own(path: Path) -> None:
    alone = PolicyFile(path)
    expected = replay(alone, range(12))
    one = PolicyFile(path)
    replay(one, range(5))
    two = one.fork()  # born fresh, whatever its parent remembers
    rest, other = [], []
    for step in range(12):
        other.append(two.act(two.golden.observation[step]).copy())
        if step >= 5:
            rest.append(one.act(one.golden.observation[step]).copy())
        if step == 8:
            three = two.fork()
            replay(three, range(4))
            three.reset()
    assert np.array_equal(np.array(other), expected)
    assert np.array_equal(np.array(rest), expected[5:])


@pytest.mark.parametrize("task", TASKS)
def test_arithmetic_is_the_environments(task: str, tmp_path: Path) -> None:
    """Observation and targets of the numpy side equal those of the batch of torch, over a run with clipped and delayed values."""
    env = make_env(task, num_worlds=4, num_threads=1, seed=1)
    file = PolicyFile(constant_policy(tmp_path / "policy.onnx", 0.0, task))
    env.reset()
    generator = torch.Generator().manual_seed(0)
    for step in range(25):
        now = env.sensors()
        expected = observe(now, env.spec, env.default_pose)
        for world in range(4):
            values = {name: getattr(now, name) for name in Sensors.__slots__}
            row = Sensors(**{name: None if v is None else v[world].numpy() for name, v in values.items()})
            got = file.observe(row)
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, expected[world].numpy(), rtol=1e-6, atol=1e-6)
            if now.clock is not None:
                np.testing.assert_allclose(
                    file.clock(int(env.episode_steps[world]), row.command), now.clock[world].numpy(), rtol=0, atol=1e-6
                )
        action = 4 * torch.randn(4, env.spec.action_dim, generator=generator)
        before = env.target.clone()
        result = env.step(action)
        for world in (~(result.terminated | result.truncated)).nonzero()[:, 0].tolist():
            got = file.targets(action[world].numpy(), before[world].numpy())
            np.testing.assert_allclose(got, env.target[world].numpy(), rtol=1e-6, atol=1e-6, err_msg=f"step {step}")


def test_clock_of_a_policy_without_one(small: Path) -> None:
    assert PolicyFile(small).clock(7, np.zeros(3, np.float32)) is None


def refused(path: Path, match: str) -> None:
    with pytest.raises(PolicyFileError, match=match) as caught:
        PolicyFile(path)
    assert str(path) in str(caught.value)  # the message says which file


def test_missing_file_and_folder(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "no policy file at")
    refused(tmp_path, "no policy file at")


@pytest.mark.parametrize("keep", [0.0, 1e-5, 1e-3, 0.5, 0.99])
def test_truncated_bytes(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    refused(path, "not an ONNX file|lacks the metadata|broken metadata")


def test_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    path.write_text("not a network")
    refused(path, "not an ONNX file that ONNX Runtime can load")


@pytest.mark.parametrize("dropped", [[SPEC_KEY], [GOLDEN_KEY, PROVENANCE_KEY], [SPEC_KEY, PROVENANCE_KEY, GOLDEN_KEY]])
def test_plain_onnx_without_metadata(small: Path, dropped: list[str]) -> None:
    model = onnx.load(str(small))
    kept = {prop.key: prop.value for prop in model.metadata_props if prop.key not in dropped}
    del model.metadata_props[:]
    helper.set_model_props(model, kept)
    onnx.save(model, str(small))
    refused(small, "is an ONNX file but not a policy file: it lacks the metadata .*" + dropped[0].replace(".", r"\."))


BROKEN: list[tuple[str, Callable[[Any], Any], str]] = [
    (SPEC_KEY, lambda v: "{", "broken metadata: policy spec is not JSON"),
    (SPEC_KEY, lambda v: v | {"surprise": 1}, "broken metadata: .*surprise"),
    (SPEC_KEY, lambda v: v | {"schema_version": 99}, "broken metadata: .*schema version 99"),
    (
        SPEC_KEY,
        lambda v: v | {"observation": [{"name": "state", "terms": v["observation"][0]["terms"][1:]}]},
        r"graph input state is float32 of shape \[1, 31\], but the metadata say float32 of shape \[1, 28\]",
    ),
    (
        SPEC_KEY,
        lambda v: v | {"schema_version": 1},
        "has contract version 1, which is no longer supported .* robolearn export RUN .or use the current .*$",
    ),
    (
        MEMORY_KEY,
        lambda v: [{"name": "past", "shape": [1], "dtype": "float32", "initial": 0.0}],
        "the graph has no input past; it has state",
    ),
    (
        MEMORY_KEY,
        lambda v: [{"name": "state", "shape": [1], "dtype": "float32", "initial": 0.0}],
        "state is both an observation group and a memory array",
    ),
    (MEMORY_KEY, lambda v: [{"name": "past", "shape": [1]}], "broken metadata: 'initial' is missing"),
    (MEMORY_KEY, lambda v: "{", "broken metadata"),
    (PROVENANCE_KEY, lambda v: "nonsense", "broken metadata"),
    (GOLDEN_KEY, lambda v: "nonsense", "broken metadata: not a packed table of arrays"),
    (GOLDEN_KEY, lambda v: "AAAA", "broken metadata: not a packed table of arrays"),
    (GOLDEN_KEY, lambda v: {}, "broken metadata: 'observation' is missing"),
    (GOLDEN_KEY, lambda v: {name: value for name, value in v.items() if name != "observation"}, "broken metadata: 'observation'"),
    (
        GOLDEN_KEY,
        lambda v: v | {"action": np.zeros((0, 7)), "observation": np.zeros((0, 31))},
        "its golden run has observations and actions of shapes",
    ),
    (GOLDEN_KEY, lambda v: v | {"action": np.zeros((1, 1))}, "its golden run has observations and actions of shapes"),
    (GOLDEN_KEY, lambda v: v | {"sensor.sonar": np.ones((1, 1))}, "does not fit its contract: .*sonar"),
    (GOLDEN_KEY, lambda v: v | {"sensor.joint_velocity": np.zeros((2, 7))}, "sensors of other than 1 steps"),
    (GOLDEN_KEY, lambda v: v | {"sensor.joint_velocity": np.zeros((1, 3))}, "joint_velocity' needs 7 values"),
    (GOLDEN_KEY, lambda v: {k: x for k, x in v.items() if k != "sensor.command"}, "does not fit its contract"),
]


@pytest.mark.parametrize(("key", "change", "match"), BROKEN)
def test_broken_metadata(small: Path, key: str, change: Callable[[Any], Any], match: str) -> None:
    refused(edit_metadata(small, key, change), match)


def graph_file(path: Path, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], kind: int = TensorProto.FLOAT) -> Path:
    """Keep a policy file's metadata, replace its graph by one of these inputs and outputs; it remembers `memory` (1, 3) if it takes one."""
    model = onnx.load(str(path))
    memory = {"memory": np.zeros((1, 3), np.float32)} if "memory" in inputs else {}
    meta = {prop.key: prop.value for prop in model.metadata_props} | {MEMORY_KEY: memory_to_text(memory)}
    source = next(iter(inputs))
    nodes, constants = [], []
    for name, shape in outputs.items():
        sizes = [size if isinstance(size, int) else 1 for size in shape]
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        constants.append(numpy_helper.from_array(np.zeros((*[1] * len(sizes), 1), dtype).reshape([1] * len(sizes)), f"{name}_zero"))
        nodes.append(helper.make_node("ReduceSum", [source], [f"{name}_sum"], keepdims=0))
        shape_name = f"{name}_shape"
        constants.append(numpy_helper.from_array(np.array(sizes, np.int64), shape_name))
        nodes.append(helper.make_node("Expand", [f"{name}_sum", shape_name], [name]))
    make = helper.make_tensor_value_info
    infos = [[make(name, kind, shape) for name, shape in part.items()] for part in (inputs, outputs)]
    made = helper.make_model(helper.make_graph(nodes, "g", *infos, constants), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(made, meta)
    onnx.save(made, str(path))
    return path


def test_graphs_that_contradict_the_contract(small: Path) -> None:
    spec = PolicyFile(small).spec
    o, a = [1, spec.observation_dim], [1, spec.action_dim]
    ok = graph_file(small, {"state": o, "memory": [1, 3]}, {"action": a, "memory_out": [1, 3]})
    PolicyFile(ok)
    refused(graph_file(small, {"state": [1, o[1] + 1]}, {"action": a}), "graph input state is float32 of shape .* but the metadata say")
    refused(graph_file(small, {"obs": o}, {"action": a}), "the graph has no input state; it has obs")
    refused(graph_file(small, {"state": o}, {"action": [1, a[1] - 1]}), "graph output action is float32 of shape")
    refused(graph_file(small, {"state": o}, {"target": a}), "the graph has no output action; it has target")
    refused(
        graph_file(small, {"state": o, "past": [1, 3]}, {"action": a}), "graph input past is neither the action, an observation group nor"
    )
    refused(graph_file(small, {"state": o, "memory": [1, 3]}, {"action": a}), "the graph has no output memory_out")
    refused(graph_file(small, {"state": o, "memory": [1, 3]}, {"action": a, "memory_out": [1, 4]}), "graph output memory_out is float32 of")
    refused(
        graph_file(small, {"state": o, "memory": ["n", 3]}, {"action": a, "memory_out": ["n", 3]}), r"memory is float32 of shape \['n', 3\]"
    )
    refused(graph_file(small, {"state": o}, {"action": a}, TensorProto.DOUBLE), r"graph input state is tensor\(double\) of shape")


def test_altered_golden_action_is_detected(path: Path) -> None:
    def change(golden: Any) -> Any:
        golden["action"][13, 2] += 0.5
        return golden

    file = PolicyFile(edit_metadata(path, GOLDEN_KEY, change))
    with pytest.raises(GoldenMismatchError, match=r"action at golden step 13 differs by 0.5 .*do not run this file on a robot"):
        file.verify()


def test_altered_golden_reading_is_detected(path: Path) -> None:
    def change(golden: Any) -> Any:
        golden["sensor.joint_position"][4, 0] += 1e-3
        return golden

    with pytest.raises(GoldenMismatchError, match="observation at golden step 4"):
        PolicyFile(edit_metadata(path, GOLDEN_KEY, change)).verify()


@pytest.mark.parametrize("value", [0.05, float("nan")])
def test_altered_weights_are_detected(path: Path, value: float) -> None:
    model = onnx.load(str(path))
    tensor = max((t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT), key=lambda t: len(t.raw_data))
    array = numpy_helper.to_array(tensor) + np.float32(value)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, str(path))
    with pytest.raises(GoldenMismatchError, match="action at golden step 0"):
        PolicyFile(path).verify()


def test_altered_contract_is_detected(path: Path) -> None:
    """A swapped default pose changes the observation that the golden readings give."""

    def change(spec: Any) -> Any:
        spec["robot"]["default_pose"] = [pose + 0.01 for pose in spec["robot"]["default_pose"]]
        return spec

    with pytest.raises(GoldenMismatchError, match="observation at golden step 0"):
        PolicyFile(edit_metadata(path, SPEC_KEY, change)).verify()


def test_verifying_leaves_a_fresh_policy(path: Path) -> None:
    file = PolicyFile(path)
    fresh = replay(file, range(5))
    file.verify()
    assert np.array_equal(replay(file, range(5)), fresh)


def test_the_packed_golden_run_is_exact_and_small(path: Path) -> None:
    golden = PolicyFile(path).golden
    golden.action[0, :3] = (-0.0, 1e-45, np.nextafter(np.float32(1), np.float32(2)))  # signed zero, smallest denormal, last bit
    again = Golden.from_text(golden.to_text())
    assert again.action.tobytes() == golden.action.tobytes()
    assert again.observation.tobytes() == golden.observation.tobytes()
    assert all(again.sensors[name].tobytes() == value.tobytes() for name, value in golden.sensors.items())
    assert golden.to_text() == golden.to_text()  # the same run is the same file
    numbers = sum(value.size for value in (*golden.sensors.values(), golden.observation, golden.action))
    assert len(golden.to_text()) < 6 * numbers + 4000


def test_memory_starts_as_the_file_says(tmp_path: Path) -> None:
    memory = {
        "none": np.zeros((1, 0), np.float32),
        "age": np.full((1,), -1, np.float32),
        "pose": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    }
    text = memory_to_text(memory)
    assert [(entry["name"], entry["shape"], entry["dtype"]) for entry in json.loads(text)][1] == ("age", [1], "float32")
    again = memory_from_text(text)
    assert again.keys() == memory.keys()
    for name, value in memory.items():
        assert np.array_equal(again[name], value)
        assert again[name].shape == value.shape
