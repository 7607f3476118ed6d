"""Finds episodes that occur twice, in whole or in part. Across a split they make a validation worthless.

An episode of the smaller side of a split is cut into windows of a second, one after the other, and each is searched for at every frame of
the other side. A match is closer than `NEAR` on average over its frames and joints; windows in which nothing moves are skipped, since all
standing looks alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robolearn.data.check.findings import Finding, FloatArray, Seen
from robolearn.data.columns import STATE

WINDOW_S = 1.0
SAMPLES = 10
"""Frames of a window that are compared."""
NEAR = 0.01
"""Root mean square difference [rad] up to which two windows are the same motion."""
ALIVE = 0.05
"""Least standard deviation [rad] of the joint that moves most, for a window to be compared."""
SHARE = 0.5
"""Share of an episode's windows that must match to make it a near copy."""
MOST = 2_000_000_000
"""Most pairs of windows to compare; if there are more, only every second, third, ... window of the smaller side is searched for."""


Windows = NDArray[np.float32]


@dataclass(slots=True)
class _Episode:
    name: str
    split: str
    digest: str
    position: Windows
    fps: float
    robot: str


class Copies:
    """Collects episodes, then reports which are copies."""

    def __init__(self) -> None:
        self._episodes: list[_Episode] = []

    def see(self, seen: Seen) -> None:
        """Add an episode."""
        values = seen.columns.get(STATE)
        if values is None or not len(seen):
            return
        digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        position = seen.position if seen.position is not None else values.reshape(len(seen), -1).astype(np.float64)
        self._episodes.append(_Episode(seen.name, seen.split, digest, np.asarray(position, np.float32), seen.fps, seen.source.robot))

    def end(self) -> Iterator[Finding]:
        """The copies."""
        first: dict[str, _Episode] = {}
        copied: set[str] = set()
        for number, item in enumerate(self._episodes):
            other = first.setdefault(item.digest, item)
            if other is item:
                continue
            across = item.split != other.split
            copied |= {item.name} if across else set()
            where = f", {other.split or 'no split'} and {item.split or 'no split'}" if across else ""
            text = f"is a copy of {other.name}{where}"
            key = f"{other.split}/{item.split}" if across else "within"
            yield Finding(check="copies", key=key, text=text, episode=item.name, grave=across, size=-number)
        for robot in dict.fromkeys(item.robot for item in self._episodes):
            mine = [item for item in self._episodes if item.robot == robot and item.name not in copied]
            yield from self._near(mine)

    def _near(self, episodes: list[_Episode]) -> Iterator[Finding]:
        names = list(dict.fromkeys(item.split for item in episodes))
        for number, name in enumerate(names):
            for other in names[number + 1 :]:
                sides = [[item for item in episodes if item.split == which] for which in (name, other)]
                small, large = sorted(sides, key=lambda side: sum(len(item.position) for item in side))
                yield from _compare(small, large)


def _compare(small: list[_Episode], large: list[_Episode]) -> Iterator[Finding]:
    """Search for the motion of episodes in others."""
    if len({item.position.shape[1] for item in small + large}) != 1:
        return
    frames = sum(len(item.position) for item in large)
    a_side = [_alive(_windows(item, max(1, round(WINDOW_S * item.fps)))) for item in small]
    every = max(1, -(-sum(map(len, a_side)) * frames // MOST))
    mine = [windows[::every] for windows in a_side]
    rows = np.concatenate(mine)
    if not len(rows):
        return
    best, where = np.full(len(rows), np.inf), np.zeros(len(rows), np.int64)
    for number, item in enumerate(large):
        distance = _distances(rows, _windows(item, 1))
        better = distance < best
        best[better], where[better] = distance[better], number
    begin = 0
    for item, windows in zip(small, mine, strict=True):
        near = best[begin : begin + len(windows)] < NEAR
        others = where[begin : begin + len(windows)][near]
        begin += len(windows)
        if not near.any() or near.mean() < SHARE:
            continue
        other = large[int(np.bincount(others).argmax())]
        found = f"are also in {other.split or 'no split'}, mostly in {other.name}"
        text = f"{100 * near.mean():.0f} % of its windows of {WINDOW_S:g} s {found}: a near copy on both sides of the split"
        yield Finding(check="copies", key=f"{item.split}/{other.split} near", text=text, episode=item.name, size=float(near.mean()))


def _windows(item: _Episode, stride: int) -> Windows:
    """Windows as rows (W, SAMPLES * J), one from every `stride`-th frame on."""
    length = max(SAMPLES, round(WINDOW_S * item.fps))
    begins = np.arange(0, len(item.position) - length + 1, stride)
    at = begins[:, None] + np.linspace(0, length - 1, SAMPLES).round().astype(int)[None]
    return item.position[at].reshape(len(begins), SAMPLES * item.position.shape[1])


def _alive(windows: Windows) -> Windows:
    """The windows in which something moves."""
    return windows[windows.reshape(len(windows), SAMPLES, -1).std(axis=1).max(axis=1, initial=0.0) > ALIVE]


def _distances(mine: Windows, library: Windows) -> FloatArray:
    """Root mean square distance [rad] of each window (K, D) to the nearest in a library (L, D)."""
    if not len(library):
        return np.full(len(mine), np.inf)
    squares = np.einsum("ij,ij->i", mine, mine)[:, None] - 2 * mine @ library.T + np.einsum("ij,ij->i", library, library)[None]
    nearest = library[squares.argmin(axis=1)]
    return np.sqrt(np.mean((mine - nearest) ** 2, axis=1))  # the expanded squares lose small differences to rounding
