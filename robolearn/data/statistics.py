"""Statistics of columns: lerobot's, computed as lerobot does, and ours per robot and control mode.

lerobot's (`meta/stats.json`, and those of each episode in `meta/episodes`) are over all rows, including the zeros of missing values. Its
quantiles come from a histogram of 5,000 bins per episode, and those of a dataset are averages over episodes; they are reproduced here bin
by bin, so that both programs give the same numbers. Means and standard deviations are computed in double precision; lerobot uses the
column's precision.

Ours (`GroupStatistics`) are over the known rows of one robot and control mode, as a normaliser needs them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Statistics = dict[str, np.ndarray]
"""`min`, `max`, `mean`, `std`, `count` and the quantiles of one column; `count` is (1,), the others (D,)."""
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
BINS = 5000


def column_statistics(rows: np.ndarray) -> Statistics:
    """lerobot's statistics of a numeric column.

    Args:
        rows: (T, D) of any number type; T at least 1.
    """
    values = rows.reshape(len(rows), -1)
    values = values.astype(np.result_type(values.dtype, np.float32), copy=False)
    low, high = values.min(axis=0), values.max(axis=0)
    mean: np.ndarray = values.mean(axis=0, dtype=np.float64)
    spread = values.std(axis=0, dtype=np.float64)
    found: Statistics = {"min": low, "max": high, "mean": mean, "std": spread, "count": np.array([len(values)])}
    if len(values) < 2:
        found.update(dict.fromkeys(QUANTILES, mean))
        return found
    start, stop = low - values.dtype.type(1e-10), high + values.dtype.type(1e-10)
    step = (stop - start) / values.dtype.type(BINS)
    ordered = np.sort(values, axis=0)
    for name, quantile in QUANTILES.items():
        found[name] = _quantile(ordered, start, stop, step, quantile * len(values))
    return found


def _quantile(ordered: np.ndarray, start: np.ndarray, stop: np.ndarray, step: np.ndarray, target: float) -> np.ndarray:
    """Where the histogram's cumulative count reaches `target`, interpolated linearly within a bin; (D,)."""

    def edge(index: np.ndarray) -> np.ndarray:
        inside = (index.astype(ordered.dtype) * step + start).astype(ordered.dtype)
        return np.where(index >= BINS, stop, inside)

    value = ordered[max(math.ceil(target), 1) - 1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        index = np.nan_to_num(np.floor((value - start) / step), nan=BINS - 1, posinf=BINS - 1)
    index = np.clip(index, 0, BINS - 1).astype(np.int64)
    for _ in range(2):  # division and multiplication round differently
        index = np.where((value < edge(index)) & (index > 0), index - 1, index)
        index = np.where((value >= edge(index + 1)) & (index < BINS - 1), index + 1, index)
    lower, upper = edge(index), edge(index + 1)
    before = (ordered < lower).sum(axis=0)
    within = np.where(index == BINS - 1, len(ordered), (ordered < upper).sum(axis=0)) - before
    fraction = (target - before) / np.maximum(within, 1)
    return np.where(index == 0, start, lower + fraction * (upper - lower))


def aggregate(parts: list[Statistics]) -> Statistics:
    """Statistics of a whole from those of its parts, as lerobot computes them: quantiles are averaged."""
    count = np.array([part["count"][0] for part in parts], dtype=np.float64)
    weights = (count / count.sum()).reshape(-1, *[1] * parts[0]["mean"].ndim)

    def mean(name: str) -> np.ndarray:
        return (np.stack([part[name] for part in parts]) * weights).sum(axis=0)

    middle = mean("mean")
    spread = np.stack([part["std"] ** 2 + (part["mean"] - middle) ** 2 for part in parts])
    found = {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": middle,
        "std": np.sqrt((spread * weights).sum(axis=0)),
        "count": np.array([int(count.sum())]),
    }
    return found | {name: mean(name) for name in parts[0] if name in QUANTILES and all(name in part for part in parts)}


@dataclass
class Moments:
    """Count, mean and spread of a column's known rows; more rows can be added."""

    count: int
    mean: np.ndarray
    std: np.ndarray
    min: np.ndarray
    max: np.ndarray

    @staticmethod
    def of(rows: np.ndarray) -> Moments:
        """The statistics of rows (T, D)."""
        rows = rows.astype(np.float64)
        return Moments(len(rows), rows.mean(axis=0), rows.std(axis=0), rows.min(axis=0), rows.max(axis=0))

    def with_more(self, other: Moments) -> Moments:
        """The statistics of the rows of both (Chan et al. 1979)."""
        count = self.count + other.count
        share = other.count / count
        difference = other.mean - self.mean
        variance = (1 - share) * self.std**2 + share * other.std**2 + share * (1 - share) * difference**2
        return Moments(
            count,
            self.mean + share * difference,
            np.sqrt(variance),
            np.minimum(self.min, other.min),
            np.maximum(self.max, other.max),
        )


@dataclass
class GroupStatistics:
    """Statistics of one robot in one control mode, over the known rows.

    Attributes:
        robot, control_mode: the group.
        layout: index of its columns in the dataset's layouts.
        columns: statistics by column, without columns that are unknown in all rows of the group.
    """

    robot: str
    control_mode: str
    layout: int
    columns: dict[str, Moments] = field(default_factory=dict)

    def add(self, name: str, rows: np.ndarray) -> None:
        """Add known rows (T, ...) of a column."""
        if len(rows):
            more = Moments.of(rows.reshape(len(rows), -1))
            self.columns[name] = self.columns[name].with_more(more) if name in self.columns else more

    def to_json(self) -> dict[str, Any]:
        """As JSON values; exact."""
        columns = {
            name: {"count": m.count, "mean": m.mean.tolist(), "std": m.std.tolist(), "min": m.min.tolist(), "max": m.max.tolist()}
            for name, m in self.columns.items()
        }
        return {"robot": self.robot, "control_mode": self.control_mode, "layout": self.layout, "columns": columns}

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> GroupStatistics:
        """Read what `to_json` gave."""
        columns = {
            name: Moments(int(item["count"]), *(np.array(item[key], dtype=np.float64) for key in ("mean", "std", "min", "max")))
            for name, item in raw["columns"].items()
        }
        return GroupStatistics(raw["robot"], raw["control_mode"], int(raw["layout"]), columns)
