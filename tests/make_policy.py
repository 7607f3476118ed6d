"""Write small but real policy files for tests: a graph with a state, a contract, a golden run computed by numpy.

`stand`: the action is zero whatever the observation. `linear`: action = W state + V memory, memory' = 0.9 memory + U state.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from envs.robots.go1 import GO1
from policies.contract.file import GOLDEN_KEY, MEMORY_KEY, PROVENANCE_KEY, SPEC_KEY
from policies.contract.golden import Golden, memory_to_text
from policies.contract.observation import ActionConstants, Sensors, clock_phase, joint_targets, observe
from policies.contract.spec import ActionSpec, CommandSpec, ObservationGroup, ObservationTerm, PolicySpec, RobotSpec

STATE = 4


def go1_spec(mode: str = "position_offset") -> PolicySpec:
    """A Go1 velocity policy's contract at 50 Hz."""
    joints = len(GO1.joints)
    terms = (
        ObservationTerm(name="base_angular_velocity", dim=3, unit="rad/s", frame="base", scale=0.25),
        ObservationTerm(name="projected_gravity", dim=3, unit="1", frame="base"),
        ObservationTerm(name="command", dim=3, unit="m/s", frame="command"),
        ObservationTerm(name="joint_position", dim=joints, unit="rad", frame="joint"),
        ObservationTerm(name="joint_velocity", dim=joints, unit="rad/s", frame="joint", scale=0.05),
        ObservationTerm(name="joint_target", dim=joints, unit="rad", frame="joint"),
        ObservationTerm(name="last_action", dim=joints, unit="1", frame="action"),
    )
    command = CommandSpec(kind="velocity", labels=("vx", "vy", "yaw_rate"), lower=(-1.0, -0.5, -1.0), upper=(1.0, 0.5, 1.0), ages=True)
    action = ActionSpec(mode=mode, scale=GO1.action_scale, clip=10.0)
    return PolicySpec(
        task="go1-test",
        robot=GO1.spec(),
        observation=(ObservationGroup(name="state", terms=terms),),
        action=action,
        command=command,
        control_dt=0.02,
        decimation=4,
        history_steps=8,
    )


def arm_spec() -> PolicySpec:
    """A two-joint arm on a fixed base with a goal command."""
    robot = RobotSpec(
        name="arm",
        joint_names=("shoulder", "elbow"),
        default_pose=(0.0, 0.5),
        kp=(50.0, 50.0),
        kd=(5.0, 5.0),
        effort_limit=(20.0, 20.0),
        velocity_limit=(2.0, 2.0),
        position_lower=(-2.0, -2.0),
        position_upper=(2.0, 2.0),
        floating_base=False,
    )
    terms = (
        ObservationTerm(name="joint_position", dim=2, unit="rad", frame="joint"),
        ObservationTerm(name="joint_target", dim=2, unit="rad", frame="joint"),
        ObservationTerm(name="command", dim=3, unit="m", frame="command"),
    )
    command = CommandSpec(kind="goal_position", labels=("x", "y", "z"), lower=(-1.0, -1.0, 0.0), upper=(1.0, 1.0, 1.0), ages=False)
    action = ActionSpec(mode="position_delta", scale=(0.05, 0.05), clip=1.0)
    return PolicySpec(
        task="arm-test",
        robot=robot,
        observation=(ObservationGroup(name="state", terms=terms),),
        action=action,
        command=command,
        control_dt=0.02,
        decimation=4,
    )


POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")


def asking(kind: str, labels: tuple[str, ...], ages: bool = False, spec: PolicySpec | None = None) -> PolicySpec:
    """A contract (the arm's by default) with a command of another kind, every entry between -1 and 1."""
    spec, many = spec or arm_spec(), len(labels)
    terms = tuple(dataclasses.replace(term, dim=many) if term.name == "command" else term for term in spec.terms)
    command = CommandSpec(kind=kind, labels=labels, lower=(-1.0,) * many, upper=(1.0,) * many, ages=ages)
    return dataclasses.replace(spec, command=command, observation=(ObservationGroup(name="state", terms=terms),))


