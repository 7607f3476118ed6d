"""Checks that what should be there is there: finds empty columns, joints that never move, and missing licences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from robolearn.data.check.findings import Finding, Seen
from robolearn.data.columns import ACTION, COMMAND, CONTACT, REWARD, ROOT, STATE
from robolearn.data.source import UNKNOWN

EXPECTED = {"policy": (ACTION,), "teleoperation": (ACTION,)}
"""Columns that a kind of source must have."""
NEVER_ZERO = (ROOT, ACTION, STATE)
"""Columns that are never all zero if they are known."""


class Contents:
    """Collects facts over all episodes, then reports on the dataset."""

    def __init__(self, declared: Iterable[str]) -> None:
        """Begin, for a dataset that declares these columns."""
        self._declared = tuple(declared)
        self._valid: dict[str, int] = dict.fromkeys(self._declared, 0)
        self._kinds: dict[str, list[str]] = {}
        self._lacking: dict[tuple[str, str], list[str]] = {}
        self._low: dict[str, np.ndarray] = {}
        self._high: dict[str, np.ndarray] = {}
        self._joints: dict[str, tuple[str, ...]] = {}
        self._licences: dict[str, str] = {}

    def see(self, seen: Seen) -> Iterator[Finding]:
        """The findings about one episode."""
        if len(seen) < 2:
            yield Finding(check="empty", key="length", text=f"{len(seen)} frames", episode=seen.name)
            return
        for name in self._declared:
            self._valid[name] = self._valid.get(name, 0) + int(seen.known(name).sum())
        self._kinds.setdefault(seen.source.kind, []).append(seen.name)
        for name in EXPECTED.get(seen.source.kind, ()):
            if not seen.known(name).any():
                self._lacking.setdefault((seen.source.kind, name), []).append(seen.name)
        if seen.source.licence == UNKNOWN:
            self._licences[seen.source.note or seen.source.kind] = seen.name
        for name in NEVER_ZERO:
            rows = seen.values(name)
            if rows is not None and not rows.any():
                text = f"{name} is zero in every frame, but not marked as missing"
                yield Finding(check="empty", key=name, text=text, episode=seen.name)
        if seen.position is not None:
            self._spread(seen)

    def _spread(self, seen: Seen) -> None:
        position, robot = seen.position, seen.source.robot
        assert position is not None
        low, high = position.min(axis=0), position.max(axis=0)
        if robot in self._low and self._low[robot].shape == low.shape:
            self._low[robot], self._high[robot] = np.minimum(self._low[robot], low), np.maximum(self._high[robot], high)
        else:
            self._low[robot], self._high[robot], self._joints[robot] = low, high, seen.joints

    def end(self) -> Iterator[Finding]:
        """The findings about the dataset."""
        for (kind, name), episodes in self._lacking.items():
            text = f"{name} is missing in all frames of {len(episodes)} episodes of kind {kind}, first {episodes[0]}"
            yield Finding(check="empty", key=f"{kind} {name}", text=text, size=float(len(episodes)))
        nowhere = [name for name, count in self._valid.items() if not count]
        usual = {ROOT, CONTACT, COMMAND, ACTION, REWARD}
        for name in nowhere:
            text = f"{name} is missing in every frame of the dataset" + ("" if name in usual else "; leave the column out")
            yield Finding(check="empty", key=name, text=text, grave=name not in usual)
        for robot, low in self._low.items():
            still = [name for name, a, b in zip(self._joints[robot], low, self._high[robot], strict=True) if b - a < 1e-6]
            if still:
                text = f"of {robot} these joints never move: {', '.join(still)}"
                yield Finding(check="empty", key=f"{robot} still", text=text, grave=False)
        if self._licences:
            text = f"{len(self._licences)} sources have no licence; trainings leave them out unless given --allow-licence unknown"
            yield Finding(check="licence", key="unknown", text=text, grave=False)
