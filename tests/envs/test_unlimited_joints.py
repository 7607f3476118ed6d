"""A joint without limits, whose range MuJoCo gives as [0, 0], turns as far as it is asked to: in training, in the file, on the robot."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import mujoco
import numpy as np
import onnx
import pytest
import torch

from bridge.control.command import RANGE, JointCommand, Limiter
from bridge.control.controller import Controller
from bridge.control.reading import Inputs
from bridge.control.safety import JointVectors, Mode, SafetyLimits
from bridge.simulated.physics import PhysicsRobot
from envs.adapters.gymnasium import action_space
from envs.robots.go1 import GO1
from envs.robots.panda import PANDA
from envs.robots.robot import Robot
from envs.robots.symmetry import robot_image
from envs.tasks.registry import make_env
from envs.terms.joint_range import soft_range
from policies.contract.file import PolicyFile, PolicyFileError
from policies.contract.spec import PolicySpec, SpecError
from robolearn.identify.envelope import envelope
from robolearn.identify.excitation import sines
from tests.bridge_helpers import Driver
from tests.make_policy import go1_spec, make_policy

WHEEL = 0  # the joint that has no limits here


def changed(robot: Robot, change: object, folder: Path) -> Robot:
    """A robot with another model."""
    scene = mujoco.MjSpec.from_file(str(robot.model))
    assert callable(change)
    change(scene)
    path = folder / f"{robot.name}.xml"
    path.write_text(scene.to_xml())
    return dataclasses.replace(robot, model=path)


def with_wheel(robot: Robot, folder: Path) -> Robot:
    def change(scene: mujoco.MjSpec) -> None:
        joint = scene.joint(robot.joint_names[WHEEL])
        joint.limited, joint.range = mujoco.mjtLimited.mjLIMITED_FALSE, [0.0, 0.0]

    return changed(robot, change, folder)


@pytest.fixture
def spec(tmp_path: Path) -> PolicySpec:
    """A Go1's contract whose first joint has no limits."""
    return dataclasses.replace(go1_spec(), robot=with_wheel(GO1, tmp_path).spec())


def test_the_contract_says_so_and_stays_json(spec: PolicySpec) -> None:
    assert (spec.robot.position_lower[WHEEL], spec.robot.position_upper[WHEEL]) == (-np.inf, np.inf)
    assert np.isfinite(spec.robot.position_lower[1:]).all()
    raw = json.loads(spec.to_json(), parse_constant=pytest.fail)
    assert raw["robot"]["position_lower"][WHEEL] is raw["robot"]["position_upper"][WHEEL] is None
    assert PolicySpec.from_json(spec.to_json()) == spec


def test_a_range_of_nothing_is_no_range() -> None:
    robot = GO1.spec()
    pinched = tuple(0.0 if i == WHEEL else value for i, value in enumerate(robot.position_lower))
    pose = tuple(0.0 if i == WHEEL else value for i, value in enumerate(robot.default_pose))
    robot = dataclasses.replace(robot, position_lower=pinched, default_pose=pose)
    robot = dataclasses.replace(robot, position_upper=tuple(0.0 if i == WHEEL else v for i, v in enumerate(robot.position_upper)))
    with pytest.raises(SpecError, match=r"the range of joint FR_hip_joint is \[0.0, 0.0\] rad, which is empty"):
        dataclasses.replace(go1_spec(), robot=robot)


@pytest.mark.parametrize(("task", "robot"), [("velocity-flat", GO1), ("reach", PANDA)])
def test_it_turns_in_training(task: str, robot: Robot, tmp_path: Path) -> None:
    env = make_env(task, with_wheel(robot, tmp_path), num_worlds=2, num_threads=1)
    env.reset()
    action = torch.zeros(2, len(robot.joints))
    action[:, WHEEL] = env.spec.action.clip
    steps = [env.step(action) for _ in range(5)]
    asked = float(env.target[0, WHEEL])
    assert all(torch.isfinite(step.reward).all() and torch.isfinite(step.policy).all() for step in steps)
    assert asked > robot.default_pose[WHEEL] + 0.1
    assert np.isfinite(action_space(env).high).all()


