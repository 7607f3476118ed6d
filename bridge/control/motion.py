"""Plays a motion in place of a policy, with the same states, guards and limits, for identification, which needs varied commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.guards import INPUT_GUARDS, ROBOT_GUARDS, Snapshot
from bridge.control.joints import FloatArray
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import ACTIVE, Event, SafetyLimits
from policies.contract.file import PolicyFile
from policies.contract.observation import projected_gravity

APPROACH_S = 1.0  # from the held pose into the motion
MOST_TURN = 0.2  # rad; a base that tilts further is not held
SOFT, MOST_HOLD = 0.5, 0.1  # if kp falls below this share, an arm may need at most this share of its torque at rest (a Panda: 0.2)


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Joint targets and gains over time, joints in policy order; each row holds until the next.

    Attributes:
        name: name for the log.
        time_s: start of each row, from 0 (K,).
        target: [rad], (K, J).
        kp, kd: gains [N m / rad], [N m s / rad], (K, J); limited to the robot's own.
        base_held: whether the base must be held: a legged robot hangs, or is bolted down.
    """

    name: str
    time_s: FloatArray
    target: FloatArray
    kp: FloatArray
    kd: FloatArray
    base_held: bool = False


class MotionController(Controller):
    """A controller whose `policy` state plays a motion once and ends in damping.

    Attributes:
        motion: the motion.
        on_end: called when it is over or was stopped, for any reason.
        over: whether it was played to its end.
    """

    def __init__(
        self,
        policy: PolicyFile,
        motion: Motion,
        limits: SafetyLimits | None = None,
        *,
        on_event: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        """Make one for a policy's robot, with names, gains, limits and rate from the policy file."""
        super().__init__(policy, limits, on_event=on_event)
        self.motion = motion
        self._guards = INPUT_GUARDS + ROBOT_GUARDS  # it sees nothing
        self.on_end: Callable[[], None] = lambda: None
        self.over = self._automatic = False

    def reset_memory(self, pose: FloatArray) -> None:
        """Also forget the last run of the motion; see `Controller.reset_memory`."""
        super().reset_memory(pose)
        self._gravity_at_first: FloatArray | None = None
        self._begun = False

    def auto_start(self) -> None:
        """See `Controller.auto_start`; a stop on the way into the motion also ends the motion."""
        self._automatic = True
        super().auto_start()

    def tick(self, now_ns: int, inputs: Inputs, late_s: float = 0.0, overruns: int = 0) -> JointCommand:
        """Advance one control step; see `Controller.tick`."""
        command = super().tick(now_ns, inputs, late_s, overruns)
        given_up = self._automatic and self.waits_for is None
        if (self.ran or given_up) and self.mode not in ACTIVE:
            self.on_end()
        return command

    def _infer(self, snapshot: Snapshot) -> JointCommand:
        elapsed_s = (snapshot.now_ns - self._entered_ns) * 1e-9 - APPROACH_S
        motion = self.motion
        if elapsed_s > motion.time_s[-1]:
            self.over = True
            self._fire(Event.STOP, f"the motion {motion.name} is over")
            return self._damping
        reading = snapshot.inputs.reading
        assert reading is not None  # the stale_sensor guard has passed
        wrong = self._turned(reading)
        if wrong is None and elapsed_s >= 0 and not self._begun:
            self._begun, wrong = True, self._heavy(reading)
        if wrong is not None:
            self._fire(Event.STOP, wrong)
            return self._damping
        row = max(0, int(np.searchsorted(motion.time_s, elapsed_s, side="right")) - 1)
        share = min(1.0, max(0.0, 1.0 + elapsed_s / APPROACH_S))
        share = share * share * (3 - 2 * share)
        target = self._start_pose + share * (motion.target[row] - self._start_pose)
        zero = np.zeros_like(target)
        return JointCommand(target, zero, zero, motion.kp[row].copy(), motion.kd[row].copy())

    def _turned(self, reading: Reading) -> str | None:
        """Why the base is not held: gravity's direction in it, by the IMU, has changed since the start."""
        if not self.motion.base_held or reading.imu_quat_wxyz is None:
            return None
        gravity = projected_gravity(reading.imu_quat_wxyz / np.linalg.norm(reading.imu_quat_wxyz))
        if self._gravity_at_first is None:
            self._gravity_at_first = gravity
        turn = np.arccos(np.clip(gravity @ self._gravity_at_first, -1.0, 1.0))
        return f"the base turns: it is not held ({turn:.2f} rad)" if turn > MOST_TURN else None

    def _heavy(self, reading: Reading) -> str | None:
        """Why an arm at rest in the motion's first pose must not become soft: its motors carry its weight."""
        held = self.limiter.newest_target
        if self.spec.robot.floating_base or held is None or not (self.motion.kp < SOFT * self.joints.kp).any():
            return None
        torque = np.abs(np.minimum(self.motion.kp[0], self.joints.kp) * (held - reading.position))
        worst = int(np.argmax(torque / self.joints.effort))
        if torque[worst] <= MOST_HOLD * self.joints.effort[worst]:
            return None
        return (
            f"{self.joints.names[worst]} holds {torque[worst]:.0f} N m at rest: the arm's controller does not compensate its weight, and "
            f"this motion makes it soft"
        )
