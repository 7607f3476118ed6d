"""Episodes that are there twice, in whole or in part. Across a split they make a validation worth nothing.

An episode is cut into windows of a second, one after the other; a window of the smaller side of a split is looked for at every second frame
of the other side. A window that is found lies closer than `NEAR` on average over its frames and joints; windows in which nothing
moves are not looked for, since everybody stands alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from robolearn.data.check.findings import Finding, FloatArray, Seen
from robolearn.data.columns import STATE

WINDOW_S = 1.0
SAMPLES = 10
"""Frames of a window that are compared."""
NEAR = 0.01
"""Root mean square difference of two windows [rad] that are the same motion."""
ALIVE = 0.05
"""Standard deviation [rad] of the joint that moves most, in a window that is compared."""
SHARE = 0.5
"""Share of an episode's windows that make it a near copy."""
MOST = 400_000
"""Windows of the larger side that are compared; of more, every second, third, ... is."""
BLOCK = 4096


@dataclass(slots=True)
class _Episode:
    index: int
    split: str
    digest: str
    position: FloatArray
    fps: float
    robot: str


class Copies:
    """Collects episodes, and then says which are copies."""

    def __init__(self, splits: dict[str, range]) -> None:
        """For a dataset with these splits, name -> episodes."""
        self._splits = splits
        self._episodes: list[_Episode] = []

    def see(self, seen: Seen) -> None:
        """Take an episode in."""
        values = seen.columns.get(STATE)
        if values is None or not len(seen):
            return
        digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        position = seen.position if seen.position is not None else values.reshape(len(seen), -1).astype(np.float64)
        split = next((name for name, episodes in self._splits.items() if seen.index in episodes), "")
        self._episodes.append(_Episode(seen.index, split, digest, position.astype(np.float32), seen.fps, seen.source.robot))

    def end(self) -> Iterator[Finding]:
        """What was found."""
        first: dict[str, _Episode] = {}
        copied: set[int] = set()
        for item in self._episodes:
            other = first.setdefault(item.digest, item)
            if other is item:
                continue
            across = item.split != other.split
            copied |= {item.index} if across else set()
            where = f", {other.split or 'no split'} and {item.split or 'no split'}" if across else ""
            text = f"is a copy of episode {other.index}{where}"
            key = f"{other.split}/{item.split}" if across else "within"
            yield Finding(check="copies", key=key, text=text, episode=item.index, grave=across, size=-item.index)
        for robot in dict.fromkeys(item.robot for item in self._episodes):
            mine = [item for item in self._episodes if item.robot == robot and item.index not in copied]
            yield from self._near(mine)

    def _near(self, episodes: list[_Episode]) -> Iterator[Finding]:
        names = [name for name in self._splits if any(item.split == name for item in episodes)]
        for number, name in enumerate(names):
            for other in names[number + 1 :]:
                sides = [[item for item in episodes if item.split == which] for which in (name, other)]
                small, large = sorted(sides, key=lambda side: sum(len(item.position) for item in side))
                yield from _compare(small, large)


def _compare(small: list[_Episode], large: list[_Episode]) -> Iterator[Finding]:
    widths = {item.position.shape[1] for item in small + large}
    if len(widths) != 1:
        return
    frames = sum(len(item.position) for item in large)
    stride = max(2, -(-frames // MOST))
    parts = [_windows(item, stride) for item in large]
    library = np.concatenate(parts)
    owner = np.repeat([item.index for item in large], [len(part) for part in parts])
    if not len(library):
        return
    squares = np.einsum("ij,ij->i", library, library)
    for item in small:
        mine = _windows(item, max(1, round(WINDOW_S * item.fps)))
        alive = mine.reshape(len(mine), SAMPLES, -1).std(axis=1).max(axis=1) > ALIVE if len(mine) else np.zeros(0, bool)
        mine = mine[alive]
        if not len(mine):
            continue
        nearest, distance = _nearest(mine, library, squares)
        near = distance < NEAR
        if near.mean() >= SHARE:
            others = owner[nearest[near]]
            other = int(np.bincount(others).argmax())
            split = next(each.split for each in large if each.index == other)
            text = (
                f"{100 * near.mean():.0f} % of its windows of {WINDOW_S:g} s are also in {split}, most of them in episode {other}:"
                f" a near copy across the split ({item.split})"
            )
            yield Finding(check="copies", key=f"{item.split}/{split} near", text=text, episode=item.index, size=float(near.mean()))


def _windows(item: _Episode, stride: int) -> FloatArray:
    """Windows as rows (W, SAMPLES * J), one from every `stride`-th frame on."""
    length = max(SAMPLES, round(WINDOW_S * item.fps))
    begins = np.arange(0, len(item.position) - length + 1, stride)
    at = begins[:, None] + np.linspace(0, length - 1, SAMPLES).round().astype(int)[None]
    return item.position[at].reshape(len(begins), -1)


def _nearest(mine: FloatArray, library: FloatArray, squares: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Index of the nearest window of the library, and its root mean square distance [rad], for each of mine."""
    best, where = np.full(len(mine), np.inf), np.zeros(len(mine), np.int64)
    own = np.einsum("ij,ij->i", mine, mine)
    for begin in range(0, len(library), BLOCK):
        part = own[:, None] - 2 * mine @ library[begin : begin + BLOCK].T + squares[None, begin : begin + BLOCK]
        at = part.argmin(axis=1)
        value = part[np.arange(len(mine)), at]
        better = value < best
        best[better], where[better] = value[better], begin + at[better]
    exact = np.sqrt(np.mean((mine - library[where]) ** 2, axis=1))  # the sum above loses small differences to rounding
    return where, exact