def test_the_soft_range_of_no_range_is_none_and_others_stay() -> None:
    lower, upper = torch.tensor([-torch.inf, -1.0, -1.0]), torch.tensor([torch.inf, 3.0, torch.inf])
    low, high = soft_range(lower, upper)
    torch.testing.assert_close(low, torch.tensor([-torch.inf, -0.9, -1.0]))
    torch.testing.assert_close(high, torch.tensor([torch.inf, 2.9, torch.inf]))


def test_the_file_asks_for_any_angle(spec: PolicySpec, tmp_path: Path) -> None:
    policy = PolicyFile(make_policy(tmp_path / "wheel.onnx", spec))
    assert policy.spec == spec
    assert policy.verify() < 1e-6
    action = np.zeros(12, np.float32)
    action[WHEEL] = 9.0
    target = policy.targets(action, np.array(spec.robot.default_pose, np.float32))
    assert target[WHEEL] == pytest.approx(spec.robot.default_pose[WHEEL] + 9.0 * spec.action.scale[WHEEL], rel=1e-6)


def test_guards_and_limits_let_it_turn_and_still_stop_nonsense(spec: PolicySpec, tmp_path: Path) -> None:
    driver = Driver(make_policy(tmp_path / "wheel.onnx", spec, kind="stand"))
    driver.reach(Mode.POLICY)

    seen: list[Inputs] = []
    turns = spec.robot.default_pose[WHEEL] + 80 * 2 * np.pi  # where it was before, for an encoder

    def turned(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.position[WHEEL] = turns
        seen.append(inputs)

    limits = SafetyLimits.of(spec)
    limiter = Limiter(JointVectors.of(spec), limits, spec.control_dt)
    driver.tick(turned)
    assert not [problem for problem in driver.controller.problems if problem.guard.name == "joint_position"]
    far = np.array(spec.robot.default_pose)
    far[WHEEL] = turns + 0.3
    zero, joints = np.zeros(12), JointVectors.of(spec)
    sent = limiter(JointCommand(far, zero, zero, joints.kp, joints.kd), seen[0].reading)
    assert sent.position[WHEEL] == pytest.approx(turns + 0.3)
    assert not limiter.acted[WHEEL] & RANGE
    network = driver.controller.policy
    network.act = lambda observation: np.full(12, 1e4, np.float32)  # type: ignore[method-assign]
    driver.tick()
    assert driver.controller.mode is Mode.FAULT
    assert "change of target [rad]" in driver.controller.cause


def test_a_simulated_robot_turns_it(spec: PolicySpec, tmp_path: Path) -> None:
    robot = PhysicsRobot(spec.robot, with_wheel(GO1, tmp_path).model, gantry="always")
    controller = Controller(PolicyFile(make_policy(tmp_path / "wheel.onnx", spec)))
    pose = controller.joints.default_pose.copy()
    pose[WHEEL] = 4.0
    zero = np.zeros(12)
    for _ in range(1000):
        robot.apply(JointCommand(pose, zero, zero, controller.joints.kp, controller.joints.kd))
        robot.step()
    assert robot.sample().position[WHEEL] == pytest.approx(4.0, abs=0.2)


def test_what_identification_plays_on_it_is_finite(spec: PolicySpec) -> None:
    middle, room = envelope(dataclasses.replace(spec.robot, name="wheeled"))
    assert (middle[WHEEL], room[WHEEL]) == pytest.approx((spec.robot.default_pose[WHEEL], np.pi))
    played = sines(spec.robot, 4.0)
    assert np.isfinite(played.target).all()
    assert np.abs(played.target[:, WHEEL] - spec.robot.default_pose[WHEEL]).max() < np.pi


def test_its_mirror_is_that_of_any_joint(tmp_path: Path) -> None:
    wheeled = with_wheel(GO1, tmp_path)
    assert robot_image(wheeled, wheeled.compiled) == robot_image(GO1, GO1.compiled)


@pytest.mark.parametrize("size", [-1, "steps"])
def test_a_graph_of_no_fixed_size_is_no_policy(size: int | str, tmp_path: Path) -> None:
    model = onnx.load(make_policy(tmp_path / "policy.onnx"))
    for value in [v for v in [*model.graph.input, *model.graph.output] if v.name.startswith("state")]:
        dim = value.type.tensor_type.shape.dim[1]
        if isinstance(size, str):
            dim.dim_param = size
        else:
            dim.dim_value = size
    (tmp_path / "policy.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(PolicyFileError):
        PolicyFile(tmp_path / "policy.onnx")
