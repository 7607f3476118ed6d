"""How likely a condition is to fail: a logistic regression with a quadratic penalty, by Newton's steps; small enough to be our own.

It gives the weights that conditions are drawn by, not the figures of a report: those are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PENALTY = 2.0
"""On the squares of weights of columns of unit size: about what a few episodes can say against it."""
STEPS, ENOUGH = 50, 1e-8


@dataclass(frozen=True)
class Logistic:
    """p = 1 / (1 + exp(-(x - middle) / scale . weights - offset)).

    Attributes:
        middle, scale: of the columns, (D,).
        weights: (D,).
        offset: of the mean condition.
    """

    middle: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    offset: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Chances (E,) at columns (E, D)."""
        z = (x - self.middle) / self.scale @ self.weights + self.offset
        return 1.0 / (1.0 + np.exp(-np.clip(z, -30, 30)))


def fit(x: np.ndarray, failed: np.ndarray, penalty: float = PENALTY) -> Logistic:
    """The most likely weights under the penalty.

    Args:
        x: columns (E, D).
        failed: (E,) bool.
        penalty: on the weights' squares, halved; it keeps them finite where failures can be told apart without error.
    """
    middle, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    columns = np.concatenate([(x - middle) / scale, np.ones((len(x), 1))], axis=1)
    y = failed.astype(float)
    ridge = np.full(columns.shape[1], penalty)
    ridge[-1] = 1e-3  # hardly any: the mean is to be met
    weights = np.zeros(columns.shape[1])
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(columns @ weights, -30, 30)))
        gradient = columns.T @ (p - y) + ridge * weights
        curvature = (columns * (p * (1 - p))[:, None]).T @ columns + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))  # no leap where the first guess is far off
        weights -= step
        if float(np.abs(step).max()) < ENOUGH:
            break
    return Logistic(middle, scale, weights[:-1], float(weights[-1]))


def ranking(chance: np.ndarray, failed: np.ndarray) -> float | None:
    """How often an episode that failed was given a higher chance (E,) than one that did not (area under the curve); None without both."""
    bad, good = chance[failed], chance[~failed]
    if not len(bad) or not len(good):
        return None
    order = np.concatenate([bad, good]).argsort(kind="stable")
    values = np.concatenate([bad, good])[order]
    ranks = np.empty(len(values))
    starts = np.flatnonzero(np.concatenate([[True], np.diff(values) > 0]))
    ends = np.concatenate([starts[1:], [len(values)]])
    for start, end in zip(starts, ends, strict=True):  # ties share their mean rank
        ranks[start:end] = (start + end + 1) / 2
    back = np.empty(len(values))
    back[order] = ranks
    return float((back[: len(bad)].sum() - len(bad) * (len(bad) + 1) / 2) / (len(bad) * len(good)))
