"""Joint commands, and the limits that each of them must pass last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.control.joints import FloatArray
from bridge.control.reading import Reading
from bridge.control.safety import JointVectors, SafetyLimits

RANGE, SLEW, TORQUE, GAINS, NOT_FINITE = 1, 2, 4, 8, 16
LIMIT_NAMES = {RANGE: "joint range", SLEW: "target speed", TORQUE: "torque", GAINS: "gains", NOT_FINITE: "not finite"}


@dataclass(slots=True)
class JointCommand:
    """torque = kp (position - q) + kd (velocity - dq) + effort, joints in policy order, (J,) each.

    Attributes:
        position: target [rad].
        velocity: target [rad/s].
        effort: feed-forward torque [N m].
        kp: position gain [N m / rad]; all zero means damping (kd > 0) or no torque (kd = 0).
        kd: [N m s / rad].
    """

    position: FloatArray
    velocity: FloatArray
    effort: FloatArray
    kp: FloatArray
    kd: FloatArray

    @property
    def drives(self) -> bool:
        """Whether it pulls towards a target, as opposed to damping or no torque."""
        return bool(self.kp.any())


def damping(kd: FloatArray) -> JointCommand:
    """The command that only resists motion: kp = 0, with the given kd (J,)."""
    zero = np.zeros_like(kd)
    return JointCommand(zero, zero, zero, zero, kd)


class Limiter:
    """Keeps commands inside the robot's limits, whatever their source.

    In this order: a command that is not finite becomes damping; targets are clipped to the joint range minus a margin; their speed is
    limited; then the target is adjusted so that |kp (q* - q) - kd dq| <= effort limit. If no target inside the range achieves that (the
    joint is too fast), both gains are scaled down until it holds.

    Attributes:
        acted: changes of the newest call on each joint, a sum of `RANGE`, `SLEW`, `TORQUE`, `GAINS` and `NOT_FINITE`, (J,) uint8.
    """

    def __init__(self, joints: JointVectors, limits: SafetyLimits, dt: float) -> None:
        """Prepare for a control step of `dt` [s]."""
        self._joints = joints
        margin = np.minimum(limits.position_margin, (joints.upper - joints.lower) / 4)
        self.lower, self.upper = joints.lower + margin, joints.upper - margin
        self.step = limits.slew_factor * joints.velocity * dt
        self._damping_kd = limits.damping_factor * joints.kd
        self._previous: FloatArray | None = None
        self.acted: NDArray[np.uint8] = np.zeros(len(joints.lower), np.uint8)

    @property
    def newest_target(self) -> FloatArray | None:
        """Targets [rad] (J,) of the newest driving command; None after a command that did not drive."""
        return self._previous

    def reset(self) -> None:
        """Forget the previous target; the next one may be anywhere inside the range around the measured pose."""
        self._previous = None

    def __call__(self, command: JointCommand, reading: Reading | None) -> JointCommand:
        """Return the command to send."""
        known = reading is not None and bool(np.isfinite(reading.position).all() and np.isfinite(reading.velocity).all())
        fields = (command.position, command.velocity, command.effort, command.kp, command.kd)
        self.acted[:] = 0
        if not all(np.isfinite(field).all() for field in fields) or (command.drives and not known):
            command = damping(self._damping_kd)
            self.acted[:] = NOT_FINITE
        if not command.drives:
            self._previous = None
            kd = np.clip(command.kd, 0.0, self._damping_kd)
            if known and reading is not None:
                kd = np.minimum(kd, self._joints.effort / np.maximum(np.abs(reading.velocity), 1e-6))
            return damping(kd)
        assert reading is not None
        return self._drive(command, reading)

    def _drive(self, command: JointCommand, reading: Reading) -> JointCommand:
        joints = self._joints
        previous = np.clip(reading.position, self.lower, self.upper) if self._previous is None else self._previous
        ranged = np.clip(command.position, self.lower, self.upper)
        target = np.clip(ranged, previous - self.step, previous + self.step)
        self._note(RANGE, ranged != command.position)
        self._note(SLEW, target != ranged)
        self._previous = slewed = target
        kp, kd = np.clip(command.kp, 0.0, joints.kp), np.clip(command.kd, 0.0, joints.kd)
        velocity, effort = np.zeros_like(target), np.zeros_like(target)
        drag = kd * reading.velocity
        stiff = np.maximum(kp, 1e-9)
        target = np.clip(target, reading.position + (drag - joints.effort) / stiff, reading.position + (drag + joints.effort) / stiff)
        target = np.clip(target, self.lower, self.upper)
        torque = np.abs(kp * (target - reading.position) - drag)
        scale = np.where(torque > joints.effort, joints.effort / np.maximum(torque, 1e-9), 1.0)
        self._note(TORQUE, target != slewed)
        self._note(GAINS, scale < 1.0)
        return JointCommand(target, velocity, effort, kp * scale, kd * scale)

    def _note(self, limit: int, where: NDArray[np.bool_]) -> None:
        self.acted[where] |= limit
