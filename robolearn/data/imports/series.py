"""A quantity of a recording over time, and its resampling to the frames of an episode.

A robot's topics have their own rates and phases; the frames of a dataset have one rate:

    sensor     x    x    x    x         x    x      a hole, longer than `gap_s`
    frames     | | | | | | | |             | | |    two episodes; each value interpolated between its neighbours

NaN in a series means that this message has no value for this entry (a joint state with some of the joints, a broken sensor).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robolearn.data.columns import DataError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


SAME_S = 1e-6
"""Times that are closer than this are one [s]."""


class RecordingError(DataError):
    """A recording that cannot be made into episodes."""


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity.

    Attributes:
        time_s: when each row was measured, increasing, (T,).
        values: rows, NaN for missing entries, (T, D).
        names: names of the D entries; empty if the recording does not name them.
    """

    time_s: FloatArray
    values: FloatArray
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.time_s) != len(self.values):
            raise ValueError(f"a series has rows (T, D) at times (T,), not {self.values.shape} at {self.time_s.shape}")

    @property
    def width(self) -> int:
        """D."""
        return self.values.shape[1]

    def columns(self, which: list[int]) -> Series:
        """A selection of its entries, in this order."""
        return Series(self.time_s, self.values[:, which], tuple(self.names[i] for i in which) if self.names else ())

    def sorted(self) -> Series:
        """Sorted by time; of several rows at one time the last is kept."""
        order = np.argsort(self.time_s, kind="stable")
        time_s = self.time_s[order]
        last = np.append(np.diff(time_s) > 0, True) if len(time_s) else np.zeros(0, bool)
        return Series(time_s[last], self.values[order][last], self.names)


def grid(begin_s: float, end_s: float, fps: float) -> FloatArray:
    """Times of the frames from `begin_s` to at most `end_s`, (T,)."""
    return begin_s + np.arange(int(np.floor((end_s - begin_s) * fps + 1e-6)) + 1) / fps


def spans(series: list[Series], gap_s: float) -> list[tuple[float, float]]:
    """The spans of time in which all entries of all `series` are known, without a gap longer than `gap_s`, in order."""
    found: list[tuple[float, float]] | None = None
    for item in series:
        for times in _entry_times(item):
            own = _pieces(times, gap_s)
            found = own if found is None else _both(found, own)
    return found or []


def _entry_times(series: Series) -> list[FloatArray]:
    """The times of each entry; entries that always occur together are given once."""
    known = ~np.isnan(series.values)
    different = np.unique(known, axis=1) if series.width else np.ones((len(known), 1), bool)
    return [series.time_s[different[:, i]] for i in range(different.shape[1])]


def _pieces(times: FloatArray, gap_s: float) -> list[tuple[float, float]]:
    if not len(times):
        return []
    cuts = np.flatnonzero(np.diff(times) > gap_s) + 1
    return [(float(piece[0]), float(piece[-1])) for piece in np.split(times, cuts)]


def _both(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The intersection of two lists of spans."""
    pairs = ((max(x[0], y[0]), min(x[1], y[1])) for x in a for y in b)
    return sorted((begin, end) for begin, end in pairs if end > begin)


def interpolated(series: Series, at_s: FloatArray, gap_s: float) -> tuple[FloatArray, BoolArray]:
    """A quantity that changes steadily, at the times `at_s` (T,).

    Returns: Values (T, D), zeros if unknown; whether all entries are known, within the recording and outside gaps, (T,).
    """
    values, known = np.zeros((len(at_s), series.width)), np.ones(len(at_s), bool)
    for i in range(series.width):
        said = ~np.isnan(series.values[:, i])
        times = series.time_s[said]
        if not len(times):
            return np.zeros_like(values), np.zeros(len(at_s), bool)
        values[:, i] = np.interp(at_s, times, series.values[said, i])
        known &= _within(times, at_s, gap_s)
    values[~known] = 0.0
    return values, known


def turned(series: Series, at_s: FloatArray, gap_s: float) -> tuple[FloatArray, BoolArray]:
    """An attitude, quaternions (T, 4), interpolated along the shorter arc (normalised linear) and of length one. As `interpolated`."""
    said = ~np.isnan(series.values).any(axis=1)
    times, quat = series.time_s[said], series.values[said]
    length = np.linalg.norm(quat, axis=1)
    times, quat, length = times[length > 0.5], quat[length > 0.5], length[length > 0.5]  # an IMU reports zeros if it has no attitude
    if not len(times):
        return np.zeros((len(at_s), 4)), np.zeros(len(at_s), bool)
    quat = quat / length[:, None]
    flips = np.cumprod(np.where(np.sum(quat[1:] * quat[:-1], axis=1) < 0, -1.0, 1.0)) if len(quat) > 1 else np.ones(0)
    quat = quat * np.concatenate([[1.0], flips])[:, None]
    values, known = interpolated(Series(times, quat), at_s, gap_s)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1.0), known


def held(series: Series, at_s: FloatArray, hold_s: float) -> tuple[FloatArray, BoolArray]:
    """A quantity that holds until its next value: the last row at or before each time, for at most `hold_s`. As `interpolated`."""
    said = ~np.isnan(series.values).any(axis=1)
    return _taken(
        series.time_s[said], series.values[said], at_s, np.searchsorted(series.time_s[said], at_s + SAME_S, side="right") - 1, hold_s
    )


def answered(series: Series, at_s: FloatArray, within_s: float, hold_s: float) -> tuple[FloatArray, BoolArray]:
    """The action that answers the observation at each time: the first row at or after it within `within_s`, otherwise the one that still
    holds.

    An action comes a little later than the reading it answers, so the last action before a frame answers the previous frame.
    """
    said = ~np.isnan(series.values).any(axis=1)
    times, rows = series.time_s[said], series.values[said]
    if not len(times):
        return np.zeros((len(at_s), series.width)), np.zeros(len(at_s), bool)
    after = np.searchsorted(times, at_s - SAME_S, side="left")
    soon = (after < len(times)) & (times[np.minimum(after, len(times) - 1)] - at_s < within_s)
    before = np.searchsorted(times, at_s + SAME_S, side="right") - 1
    return _taken(times, rows, at_s, np.where(soon, after, before), max(hold_s, within_s))


def _taken(times: FloatArray, rows: FloatArray, at_s: FloatArray, index: NDArray[np.int64], most_s: float) -> tuple[FloatArray, BoolArray]:
    """Rows by index; unknown if there is none within `most_s`."""
    if not len(times):
        return np.zeros((len(at_s), rows.shape[1])), np.zeros(len(at_s), bool)
    safe = np.clip(index, 0, len(times) - 1)
    known = (index >= 0) & (np.abs(at_s - times[safe]) <= most_s)
    return np.where(known[:, None], rows[safe], 0.0), known


def _within(times: FloatArray, at_s: FloatArray, gap_s: float) -> BoolArray:
    """Whether each time lies between two rows that are at most `gap_s` apart, or on one."""
    after = np.searchsorted(times, at_s - SAME_S, side="left")
    inside = (after < len(times)) & (at_s >= times[0] - SAME_S)
    right = times[np.minimum(after, len(times) - 1)]
    left = times[np.maximum(np.minimum(after, len(times) - 1) - 1, 0)]
    return inside & ((right - left <= gap_s) | (np.abs(right - at_s) < 2 * SAME_S))
