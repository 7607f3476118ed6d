"""What tests do to a controller's inputs, and what must hold of its commands all the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.joints import FloatArray
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import ACTIVE, Event
from tests.bridge_helpers import MS

OPERATOR = (Event.STAND, Event.START, Event.STOP, Event.ESTOP, Event.RESET)
"""What an operator can ask for."""


def put(field: str, index: int, value: float) -> Callable[[Inputs], None]:
    """Change one entry of a reading's field."""

    def change(inputs: Inputs) -> None:
        getattr(inputs.reading, field)[index] = value

    return change


def age(milliseconds: int) -> Callable[[Inputs], None]:
    """Make a reading older."""

    def change(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.received_ns -= milliseconds * MS

    return change


def tilted(angle: float) -> Callable[[Inputs], None]:
    """Roll the base [rad]."""

    def change(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.imu_quat_wxyz = np.array([math.cos(angle / 2), math.sin(angle / 2), 0, 0])

    return change


def assign(name: str, value: Any) -> Callable[[Inputs], None]:
    """Replace one of the inputs."""
    return lambda inputs: setattr(inputs, name, value)


def old_stamp(inputs: Inputs) -> None:
    """Let the stamps go back."""
    assert inputs.reading is not None
    inputs.reading.stamps_ns = (1, 1)


def torque(command: JointCommand, reading: Reading | None) -> FloatArray | None:
    """Magnitude of what the robot makes of a command at the measured state [N m] (J,); None where that is not known."""
    if reading is None or not (np.isfinite(reading.position).all() and np.isfinite(reading.velocity).all()):
        return None
    return np.abs(command.kp * (command.position - reading.position) - command.kd * reading.velocity)


def assert_within_limits(controller: Controller, command: JointCommand, reading: Reading | None) -> None:
    """Finite, inside the ranges of gains, torque and position, and driving nothing outside `stand` and `policy`."""
    joints = controller.joints
    for values in (command.position, command.velocity, command.effort, command.kp, command.kd):
        assert np.isfinite(values).all()
    assert (command.kp >= 0).all()
    assert (command.kp <= joints.kp).all()
    assert (command.kd >= 0).all()
    assert (command.kd <= joints.kd).all()
    assert not command.velocity.any()
    assert not command.effort.any()
    effort = torque(command, reading)
    assert effort is None or (effort <= joints.effort * (1 + 1e-9)).all()
    if command.drives:
        assert controller.mode in ACTIVE
        assert (command.position >= joints.lower).all()
        assert (command.position <= joints.upper).all()
