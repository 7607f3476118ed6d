"""A simulated humanoid hangs in a gantry until its policy runs; a quadruped needs none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.safety import Mode
from bridge.simulated.physics import ModelError, PhysicsRobot, physics_dt
from bridge.transports.sim import SimTransport
from policies.contract.file import PolicyFile
from tests.bridge_helpers import REPOSITORY

ZOO, ROBOTS = REPOSITORY / "policies" / "zoo", REPOSITORY / "envs" / "robots"


def robot_of(name: str, gantry: str = "auto") -> tuple[PolicyFile, PhysicsRobot]:
    policy = PolicyFile(ZOO / f"{name}.onnx")
    robot = policy.spec.robot
    path: Path = ROBOTS / robot.name / f"{robot.name}.xml"
    return policy, PhysicsRobot(robot, path, physics_dt(policy.spec, 500.0), gantry=gantry)


def test_a_model_without_a_base_is_refused(tmp_path: Path) -> None:
    policy = PolicyFile(ZOO / "go1-velocity.onnx")
    path = tmp_path / "hung.xml"
    text = (ROBOTS / "go1" / "go1.xml").read_text()
    begin = text.index("<freejoint")
    path.write_text(text[:begin] + text[text.index("/>", begin) + 2 :])
    for gantry in ("none", "always"):
        with pytest.raises(ModelError, match="no free joint"):
            PhysicsRobot(policy.spec.robot, path, physics_dt(policy.spec, 500.0), gantry=gantry)


def tilt_of(robot: PhysicsRobot) -> float:
    _, x, y, _ = robot.truth()[2]
    return float(np.arccos(1 - 2 * (x * x + y * y)))


def test_it_is_there_for_two_feet_alone_unless_asked_for() -> None:
    assert robot_of("g1-velocity")[1].gantry is not None
    assert robot_of("g1-velocity", gantry="none")[1].gantry is None
    assert robot_of("go1-velocity")[1].gantry is None
    assert robot_of("go1-velocity", gantry="until_policy")[1].gantry is not None
    assert robot_of("panda-reach", gantry="until_policy")[1].gantry is None


def test_a_damped_humanoid_hangs_and_falls_without_it() -> None:
    heights = {}
    for gantry in (True, False):
        _, robot = robot_of("g1-velocity", "auto" if gantry else "none")
        begin = float(robot.truth()[0][2])
        for _ in range(1500):
            robot.step()
        heights[gantry] = float(robot.truth()[0][2]) - begin
        assert (tilt_of(robot) < 0.2) is gantry
    assert heights[True] > -0.05
    assert heights[False] < -0.2


@pytest.mark.slow
def test_a_humanoid_gets_past_stand_and_walks_on_its_own() -> None:
    policy, robot = robot_of("g1-velocity")
    controller = Controller(policy)
    controller.arm()
    controller.auto_start()
    wire = SimTransport(robot, policy.spec.robot.joint_names, np.array([0.5, 0.0, 0.0]))
    modes = []
    wire.on_tick = lambda status: modes.append((robot.time_s, status["mode"], robot.gantry.carries if robot.gantry else 0.0))
    ControlLoop(controller, wire).run(10.0)
    running = [(time_s, carries) for time_s, mode, carries in modes if mode == Mode.POLICY]
    assert running[0][0] < 2.5
    assert running[-1][0] > 9.9
    assert all(carries == 0.0 for time_s, carries in running if time_s > running[0][0] + 1.6)
    assert tilt_of(robot) < 0.5
    assert robot.truth()[0][0] > 2.0


def test_asking_to_stand_hangs_it_up_again_where_it_lies() -> None:
    _, robot = robot_of("g1-velocity")
    assert robot.gantry is not None
    robot.gantry.follow(Mode.POLICY)
    for _ in range(1500):
        robot.step()
    assert robot.gantry.carries == 0.0
    assert tilt_of(robot) > 0.5
    robot.gantry.follow(Mode.DAMPING)
    robot.gantry.follow(Mode.STAND)
    for _ in range(1500):
        robot.step()
    assert tilt_of(robot) < 0.2
    assert robot.gantry.carries == 1.0
