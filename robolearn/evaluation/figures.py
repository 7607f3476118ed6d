"""A figure: a number with its 95 % interval, and its text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robolearn.evaluation.statistics import bootstrap_mean, bootstrap_ratio, wilson


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, its 95 % interval and the number of episodes behind it.

    Attributes:
        value: None if nothing was measured or it lies beyond the range that was tried; the interval then says on which side.
        low, high: the interval; None if open.
        count: number of episodes.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int

    def text(self, unit: str = "") -> tuple[str, str]:
        """Value and interval as text."""
        if self.value is None:
            if self.low is not None and self.high is None:
                return f"> {written(self.low, unit)}", "beyond what was tried"
            if self.high is not None and self.low is None:
                return f"< {written(self.high, unit)}", "below what was tried"
            return "–", ""
        if self.low is None and self.high is None:
            return written(self.value, unit), ""
        ends = ("…" if end is None else written(end, unit) for end in (self.low, self.high))
        return written(self.value, unit), " to ".join(ends)


def written(value: float, unit: str) -> str:
    """A number as text, without its unit; a number in percent is a share from 0 to 1."""
    if unit == "%":
        return f"{100 * value:.1f}"
    if unit == "deg":
        return f"{value:.0f}"
    if unit in ("°", "1/min"):
        return f"{value:.1f}"
    if unit == "rad/s³":
        return f"{value:.0f}"
    if unit == "m" and abs(value) < 0.1:
        return f"{value:.4f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def share(hits: np.ndarray) -> Figure:
    """Share of true entries (n,), with its Wilson interval."""
    if len(hits) == 0:
        return Figure(None, None, None, 0)
    return Figure(float(hits.mean()), *wilson(int(hits.sum()), len(hits)), len(hits))


def mean(values: np.ndarray) -> Figure:
    """Mean of (n,) values, with its bootstrap interval; NaN is an episode without a value."""
    values = values[np.isfinite(values)].astype(float)
    if len(values) == 0:
        return Figure(None, None, None, 0)
    interval = bootstrap_mean(values) if len(values) > 1 else (None, None)
    return Figure(float(values.mean()), *interval, len(values))


def ratio(values: np.ndarray, others: np.ndarray) -> Figure:
    """Mean of (n,) values over the mean of (m,) others, with its bootstrap interval; NaN is an episode without a value."""
    values, others = (array[np.isfinite(array)].astype(float) for array in (values, others))
    if not len(values) or not len(others) or not others.mean():
        return Figure(None, None, None, 0)
    return Figure(float(values.mean() / others.mean()), *bootstrap_ratio(values, others), min(len(values), len(others)))
