"""A term over time, and where it is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robolearn.data.columns import mark_of
from robolearn.viewer.dataset.terms import Term

MOST_POINTS = 3000
"""Points of a line; of longer episodes each stretch is drawn by its lowest and highest."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Entries of a term.

    Attributes:
        time_s: of each row, (T,) [s].
        values: (T, E); where they are missing, the last that was known, so that a plot is neither torn down to zero nor scaled by it.
        missing: rows that are marked as missing or hold a number that is none, (T,) bool.
        names: of the entries.
    """

    time_s: np.ndarray
    values: np.ndarray
    missing: np.ndarray
    names: tuple[str, ...]


def known_rows(columns: Mapping[str, np.ndarray], name: str, count: int) -> np.ndarray:
    """Rows in which a column is known by its mark, and finite, (T,) bool."""
    values, mark = columns.get(name), columns.get(mark_of(name))
    if values is None:
        return np.zeros(count, dtype=bool) if mark is None else np.asarray(mark, bool).reshape(count)
    known = np.ones(count, dtype=bool) if mark is None else np.asarray(mark, bool).reshape(count)
    if values.dtype.kind == "f":
        known = known & np.isfinite(values.reshape(count, -1)).all(axis=1)
    return known


def series_of(columns: Mapping[str, np.ndarray], term: Term, entry: str | None, count: int, fps: float) -> Series:
    """A term of an episode of `count` rows.

    Args:
        columns: of the episode.
        term: which one.
        entry: one entry; None for all.
        count: T.
        fps: rows a second [Hz].
    """
    places = [place for place, name in enumerate(term.names) if entry in (None, name)]
    known = known_rows(columns, term.column, count) & (term.column in columns)
    values = np.zeros((count, len(places)))
    if term.column in columns:
        rows = columns[term.column].reshape(count, -1)
        values = rows[:, [term.at[place] for place in places]].astype(np.float64)
    if known.any():
        last = np.maximum.accumulate(np.where(known, np.arange(count), -1))
        values = values[np.where(last < 0, int(np.argmax(known)), last)]
    else:
        values = np.zeros_like(values)
    return Series(time_s=np.arange(count) / fps, values=values, missing=~known, names=tuple(term.names[place] for place in places))


def plotted(series: Series, at_s: float) -> tuple[np.ndarray, ...]:
    """Lines of a chart: times, each entry, 1 where it is missing and else 0, and 1 at `at_s` [s] and else 0; all (N,) of float64.

    Before and after what is missing, and around now, times stand twice, so that both are drawn upright.
    """
    rows = _chosen(series)
    time_s, values, missing = series.time_s[rows], series.values[rows], series.missing[rows]
    edges = np.flatnonzero(np.diff(missing.astype(np.int8))) + 1
    time_s, values = np.insert(time_s, edges, time_s[edges]), np.insert(values, edges, values[edges], axis=0)
    gap = np.insert(missing, edges, missing[edges - 1]).astype(np.float64)
    place = int(np.searchsorted(time_s, at_s, side="right"))
    nearest = min(max(place - 1, 0), len(time_s) - 1)
    time_s = np.insert(time_s, [place] * 3, [at_s] * 3)
    values = np.insert(values, [place] * 3, values[[nearest] * 3], axis=0)
    gap = np.insert(gap, [place] * 3, gap[nearest])
    now = np.zeros(len(time_s))
    now[place + 1] = 1.0
    return (time_s, *(np.ascontiguousarray(line) for line in values.T), gap, now)


def _chosen(series: Series) -> np.ndarray:
    """Rows that are drawn: all of a short episode; of a long one, of each stretch those with the extremes of any entry and of the mark."""
    count = len(series.time_s)
    stretches = max(1, MOST_POINTS // (2 * series.values.shape[1] + 2))
    if count <= MOST_POINTS:
        return np.arange(count)
    rows = [0, count - 1]
    for part in np.array_split(np.arange(count), stretches):
        rows += [*(part[0] + series.values[part].argmin(axis=0)), *(part[0] + series.values[part].argmax(axis=0))]
        rows += [part[0] + int(series.missing[part].argmin()), part[0] + int(series.missing[part].argmax())]
    return np.unique(rows)
