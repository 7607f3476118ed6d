"""Aligns the ticks with the sensor messages, for robots that send them no faster than the policy runs.

Otherwise the newest message at a tick is up to a whole sensor period old, by chance and for the whole run.

    messages     |                   |                     |               |
    window    [     ]             [     ]             [     ]           [     ]      around where the next one is expected
    tick         |                   |                    >|               |         with the message, or at the end of the window

The deadline is the end of the window. A message that comes inside it starts the tick at once; one that is late or lost never holds
the tick up. The window follows the messages slowly, by a hundredth of the control period per tick, so that one late message moves it only a
little.

Between messages that are far apart caches get cold: the first tick after 20 ms of sleep takes twice as long as one without. So the loop
runs a dummy step shortly before, if that takes no more than an eighth of its period. The dummy step must not delay a message; a message
that arrives during one seems to have arrived at its end: hence `QUEUED_NS`.
"""

from __future__ import annotations

MARGIN_NS = 2_000_000
REST_NS = 500_000  # margin between a dummy step that takes 1.5 times as long as usual and the message
QUEUED_NS = 800_000
LONGEST_PAUSE = 3000
SETTLED_TICKS, MOST_DRIFT = 200, 0.003  # no two clocks drift apart that fast


class PhaseLock:
    """Moves a loop's deadlines to a margin after the messages.

    The time from the newest message to the deadline, minus the margin, is how much the deadline is too late. A message almost a whole
    sensor period earlier means that the next one came just after the deadline, so the error is taken modulo the period, centred at zero.

    Attributes:
        failure: why it has given up and leaves the deadlines alone; None if it has not.
    """

    def __init__(self, sensor_period_ns: int, control_period_ns: int) -> None:
        """Lock ticks to messages with a period."""
        self._period, self._tick, self._gain, self._most = sensor_period_ns, control_period_ns, 0.1, control_period_ns // 100
        self._margin = min(MARGIN_NS, sensor_period_ns // 4, control_period_ns // 8)
        self._lasts, self._rehearsal = min(1e6, control_period_ns / 16), (0, 0)
        self._skips, self._pause = 0, 50
        self._ticks, self._mean = 0, 0.0
        self.failure: str | None = None

    def window_ns(self, deadline_ns: int) -> int:
        """Time from which a message starts the tick that is due at `deadline_ns` [ns]."""
        return deadline_ns - 2 * self._margin

    def rehearsal_ns(self, deadline_ns: int) -> int | None:
        """When to run the dummy step for that tick [ns], so that it is over when the message comes; None if there is no time for it."""
        if self._skips > 0:
            self._skips -= 1
            return None
        return deadline_ns - self._margin - round(1.5 * self._lasts) - REST_NS

    def rehearsed(self, begin_ns: int, end_ns: int) -> None:
        """Record how long a dummy step took."""
        self._rehearsal = begin_ns, end_ns
        self._lasts += 0.1 * (min(end_ns - begin_ns, 2 * self._lasts) - self._lasts)
        if self._lasts > self._tick // 8:  # skip it for a while, longer each time
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._skips, self._lasts = self._pause, self._tick / 10

    def correction_ns(self, deadline_ns: int, received_ns: int) -> int:
        """Correction of the next deadline [ns], after a tick due at `deadline_ns` whose newest message was received at `received_ns`."""
        if self.failure is not None:
            return 0
        begin_ns, end_ns = self._rehearsal
        came_ns = begin_ns if end_ns <= received_ns < end_ns + QUEUED_NS else received_ns
        half = self._period // 2
        error = (deadline_ns - came_ns - self._margin + half) % self._period - half
        correction = max(-self._most, min(self._most, round(-self._gain * error)))
        self._ticks += 1
        self._mean += 0.02 * (correction - self._mean)
        if self._ticks > SETTLED_TICKS and abs(self._mean) > MOST_DRIFT * self._tick:
            self.failure = f"sensor messages do not come at {1e9 / self._period:g} Hz (--align-hz): the ticks are not aligned"
        return correction
