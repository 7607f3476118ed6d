"""A motion for identification plays behind the same states and limits as a policy, and ends in damping."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bridge.control.command import TORQUE
from bridge.control.motion import APPROACH_S, Motion, MotionController
from bridge.control.reading import Inputs
from bridge.control.safety import Event, Mode, SafetyLimits
from bridge.logs.reader import read_log
from bridge.logs.replay import replay
from bridge.logs.writer import LogError
from bridge.simulated.physics import ModelError, PhysicsRobot
from policies.contract.file import PolicyFile
from robolearn.cli import main
from robolearn.identify.excitation import sines
from tests.bridge_helpers import MS, REPOSITORY, good_inputs
from tests.make_policy import arm_spec, make_policy

ZOO = REPOSITORY / "policies" / "zoo"


def at_rest(policy: PolicyFile, seconds: float = 3.0, softer: float = 1.0, base_held: bool = False) -> Motion:
    """The default pose, for all but its first row with `softer` gains."""
    pose, kp, kd = (np.tile(values, (2, 1)) for values in (policy.spec.robot.default_pose, policy.spec.robot.kp, policy.spec.robot.kd))
    kp[1] *= softer
    return Motion(name="rest", time_s=np.array([0.0, seconds]), target=pose, kp=kp, kd=kd, base_held=base_held)


def play(controller: MotionController, change: Callable[[Inputs, float], None] | None = None) -> float:
    """Let it play from power-up; `change` gets the inputs of each tick and the seconds since it began. Returns how long it went on [s]."""
    controller.arm()
    controller.auto_start()
    now, entered, ended = 1_000 * MS, 0, []
    controller.on_end = lambda: ended.append(True)
    while not ended:
        now += 20 * MS
        assert now < 60_000 * MS
        inputs = good_inputs(controller.spec, now)
        if change is not None:
            change(inputs, (now - entered) * 1e-9 if entered else 0.0)
        controller.tick(now, inputs)
        if controller.mode is Mode.POLICY:
            entered = entered or now
    return (now - entered) * 1e-9


def test_it_goes_into_the_motion_plays_each_row_and_ends_in_damping(tmp_path: Path) -> None:
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    robot = policy.spec.robot
    pose, kp, kd = (np.array(values) for values in (robot.default_pose, robot.kp, robot.kd))
    rows = np.array([0.1, 0.2, 0.15])[:, None]
    motion = Motion(name="steps", time_s=np.array([0.0, 0.5, 1.0]), target=pose + rows, kp=rows * 5 * kp, kd=np.tile(kd / 2, (3, 1)))
    controller = MotionController(policy, motion)
    ended: list[bool] = []
    controller.on_end = lambda: ended.append(True)
    controller.arm()
    controller.auto_start()
    now, targets, gains, entered = 1_000 * MS, [], [], 0
    while not ended:
        now += 20 * MS
        assert now < 10_000 * MS
        inputs = good_inputs(policy.spec, now)
        command = controller.tick(now, inputs)
        if controller.mode is Mode.POLICY:
            entered = entered or now
            targets.append((now - entered, command.position[0] - pose[0]))
            gains.append(command.kp[0] / kp[0])
            assert set(np.unique(controller.limiter.acted)) <= {0, TORQUE}  # at most that, at this far-off reading
    assert controller.mode is Mode.DAMPING
    assert not command.drives
    assert targets[0][1] == pytest.approx(0.0, abs=1e-9)
    approach = [target for since, target in targets if since < APPROACH_S * 1e9]
    assert np.all(np.diff(approach) >= -1e-9)
    assert max(np.diff(approach)) < 0.004
    for since_s, row in ((1.2, 0), (1.7, 1)):
        index = round(since_s / 0.02)
        assert targets[index][1] == pytest.approx(rows[row, 0], abs=1e-9)
        assert gains[index] == pytest.approx(5 * rows[row, 0])


def test_an_emergency_stop_and_guards_end_it(tmp_path: Path) -> None:
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    pose = np.array(policy.spec.robot.default_pose)
    gains = np.tile(policy.spec.robot.kp, (2, 1))
    motion = Motion(name="rest", time_s=np.array([0.0, 9.0]), target=np.tile(pose, (2, 1)), kp=gains, kd=gains / 10)
    controller = MotionController(policy, motion)
    controller.arm()
    controller.auto_start()
    now = 1_000 * MS
    while controller.mode is not Mode.POLICY:
        now += 20 * MS
        controller.tick(now, good_inputs(policy.spec, now))
    inputs = good_inputs(policy.spec, now + 20 * MS, Event.ESTOP)
    assert not controller.tick(now + 20 * MS, inputs).drives
    assert controller.mode is Mode.FAULT


@pytest.mark.slow
def test_from_the_command_line_to_a_log_that_is_no_policys_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "motion.mcap"
    options = ["--transport", "sim", "--gantry", "always", "--motion", "sines", "--motion-seconds", "4", "--auto-start", "--log", str(log)]
    assert main(["deploy", "go1-velocity", *options]) == 0
    recorded = read_log(log)
    assert recorded.metadata["motion"] == "sines"
    assert recorded.events[-1]["cause"] == "the motion sines is over"
    assert len(recorded.samples) >= 500 * 7
    driven = recorded.ticks["sent_kp"][:, 0] > 0
    kd = np.unique(np.round(recorded.ticks["sent_kd"][driven, 0] / recorded.policy.spec.robot.kd[0], 3))
    assert {0.3, 1.0} <= set(kd)  # gains change on the way
    assert np.ptp(recorded.samples["measured_position"], axis=0).min() > 0.1
    up = recorded.samples["imu_quat_wxyz"][-1000:, 0]
    assert up.min() > 0.999  # the base is held
    with pytest.raises(LogError, match="motion sines"):
        replay(recorded)


def test_a_gantry_that_does_not_exist_is_refused() -> None:
    policy = PolicyFile(ZOO / "go1-velocity.onnx")
    with pytest.raises(ModelError, match="until_policy"):
        PhysicsRobot(policy.spec.robot, REPOSITORY / "envs" / "robots" / "go1" / "go1.xml", gantry="crane")


def test_a_robot_stopped_on_its_way_into_the_motion_ends_it_too(tmp_path: Path) -> None:
    """A Go1 that fell over while it stood up ran on in `fault`, and its log grew to 600 MB."""
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    pose = np.array(policy.spec.robot.default_pose)
    gains = np.tile(policy.spec.robot.kp, (2, 1))
    motion = Motion(name="rest", time_s=np.array([0.0, 9.0]), target=np.tile(pose, (2, 1)), kp=gains, kd=gains / 10)
    for automatic in (True, False):
        controller = MotionController(policy, motion)
        ended: list[bool] = []
        controller.on_end = lambda ended=ended: ended.append(True)
        controller.arm()
        if automatic:
            controller.auto_start()
        now = 1_000 * MS
        for _ in range(20):
            now += 20 * MS
            controller.tick(now, good_inputs(policy.spec, now))
        assert not ended
        controller.tick(now + 20 * MS, good_inputs(policy.spec, now + 20 * MS, Event.ESTOP))
        assert controller.mode is Mode.FAULT
        assert bool(ended) == automatic  # an operator may reset and try again
        assert not controller.over


def turned(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Attitude wxyz (4,) by yaw, then roll or pitch (small) [rad]."""

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.array([a[0] * b[0] - a[1:] @ b[1:], *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))])

    axes = (np.array([np.cos(angle / 2), *(np.sin(angle / 2) * axis)]) for angle, axis in zip((roll, pitch, yaw), np.eye(3), strict=True))
    x, y, z = axes
    return product(z, product(y, x))


