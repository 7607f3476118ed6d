"""What a fault of a camera leads to: damping, or holding still for a while.

An arm that is damped sinks onto its table; for a picture that is missing for a second, holding the last target is gentler. While it holds,
the policy does not run; once all pictures are good again it starts anew, with an empty memory, from the held target. A hold that lasts for
`picture_hold_s` ends in damping. A legged robot cannot hold still in mid-step, so it always damps.
"""

from __future__ import annotations

from typing import Literal

from bridge.control.camera_guards import CAMERA_NAMES
from bridge.control.guards import Problem
from bridge.control.safety import Mode, SafetyLimits

ImageFault = Literal["damp", "hold"]
ANEW = "pictures are good again: the policy starts anew"


class Holding:
    """Decides at each tick whether the robot is held.

    Attributes:
        reaction: `damp` or `hold`.
        now: whether it is held at this tick.
    """

    def __init__(self, reaction: ImageFault = "damp") -> None:
        """Hold, or leave all to damping."""
        self.reaction: ImageFault = reaction
        self.now = False
        self._since_ns = 0

    def update(self, problems: list[Problem], mode: Mode, now_ns: int, limits: SafetyLimits) -> tuple[list[Problem], str]:
        """Look at a tick's problems.

        Returns:
            Those that lead to damping now; and what to say where holding begins, or `ANEW` where it ends; else an empty text.
        """
        seen = [problem for problem in problems if problem.guard.name in CAMERA_NAMES]
        before = self.now
        if self.reaction == "damp" or mode is not Mode.POLICY or not seen:
            self.now = False
            return problems, ANEW if before and mode is Mode.POLICY else ""
        if not before:
            self._since_ns = now_ns
        self.now = now_ns - self._since_ns <= limits.picture_hold_s * 1e9
        if not self.now:
            return problems, ""
        why = "" if before else "holding still: " + "; ".join(f"{problem.guard.name}: {problem.text}" for problem in seen)
        return [problem for problem in problems if problem not in seen], why
