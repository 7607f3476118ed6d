"""Every shipped policy through the bridge, from corner to corner of its command range: no guard takes a healthy robot for a broken one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.safety import Mode
from bridge.simulated.physics import PhysicsRobot, physics_dt
from bridge.transports.sim import SimTransport
from policies.contract.file import PolicyFile
from tests.bridge_helpers import REPOSITORY

FILES = sorted((REPOSITORY / "policies" / "zoo").glob("*.onnx"))
BEGIN_S, HOLD_S = 5.0, 1.6


def test_there_are_shipped_policies() -> None:
    assert {"g1-velocity", "go1-velocity", "panda-reach"} <= {path.stem for path in FILES}


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_guard_trips_between_the_corners_of_the_command_range(path: Path) -> None:
    policy = PolicyFile(path)
    spec = policy.spec
    corners = np.array(list(product(*zip(spec.command.lower, spec.command.upper, strict=True))))
    corners = corners[np.random.default_rng(0).permutation(len(corners))]
    events: list[Mapping[str, Any]] = []
    controller = Controller(policy, on_event=events.append)
    controller.arm()
    controller.auto_start()
    model = REPOSITORY / "envs" / "robots" / spec.robot.name / f"{spec.robot.name}.xml"
    robot = PhysicsRobot(spec.robot, model, physics_dt(spec, 500.0))
    wire = SimTransport(robot, spec.robot.joint_names, np.clip(0.0, spec.command.lower, spec.command.upper))

    def steer(status: Mapping[str, Any]) -> None:
        corner = int((robot.time_s - BEGIN_S) // HOLD_S)
        if corner >= 0:
            wire.command = corners[min(corner, len(corners) - 1)]

    wire.on_tick = steer
    ControlLoop(controller, wire).run(BEGIN_S + HOLD_S * len(corners))
    changes = [(event["to"], event["cause"]) for event in events if event["event"] == "transition"]
    assert [to for to, _ in changes] == [Mode.DAMPING, Mode.STAND, Mode.POLICY, Mode.DAMPING], changes
    assert changes[-1][1] == "the loop ends"