@pytest.mark.parametrize("hung", [(0.0, 0.0, 0.0), (0.1, -0.2, 1.0)])
@pytest.mark.parametrize("way", [(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)])
def test_a_base_that_turns_is_not_held(tmp_path: Path, hung: tuple[float, float, float], way: tuple[float, float, float]) -> None:
    """Counted from how it hung when the motion was entered; the heading does not count, gravity does not tell it."""
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))

    def lean(angle: float) -> Callable[[Inputs, float], None]:
        def change(inputs: Inputs, since_s: float) -> None:
            assert inputs.reading is not None
            given = np.array(hung) + (0.0 if since_s < 1.5 else angle) * np.array(way) + (0.0, 0.0, since_s)
            inputs.reading.imu_quat_wxyz = 1.01 * turned(*given)

        return change

    limits = SafetyLimits.of(policy.spec, {"contradiction": 10.0})  # the gyro says nothing here
    controller = MotionController(policy, at_rest(policy, base_held=True), limits)
    assert play(controller, lean(0.23)) == pytest.approx(1.5, abs=0.021)
    assert "the base turns: it is not held" in controller.cause
    assert controller.mode is Mode.DAMPING
    assert not controller.over
    for base_held, angle in ((True, 0.17), (False, 0.23)):  # squats lean as they like
        controller = MotionController(policy, at_rest(policy, base_held=base_held), limits)
        play(controller, lean(angle))
        assert controller.over, controller.cause


