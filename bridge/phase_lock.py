"""Let the ticks fall on the sensor messages, for robots that send them no faster than the policy runs.

Otherwise the newest message at a tick is up to a whole sensor period old, for the whole run, as chance has it at the start.

    messages     |                   |                     |               |
    window    [     ]             [     ]             [     ]           [     ]      around where the next one is expected
    tick         |                   |                    >|               |         with the message, or at the end of the window

The deadline is the end of the window. A message that comes inside it starts the tick at once; one that is late or lost never holds
the tick up. The window follows the messages slowly, so that one late message moves it by little.

Between messages that are far apart a computer forgets: the first tick after 20 ms of sleep takes twice as long as one without. So the
loop rehearses shortly before, if that takes no more than an eighth of the sensors' period. A rehearsal must not hold a message up, and
when a message that waited through one is taken, it looks as if it had just come: hence `QUEUED_NS`.
"""

from __future__ import annotations

MARGIN_NS = 2_000_000
REST_NS = 500_000  # between a rehearsal half as long again as usual and the message
QUEUED_NS = 800_000


class PhaseLock:
    """Moves a loop's deadlines to a margin after where the messages come.

    How long before its deadline the newest message came, less the margin, is how much the deadline is too late. A message near a whole
    sensor period before means that the next one came just after, so the error is taken modulo the period, in its middle.
    """

    def __init__(self, sensor_period_ns: int, gain: float = 0.1, most_ns: int = 200_000) -> None:
        """Lock to messages of a period; correct a share of the error, `most_ns` at most a tick."""
        self._period, self._gain, self._most = sensor_period_ns, gain, most_ns
        self._margin = min(MARGIN_NS, sensor_period_ns // 4)
        self._lasts, self._rehearsal = 1_000_000.0, (0, 0)

    def window_ns(self, deadline_ns: int) -> int:
        """From when on a message starts the tick that is due at `deadline_ns` [ns]."""
        return deadline_ns - 2 * self._margin

    def rehearsal_ns(self, deadline_ns: int) -> int | None:
        """When to rehearse that tick [ns], so that it is over when the message comes; None where there is no time for it."""
        if self._lasts > self._period // 8:
            return None
        return deadline_ns - self._margin - round(1.5 * self._lasts) - REST_NS

    def rehearsed(self, begin_ns: int, end_ns: int) -> None:
        """Learn how long a rehearsal took."""
        self._rehearsal = begin_ns, end_ns
        self._lasts += 0.1 * (end_ns - begin_ns - self._lasts)

    def correction_ns(self, deadline_ns: int, received_ns: int) -> int:
        """What to add to the next deadline [ns], after a tick due at `deadline_ns` whose newest message was received at `received_ns`."""
        begin_ns, end_ns = self._rehearsal
        came_ns = begin_ns if end_ns <= received_ns < end_ns + QUEUED_NS else received_ns
        half = self._period // 2
        error = (deadline_ns - came_ns - self._margin + half) % self._period - half
        return max(-self._most, min(self._most, round(-self._gain * error)))
