"""The arithmetic from sensor readings to observation and from action to joint targets, written once for numpy and torch.

The functions use only operators and methods that numpy arrays and torch tensors share, so the batched environments and the robot's
control loop run the same code. Leading dimensions are free: `(..., n)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from policies import plugins
from policies.contract.spec import STATE, PolicySpec

Array = Any  # numpy.ndarray or torch.Tensor


@dataclass(slots=True)
class Sensors:
    """What a robot can sense at one control step, in policy joint order.

    Attributes:
        joint_position: encoder positions [rad], (..., J).
        joint_velocity: encoder velocities [rad/s], (..., J).
        command: see `CommandSpec`, (..., C).
        last_action: the previous step's action, before clipping and scaling; zero after a reset, (..., J).
        imu_quat_wxyz: attitude of the base in the world, (..., 4); None for a fixed base.
        imu_angular_velocity_b: angular velocity in the base frame [rad/s], (..., 3); None for a fixed base.
        joint_target: position targets commanded at the previous step [rad], (..., J); the measured pose after a reset.
        clock: sine and cosine of the gait's phase, (..., 2), see `clock`; None for a policy without one.
    """

    joint_position: Array
    joint_velocity: Array
    command: Array
    last_action: Array
    imu_quat_wxyz: Array | None = None
    imu_angular_velocity_b: Array | None = None
    joint_target: Array | None = None
    clock: Array | None = None


class ObservationError(ValueError):
    """An observation term is unknown or its sensor is missing."""


def projected_gravity(quat_wxyz: Array) -> Array:
    """Direction of gravity in the base frame: R(q)^T (0, 0, -1), for a unit quaternion (..., 4). Returns (..., 3)."""
    w, x, y, z = (quat_wxyz[..., i : i + 1] for i in range(4))
    return _concatenate([2 * (w * y - x * z), -2 * (y * z + w * x), 2 * (x * x + y * y) - 1])


def _numbers(like: Array) -> Any:
    """The module that an array is of, numpy or torch."""
    if hasattr(like, "new_empty"):
        import torch  # only reached with torch tensors, so the robot's side never imports it

        return torch
    import numpy

    return numpy


def _concatenate(parts: list[Array]) -> Array:
    return _numbers(parts[0]).concatenate(parts, -1)


def clock(phase: Array, command: Array, spec: PolicySpec) -> Array:
    """Sine and cosine of the gait's phase (..., 2); zeros under a command below `spec.clock_still_below`, since a standing robot has no
    gait.

    Args:
        phase: see `clock_phase`, (..., 1).
        command: the command in the observation, (..., C).
        spec: the contract.
    """
    moves = (command * command).sum(-1)[..., None] >= spec.clock_still_below**2
    numbers = _numbers(phase)
    return _concatenate([numbers.sin(phase), numbers.cos(phase)]) * moves


def clock_phase(step: Array, spec: PolicySpec) -> Array:
    """Phase of the gait clock [rad] in [0, 2 pi) at a control step counted from the reset (0 at the first observation).

    Whole turns are removed in exact arithmetic, so that the phase stays accurate for days.
    """
    steps_a_turn = max(1, round(1.0 / (spec.clock_hz * spec.control_dt))) if spec.clock_hz else 1
    return (step % steps_a_turn) * (2.0 * math.pi / steps_a_turn)


TERMS: dict[str, Callable[[Sensors, Array], Array | None]] = {
    "base_angular_velocity": lambda s, default_pose: s.imu_angular_velocity_b,
    "projected_gravity": lambda s, default_pose: None if s.imu_quat_wxyz is None else projected_gravity(s.imu_quat_wxyz),
    "command": lambda s, default_pose: s.command,
    "joint_position": lambda s, default_pose: s.joint_position - default_pose,
    "joint_velocity": lambda s, default_pose: s.joint_velocity,
    "joint_target": lambda s, default_pose: None if s.joint_target is None else s.joint_target - default_pose,
    "last_action": lambda s, default_pose: s.last_action,
    "clock": lambda s, default_pose: s.clock,
}
"""Raw value of each term from the sensors and the default pose (J,)."""


@dataclass(frozen=True, slots=True)
class TermAbout:
    """Facts about a term besides its function.

    Attributes:
        unit: of the raw value.
        frame: of the raw value, see `policies.contract.spec.ObservationTerm`.
        mirror: left-right mirror image of its entries, see `envs.terms.about`; None if they have none.
    """

    unit: str
    frame: str
    mirror: str | tuple[str, ...] | None = None


ABOUT: dict[str, TermAbout] = {
    "base_angular_velocity": TermAbout("rad/s", "base", "spin"),
    "projected_gravity": TermAbout("1", "base", "vector"),
    "command": TermAbout("", "command", "command"),
    "joint_position": TermAbout("rad", "joint", "joint"),
    "joint_velocity": TermAbout("rad/s", "joint", "joint"),
    "joint_target": TermAbout("rad", "joint", "joint"),
    "last_action": TermAbout("1", "action", "joint"),
    "clock": TermAbout("1", "base", ("flip", "flip")),  # half a turn later, when the other feet swing
}
"""For each term; the unit of the term `command` is that of the command itself."""


def register_term(
    name: str,
    func: Callable[[Sensors, Array], Array | None],
    unit: str = "",
    frame: str = "",
    mirror: str | tuple[str, ...] | None = None,
) -> None:
    """Add your own term, for both training and robot.

    Args:
        name: its name in tasks and policy files.
        func: its raw value (..., k) from the sensors and the default pose (J,), with operators that numpy and torch share.
        unit, frame, mirror: see `TermAbout`.

    Raises:
        ValueError: another term has that name.
    """
    if TERMS.get(name, func) is not func:
        raise ValueError(f"an observation term {name!r} exists already; give yours another name")
    TERMS[name], ABOUT[name] = func, TermAbout(unit, frame, mirror)


def observe(sensors: Sensors, spec: PolicySpec, default_pose: Array, group: str = STATE) -> Array:
    """Build the vector of an observation group.

    Args:
        sensors: readings, (..., n) each.
        spec: the contract.
        default_pose: `spec.robot.default_pose` as an array of the sensors' kind and dtype, (J,).
        group: name of a group of terms.

    Returns:
        (..., O), the terms in the spec's order.

    Raises:
        ObservationError: a term is unknown, or its sensor is missing or has the wrong size.
    """
    parts = []
    for term in spec.group(group).terms:
        if term.name not in TERMS:
            plugins.load()  # programs on the robot load them here
        if term.name not in TERMS:
            mend = "for a term of a package, install the package or give --import PACKAGE"
            raise ObservationError(f"unknown observation term {term.name!r}; known: {', '.join(TERMS)}; {mend}")
        raw = TERMS[term.name](sensors, default_pose)
        if raw is None or raw.shape[-1] != term.dim:
            have = "nothing" if raw is None else f"{raw.shape[-1]} values"
            raise ObservationError(f"observation term {term.name!r} needs {term.dim} values; the sensors give {have}")
        clipped = raw.clip(-term.clip, term.clip)
        parts.append(clipped if term.scale == 1.0 else clipped * term.scale)
    return _concatenate(parts)


def joint_targets(action: Array, previous_target: Array, spec: PolicySpec, constants: ActionConstants) -> Array:
    """Joint position targets [rad] (..., J) of an action, limited to the joint range. Arguments as in `asked_targets`."""
    return asked_targets(action, previous_target, spec, constants).clip(constants.lower, constants.upper)


def asked_targets(action: Array, previous_target: Array, spec: PolicySpec, constants: ActionConstants) -> Array:
    """The targets [rad] (..., J) of an action, before limiting to the joint range.

    Args:
        action: raw network output, (..., J).
        previous_target: targets of the previous step, (..., J); only used by `position_delta`.
        spec: the contract.
        constants: the spec's vectors as arrays of the action's kind.
    """
    step = action.clip(-spec.action.clip, spec.action.clip) * constants.scale
    return (constants.default_pose if spec.action.mode == "position_offset" else previous_target) + step


@dataclass(frozen=True, slots=True)
class ActionConstants:
    """The vectors of the action law, (J,) each, as arrays made by `asarray` (for example `numpy.float32` or a torch tensor)."""

    scale: Array
    default_pose: Array
    lower: Array
    upper: Array

    @staticmethod
    def of(spec: PolicySpec, asarray: Callable[[tuple[float, ...]], Array]) -> ActionConstants:
        robot = spec.robot
        return ActionConstants(
            asarray(spec.action.scale), asarray(robot.default_pose), asarray(robot.position_lower), asarray(robot.position_upper)
        )
