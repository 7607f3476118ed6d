"""Let the ticks fall just after the sensor messages, for robots that send them no faster than the policy runs.

Otherwise the newest message at a tick is up to a whole sensor period old, for the whole run, as chance has it at the start.
"""

from __future__ import annotations


class PhaseLock:
    """Moves a loop's deadlines, so slowly that one late message moves them by little.

    The age of the newest message at the tick, less `margin_ns`, is how much the tick comes too late. An age near a whole sensor period
    means that the tick came just before a message, so the error is taken modulo the period, in its middle.
    """

    def __init__(self, sensor_period_ns: int, margin_ns: int = 1_000_000, gain: float = 0.1, most_ns: int = 200_000) -> None:
        """Lock to messages of a period, leaving a margin for their jitter; correct a share of the error, `most_ns` at most a tick."""
        self._period, self._margin, self._gain, self._most = sensor_period_ns, margin_ns, gain, most_ns

    def correction_ns(self, age_ns: int) -> int:
        """What to add to the next deadline [ns], for a newest message of this age."""
        half = self._period // 2
        error = (age_ns - self._margin + half) % self._period - half
        return max(-self._most, min(self._most, round(-self._gain * error)))
