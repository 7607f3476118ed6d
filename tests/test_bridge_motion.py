"""A motion for identification plays behind the same states and limits as a policy, and ends in damping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.log_reader import read_log
from bridge.log_writer import LogError
from bridge.motion import APPROACH_S, Motion, MotionController
from bridge.physics_robot import ModelError, PhysicsRobot
from bridge.replay import replay
from bridge.safety import Event, Mode
from policies.file import PolicyFile
from robolearn.cli import main
from tests.bridge_helpers import MS, REPOSITORY, good_inputs
from tests.make_policy import make_policy


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
            assert controller.limiter.acted.max() <= 4  # at most the torque limit, at this far-off reading
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
    policy = PolicyFile(REPOSITORY / "policies" / "zoo" / "go1-velocity.onnx")
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
