"""A term over time, with its missing rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robolearn.data.columns import mark_of
from robolearn.viewer.dataset.terms import Term

MOST_POINTS, MOST_NUMBERS = 3000, 60_000
"""Most points of a line, and of all lines of a chart; longer episodes are drawn by the lowest and highest value of each stretch."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Entries of a term.

    Attributes:
        time_s: time of each row, (T,) [s].
        values: (T, E); missing values repeat the last known one, so that they do not distort a plot.
        missing: rows that are marked as missing or have a value that is not finite, (T,) bool.
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


def held(rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Rows (T, ...) with unknown values replaced by the last known one, or the first later one; zeros if none is known."""
    if not known.any():
        return np.zeros_like(rows)
    last = np.maximum.accumulate(np.where(known, np.arange(len(rows)), -1))
    return rows[np.where(last < 0, int(np.argmax(known)), last)]


def series_of(columns: Mapping[str, np.ndarray], term: Term, entry: str | None, count: int, fps: float) -> Series:
    """A term of an episode of `count` rows.

    Args:
        columns: columns of the episode.
        term: the term.
        entry: one entry; None for all.
        count: T.
        fps: rows per second [Hz].
    """
    places = [place for place, name in enumerate(term.names) if entry in (None, name)]
    known = known_rows(columns, term.column, count) & (term.column in columns)
    values = np.zeros((count, len(places)))
    if term.column in columns:
        rows = columns[term.column].reshape(count, -1)
        values = rows[:, [term.at[place] for place in places]].astype(np.float64)
    return Series(
        time_s=np.arange(count) / fps, values=held(values, known), missing=~known, names=tuple(term.names[place] for place in places)
    )


def thinned(series: Series) -> Series:
    """A series short enough for the browser: a long one is reduced to the lowest and highest value of each stretch, missing if any of its
    rows is.
    """
    most = min(MOST_POINTS, MOST_NUMBERS // max(series.values.shape[1], 1))
    count = len(series.time_s)
    if count <= most:
        return series
    starts = np.linspace(0, count, most // 2, endpoint=False).astype(int)
    both = [np.minimum.reduceat(series.values, starts, axis=0), np.maximum.reduceat(series.values, starts, axis=0)]
    return Series(
        time_s=np.repeat(series.time_s[starts], 2),
        values=np.stack(both, axis=1).reshape(2 * len(starts), -1),
        missing=np.repeat(np.logical_or.reduceat(series.missing, starts), 2),
        names=series.names,
    )


def plotted(series: Series, at_s: float) -> tuple[np.ndarray, ...]:
    """Lines of a chart: times, each entry, 1 for missing rows and otherwise 0, and 1 at `at_s` [s] and otherwise 0; all (N,) of float64.

    Times occur twice before and after missing rows and at `at_s`, so that edges are vertical.
    """
    time_s, values, missing = series.time_s, series.values, series.missing
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
