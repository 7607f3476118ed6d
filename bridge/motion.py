"""Play a motion in place of a policy, behind the same states, guards and limits: for identification, which needs varied commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.command import JointCommand
from bridge.controller import Controller
from bridge.guards import Snapshot
from bridge.joints import FloatArray
from bridge.reading import Inputs
from bridge.safety import ACTIVE, Event, SafetyLimits
from policies.file import PolicyFile

APPROACH_S = 1.0  # from the held pose into the motion


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Joint targets and gains over time, joints in policy order; each row holds until the next.

    Attributes:
        name: for the log.
        time_s: when each row begins, from 0 (K,).
        target: [rad], (K, J).
        kp, kd: gains [N m / rad], [N m s / rad], (K, J); the robot's own are the most that is sent.
    """

    name: str
    time_s: FloatArray
    target: FloatArray
    kp: FloatArray
    kd: FloatArray


class MotionController(Controller):
    """A controller whose `policy` state plays a motion once and ends in damping.

    Attributes:
        motion: what is played.
        on_end: called when it is over or was stopped, whatever stopped it.
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
        """Make one for a policy's robot: names, gains, limits and rate are the policy file's."""
        super().__init__(policy, limits, on_event=on_event)
        self.motion = motion
        self.on_end: Callable[[], None] = lambda: None
        self.over = self._automatic = False

    def auto_start(self) -> None:
        """See `Controller.auto_start`; what stops the robot on its way into the motion ends the motion, too."""
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
        row = max(0, int(np.searchsorted(motion.time_s, elapsed_s, side="right")) - 1)
        share = min(1.0, max(0.0, 1.0 + elapsed_s / APPROACH_S))
        share = share * share * (3 - 2 * share)
        target = self._start_pose + share * (motion.target[row] - self._start_pose)
        zero = np.zeros_like(target)
        return JointCommand(target, zero, zero, motion.kp[row].copy(), motion.kd[row].copy())
