"""Notices that a simulator's clock runs at another rate than this computer's, and says so once for each rate."""

from __future__ import annotations

from bridge.control.guards import OFF_RATE, RATE_WINDOW_NS

SAID_AGAIN = 0.1  # change of the sensors' clock rate that gets another line


class RateNotice:
    """The remark on the rate of the sensors' clock.

    Attributes:
        remark: the remark as long as it holds; empty for none.
    """

    def __init__(self) -> None:
        """Begin with equal rates."""
        self.restart(0)

    def restart(self, now_ns: int) -> None:
        """Forget what was said, at a time of the loop's clock [ns]."""
        self._told, self._told_ns, self.remark = 1.0, now_ns, ""

    def update(self, rate: float, control_dt: float, now_ns: int) -> str | None:
        """Take the rate of a free clock, relative to the loop's. Returns a line to say now, or None."""
        seen = rate if abs(rate - 1.0) > OFF_RATE else 1.0
        hz = 1 / (control_dt * max(rate, 1e-3))
        said = f"the robot's clock runs at {rate:.2f} of this computer's, so by its clock the policy acts at {hz:.0f} Hz"
        said += "; so the lateness of messages is unknown and not checked"
        new = False
        if seen == self._told or (seen != 1.0 != self._told and abs(seen - self._told) <= SAID_AGAIN):
            self._told_ns = now_ns
        elif now_ns - self._told_ns >= RATE_WINDOW_NS:  # it has stopped
            self._told, self._told_ns, new = seen, now_ns, seen != 1.0
        self.remark = said if self._told != 1.0 else ""
        return said if new else None