def test_an_arm_that_its_motors_carry_is_not_made_soft(tmp_path: Path) -> None:
    policy = PolicyFile(make_policy(tmp_path / "arm.onnx", arm_spec()))
    kp, most = policy.spec.robot.kp[1], policy.spec.robot.effort_limit[1]

    def sag(share: float) -> Callable[[Inputs, float], None]:
        def change(inputs: Inputs, since_s: float) -> None:
            assert inputs.reading is not None
            inputs.reading.position[1] -= share * most / kp

        return change

    soft = MotionController(policy, at_rest(policy, softer=0.1))
    assert play(soft, sag(0.12)) == pytest.approx(APPROACH_S, abs=0.021)  # before the first row
    assert soft.cause == "elbow holds 2 N m at rest: the arm's controller does not compensate its weight, and this motion makes it soft"
    assert soft.mode is Mode.DAMPING
    assert not soft.over
    for softer, share, plays in ((0.1, -0.12, False), (0.1, 0.08, True), (0.6, 0.12, True)):
        controller = MotionController(policy, at_rest(policy, softer=softer))
        play(controller, sag(share))
        assert controller.over is plays, controller.cause
    legged = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    kp, most = legged.spec.robot.kp[1], legged.spec.robot.effort_limit[1]
    hung = MotionController(legged, at_rest(legged, softer=0.1))
    play(hung, sag(0.12))
    assert hung.over, hung.cause


@pytest.mark.parametrize("carries_itself", [True, False])
def test_a_simulated_panda_plays_only_if_it_carries_its_own_weight(carries_itself: bool) -> None:
    """Without compensation it sank by 0.4 rad at a tenth of its gains."""
    policy = PolicyFile(ZOO / "panda-reach.onnx")
    spec = policy.spec
    robot = PhysicsRobot(spec.robot, REPOSITORY / "envs" / "robots" / "panda" / "panda.xml")
    if not carries_itself:
        robot.model.body_gravcomp[:] = 0.0
    commands = sines(spec.robot, 4.0, 1 / spec.control_dt)
    motion = Motion(name="sines", time_s=commands.time_s, target=commands.target, kp=commands.kp, kd=commands.kd)
    controller = MotionController(policy, motion)
    ended: list[bool] = []
    controller.on_end = lambda: ended.append(True)
    controller.arm()
    controller.auto_start()
    now = 1_000 * MS
    while not ended:
        now += round(spec.control_dt * 1e9)
        assert now < 20_000 * MS
        inputs, sample = good_inputs(spec, now), robot.sample()
        assert inputs.reading is not None
        inputs.reading.position, inputs.reading.velocity = sample.position, sample.velocity
        robot.apply(controller.tick(now, inputs))
        for _ in range(round(spec.control_dt / robot.dt)):
            robot.step()
    assert controller.over == carries_itself
    assert carries_itself or controller.cause.startswith("panda_joint4 holds 18 N m at rest")
