"""Selects the sensor messages to use: the newest by the robot's own stamp.

Best effort over UDP may swap, repeat and lose messages. An old message among new ones is dropped and counted, since damping a walking
robot for it would do the harm. A robot whose clock really went back (it restarted) must trip the guard, so the fourth old message in a
row, or one that is older by more than 100 ms, is passed on with its stamp:

    stamps [ms]   10 12 11 14 13 16 ...      -> 10 12 -- 14 -- 16      two dropped
                  10 12  1  2  3  4  5 ...   -> 10 12 -- -- --  4  5   backward at 4: sensor_stamps says so
                  900 902 1 ...              -> 900 902 1              backward at once

Of a slow source four messages are long. There a clock that was set back a little shows sooner, where the arrivals are known: the second
old message follows the first as far behind it by its stamp as by its arrival, as no overtaken one does.

A repeated stamp is passed on: whether stamps that stand still are a fault is for the guard to say.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_IN_A_ROW = 3
MAX_BACK_NS = 100_000_000
SLOW_NS = 8_000_000  # of quicker sources four messages are no time at all


@dataclass(slots=True)
class NewestFilter:
    """Drops messages that were overtaken on their way.

    Attributes:
        received: messages so far.
        reordered: of these, older than one before, and dropped.
        repeated: of these, with the stamp of the one before.
        backward: how often old stamps were believed after all.
    """

    received: int = 0
    reordered: int = 0
    repeated: int = 0
    backward: int = 0
    _newest_ns: int | None = None
    _in_a_row: int = 0
    _old: tuple[int, int] | None = None

    def accepts(self, stamp_ns: int, arrival_ns: int | None = None) -> bool:
        """Whether a message with this stamp [ns] counts, that came at `arrival_ns` [ns of any clock]; None where that is not known."""
        self.received += 1
        newest = self._newest_ns
        if newest is not None and stamp_ns < newest:
            self._in_a_row += 1
            old, self._old = self._old, None if arrival_ns is None else (stamp_ns, arrival_ns)
            follows = old is not None and arrival_ns is not None and _alike(stamp_ns - old[0], arrival_ns - old[1])
            if self._in_a_row <= MAX_IN_A_ROW and newest - stamp_ns <= MAX_BACK_NS and not follows:
                self.reordered += 1
                return False
            self.backward += 1
        elif stamp_ns == newest:
            self.repeated += 1
        self._newest_ns, self._in_a_row, self._old = stamp_ns, 0, None
        return True


def _alike(stamps_ns: int, arrivals_ns: int) -> bool:
    """Whether two messages are as far apart by their stamps as by their arrival."""
    return arrivals_ns >= SLOW_NS and stamps_ns > 0 and arrivals_ns <= 2 * stamps_ns and stamps_ns <= 2 * arrivals_ns
