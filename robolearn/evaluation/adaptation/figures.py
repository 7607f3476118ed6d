"""What a trial says: the curve of the error around the change, and how far and how soon a policy comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from robolearn.evaluation.adaptation.trial import Trial
from robolearn.evaluation.figures import Figure, share
from robolearn.evaluation.statistics import t_interval

CYCLE_S = 0.5  # over which an error is averaged: what a stride does goes by
BASE_S = 2.0  # before the change, for the error that a policy has by itself
LATER_S = 2.0  # at the end of the trial
WITHIN = 1.2  # of the error before
SOON_S = 2.0  # after the change: by when it should be back
RESAMPLES = 1000
UNITS = {
    "before": "m/s", "peak": "m/s", "soon": "m/s", "later": "m/s", "soon_ratio": "", "later_ratio": "", "back_s": "s", "yaw_later": "rad/s",
    "survival": "%",
}  # fmt: skip
LABELS = {
    "before": "error before",
    "peak": "worst after",
    "soon": f"after {SOON_S:g} s",
    "later": "in the end",
    "soon_ratio": f"after {SOON_S:g} s / before",
    "later_ratio": "in the end / before",
    "back_s": f"back within {WITHIN:g}x",
    "yaw_later": "yaw rate error in the end",
    "survival": "survival",
}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """An error over time, with its 95 % interval; time [s] counts from the change. All (T,)."""

    time_s: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def smooth(error: np.ndarray, dt: float) -> np.ndarray:
    """Mean of (T, ...) over the last `CYCLE_S`, or since the start."""
    steps = max(1, round(CYCLE_S / dt))
    total = np.cumsum(np.concatenate([np.zeros_like(error[:1]), error]), axis=0)
    begin = np.maximum(np.arange(len(error)) + 1 - steps, 0)
    length = np.arange(len(error)) + 1 - begin
    return (total[1:] - total[begin]) / length.reshape(-1, *[1] * (error.ndim - 1))


def points(planar: np.ndarray, yaw: np.ndarray, at: int, dt: float) -> dict[str, np.ndarray]:
    """The figures of mean errors (T, R) over worlds, of R resamples at once, each (R,).

    `back_s` is when the error comes within `WITHIN` of that before and stays there; infinite where it does not.
    """
    curve = smooth(planar, dt)
    step = lambda seconds: round(seconds / dt)  # noqa: E731
    before = planar[at - step(BASE_S) : at].mean(0)
    after = curve[at:]
    middle = at + step(SOON_S)
    half = step(CYCLE_S / 2)
    soon = planar[middle - half : middle + half].mean(0)
    later = planar[-step(LATER_S) :].mean(0)
    outside = after > WITHIN * before
    last = np.where(outside.any(0), len(after) - np.argmax(outside[::-1], axis=0), 0)
    back = np.where(last < len(after), last * dt, np.inf)
    return {
        "before": before, "peak": after[: step(SOON_S)].max(0), "soon": soon, "later": later, "soon_ratio": soon / before,
        "later_ratio": later / before, "back_s": back, "yaw_later": yaw[-step(LATER_S) :].mean(0),
    }  # fmt: skip


def measured(trial: Trial, seed: int = 0) -> dict[str, Figure]:
    """The figures of a trial, with intervals by a bootstrap over its worlds; survival is of those that walked when the change came."""
    walked = trial.alive[trial.at - 1]
    planar, yaw = trial.planar[:, walked], trial.yaw[:, walked]
    count = planar.shape[1]
    if count < 2:
        return {name: Figure(None, None, None, count) for name in UNITS}
    whole = points(planar.mean(1, keepdims=True), yaw.mean(1, keepdims=True), trial.at, trial.dt)
    weights = resampling(count, seed)
    drawn = points(planar @ weights, yaw @ weights, trial.at, trial.dt)
    found = {name: _figure(float(value[0]), drawn[name], count) for name, value in whole.items()}
    return found | {"survival": share(trial.alive[-1, walked])}


def resampling(count: int, seed: int = 0) -> np.ndarray:
    """Weights (N, R) of N worlds in R resamples of them."""
    draws = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    return np.stack([np.bincount(row, minlength=count) for row in draws], axis=1) / count


def _figure(value: float, drawn: np.ndarray, count: int) -> Figure:
    """A value with the middle 95 % of its resamples; what is infinite is open."""
    low, high = np.percentile(drawn, [2.5, 97.5], method="nearest")
    ends = [float(end) if np.isfinite(end) else None for end in (value, low, high)]
    return Figure(ends[0], ends[1], ends[2], count)


def over_seeds(figures: Sequence[Mapping[str, Figure]]) -> dict[str, Figure]:
    """The mean of trainings that differ in their seeds, with Student's interval over them; survival of all episodes together."""
    found: dict[str, Figure] = {}
    for name in figures[0]:
        values = [one[name].value for one in figures]
        known = [value for value in values if value is not None]
        if len(known) < len(values):  # a policy that does not come back has no time until it does
            found[name] = Figure(None, min(known) if known else None, None, len(values))
        else:
            found[name] = Figure(float(np.mean(known)), *t_interval(np.array(known)), len(known))
    return found


def curve(trials: Sequence[Trial], seed: int = 0) -> Curve:
    """The error over time: of one policy with a bootstrap over worlds, of several trainings with Student's interval over them."""
    first = trials[0]
    rows = [smooth(trial.planar[:, trial.alive[trial.at - 1]], trial.dt) for trial in trials]
    time_s = (np.arange(len(rows[0])) - first.at + 1) * first.dt
    if len(rows) == 1:
        drawn = rows[0] @ resampling(rows[0].shape[1], seed)
        low, high = np.percentile(drawn, [2.5, 97.5], axis=1)
        return Curve(time_s=time_s, mean=rows[0].mean(1), low=low, high=high)
    means = np.stack([row.mean(1) for row in rows])
    low, high = np.array([t_interval(column) for column in means.T]).T
    return Curve(time_s=time_s, mean=means.mean(0), low=low, high=high)
