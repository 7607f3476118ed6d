"""Which sensor messages count: the newest by the robot's own stamp.

Best effort over UDP may swap, repeat and lose messages. An old message among new ones is dropped and counted, since damping a walking
robot for it would do the harm. A robot whose clock really went back (it restarted) must trip the guard, so the fourth old message in a
row, or one that is older by more than 100 ms, is passed on with its stamp:

    stamps [ms]   10 12 11 14 13 16 ...      -> 10 12 -- 14 -- 16      two dropped
                  10 12  1  2  3  4  5 ...   -> 10 12 -- -- --  4  5   backward at 4: sensor_stamps says so
                  900 902 1 ...              -> 900 902 1              backward at once

A repeated stamp is passed on: whether stamps that stand still are a fault is for the guard to say.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_IN_A_ROW = 3
MAX_BACK_NS = 100_000_000


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

    def accepts(self, stamp_ns: int) -> bool:
        """Whether a message with this stamp [ns] counts."""
        self.received += 1
        newest = self._newest_ns
        if newest is not None and stamp_ns < newest:
            self._in_a_row += 1
            if self._in_a_row <= MAX_IN_A_ROW and newest - stamp_ns <= MAX_BACK_NS:
                self.reordered += 1
                return False
            self.backward += 1
        elif stamp_ns == newest:
            self.repeated += 1
        self._newest_ns, self._in_a_row = stamp_ns, 0
        return True
