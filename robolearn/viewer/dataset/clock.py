"""When in an episode the page is: playing, paused, or where somebody put it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class Clock:
    """Time since the beginning of the episodes that are shown.

    Attributes:
        duration_s: of the longer one; no time lies beyond it.
        at_s: now.
        speed: simulated seconds a second.
        playing: whether time passes.
        repeat: whether the end leads to the beginning; otherwise time stops there.
    """

    duration_s: float = 0.0
    at_s: float = 0.0
    speed: float = 1.0
    playing: bool = False
    repeat: bool = True

    def tick(self, elapsed_s: float) -> None:
        """Let wall time pass [s]."""
        if not self.playing:
            return
        self.at_s += elapsed_s * self.speed
        if self.at_s < self.duration_s:
            return
        if self.repeat and self.duration_s > 0:
            self.at_s %= self.duration_s
        else:
            self.at_s, self.playing = self.duration_s, False

    def play(self, playing: bool) -> None:
        """Begin or stop; at the end it begins anew."""
        self.playing = playing
        if playing and self.at_s >= self.duration_s:
            self.at_s = 0.0

    def seek(self, at_s: float) -> None:
        """Go to a time [s], as far as there is one."""
        self.at_s = min(max(at_s, 0.0), self.duration_s)

    def restart(self, duration_s: float) -> None:
        """Other episodes are shown: from their beginning."""
        self.duration_s, self.at_s = duration_s, 0.0