def make_policy(path: Path, spec: PolicySpec | None = None, kind: str = "linear", seed: int = 0, golden_steps: int = 40) -> Path:
    """Write a policy file of `kind` `stand` or `linear`. Returns `path`."""
    spec = spec or go1_spec()
    rng = np.random.default_rng(seed)
    gain = 0.0 if kind == "stand" else 0.05
    inputs, outputs = spec.observation_dim, spec.action_dim
    weights = {
        "W": (gain * rng.standard_normal((inputs, outputs))).astype(np.float32),
        "V": (gain * rng.standard_normal((STATE, outputs))).astype(np.float32),
        "U": (0.1 * rng.standard_normal((inputs, STATE))).astype(np.float32),
    }
    model = _graph(inputs, outputs, weights)
    golden = _golden(spec, weights, rng, golden_steps)
    meta = {SPEC_KEY: spec.to_json(), PROVENANCE_KEY: json.dumps({"test": kind}), GOLDEN_KEY: golden.to_text()}
    helper.set_model_props(model, meta | {MEMORY_KEY: memory_to_text({"memory": np.zeros((1, STATE), np.float32)})})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def _graph(inputs: int, outputs: int, weights: dict[str, Any]) -> onnx.ModelProto:
    decay = numpy_helper.from_array(np.array(0.9, np.float32), "decay")
    tensors = [decay, *(numpy_helper.from_array(value, name) for name, value in weights.items())]
    nodes = [
        helper.make_node("MatMul", ["state", "W"], ["now"]),
        helper.make_node("MatMul", ["memory", "V"], ["past"]),
        helper.make_node("Add", ["now", "past"], ["action"]),
        helper.make_node("MatMul", ["state", "U"], ["push"]),
        helper.make_node("Mul", ["memory", "decay"], ["kept"]),
        helper.make_node("Add", ["kept", "push"], ["memory_out"]),
    ]
    sizes = {"state": inputs, "memory": STATE, "action": outputs, "memory_out": STATE}
    info = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in sizes.items()}
    graph = helper.make_graph(nodes, "policy", [info["state"], info["memory"]], [info["action"], info["memory_out"]], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _golden(spec: PolicySpec, weights: dict[str, Any], rng: np.random.Generator, steps: int) -> Golden:
    """A closed run of made-up but plausible readings near the default pose, independent of ONNX Runtime and of the bridge."""
    robot, joints = spec.robot, spec.robot.num_joints
    constants = ActionConstants.of(spec, lambda values: np.asarray(values, np.float32))
    pose = np.asarray(robot.default_pose, np.float32)
    state, action, target = np.zeros(STATE, np.float32), np.zeros(joints, np.float32), None
    record: dict[str, list[Any]] = {}
    observations, actions = [], []
    for step in range(steps):
        position = (pose + 0.1 * rng.standard_normal(joints)).astype(np.float32)
        target = position if target is None else target
        quat = np.array([1, *(0.1 * rng.standard_normal(3))])
        readings = {
            "joint_position": position,
            "joint_velocity": (0.5 * rng.standard_normal(joints)).astype(np.float32),
            "command": rng.uniform(spec.command.lower, spec.command.upper).astype(np.float32),
            "last_action": action,
            "joint_target": target,
        }
        if robot.floating_base:
            readings["imu_quat_wxyz"] = (quat / np.linalg.norm(quat)).astype(np.float32)
            readings["imu_angular_velocity_b"] = (0.3 * rng.standard_normal(3)).astype(np.float32)
        if spec.clock_hz:
            phase = clock_phase(step, spec)
            readings["clock"] = np.array([np.sin(phase), np.cos(phase)], np.float32)
        observation = observe(Sensors(**readings), spec, constants.default_pose).astype(np.float32)
        action = (observation @ weights["W"] + state @ weights["V"]).astype(np.float32)
        state = (np.float32(0.9) * state + observation @ weights["U"]).astype(np.float32)
        target = joint_targets(action, target, spec, constants)
        for name, value in readings.items():
            record.setdefault(name, []).append(value)
        observations.append(observation)
        actions.append(action)
    sensors = {name: np.array(values, np.float32) for name, values in record.items()}
    return Golden(sensors, np.array(observations, np.float32), np.array(actions, np.float32))
