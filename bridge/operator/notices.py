"""Notices about conditions: given when a condition begins and when it changes, not at every tick.

A condition is a text with numbers, evaluated at every tick. It is the same condition as long as the words are the same.
"""

from __future__ import annotations

import re

AGAIN_NS = 10_000_000_000  # the same condition with other numbers
FLAPPING_NS = 5_000_000_000  # a condition that went away and came back within this time is not reported again
HOT_C = 80.0  # of a motor, the highest that motors of robots with temperature sensors should reach
LOW_BATTERY = 0.2  # of its charge
NUMBER = re.compile(r"[-+]?\d[\d.]*")


def charge(battery: float | None) -> str:
    """That a battery, charged from 0 to 1, is low; empty where it is not or is not told."""
    return f"the battery is below {LOW_BATTERY:.0%}" if battery is not None and battery < LOW_BATTERY else ""


class Notice:
    """One condition over time.

    Attributes:
        text: the present condition; None for none.
    """

    def __init__(self) -> None:
        self.text: str | None = None
        self._said, self._key = "", ""  # newest reported text, and its form without numbers
        self._said_ns: dict[str, int] = {}

    def update(self, text: str | None, now_ns: int) -> bool:
        """Set the present condition, None for none. Returns whether to report it."""
        self.text = text
        if text is None:
            self._said = self._key = ""
            return False
        if text == self._said:
            return False
        key = NUMBER.sub("#", text)
        rest_ns = AGAIN_NS if key == self._key else FLAPPING_NS
        if key in self._said_ns and now_ns - self._said_ns[key] < rest_ns:
            return False
        self._said, self._key, self._said_ns[key] = text, key, now_ns
        return True
