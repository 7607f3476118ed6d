"""The page's time within an episode: playing, paused, or set by the user."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class Clock:
    """Time since the beginning of the shown episodes.

    Attributes:
        duration_s: duration of the longer episode, the largest time.
        at_s: the current time [s].
        speed: simulated seconds per second.
        playing: whether time passes.
        repeat: whether playing continues at the beginning after the end; otherwise it stops.
    """

    duration_s: float = 0.0
    at_s: float = 0.0
    speed: float = 1.0
    playing: bool = False
    repeat: bool = True

    def tick(self, elapsed_s: float) -> None:
        """Advance by wall time [s]."""
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
        """Start or pause; at the end, start from the beginning."""
        self.playing = playing
        if playing and self.at_s >= self.duration_s:
            self.at_s = 0.0

    def seek(self, at_s: float) -> None:
        """Go to a time [s], limited to the duration."""
        self.at_s = min(max(at_s, 0.0), self.duration_s)

    def restart(self, duration_s: float) -> None:
        """Start at the beginning of other episodes."""
        self.duration_s, self.at_s = duration_s, 0.0
