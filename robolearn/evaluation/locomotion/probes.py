"""Linear probes of features: a hyperplane that separates two classes, or a weighted sum that gives a number.

Probes are fitted in some worlds and tested in others, since samples of one world resemble each other. Features are standardized and reduced
to their leading principal components by the worlds of the fit only, so that 1,500 hidden numbers have no advantage over 50 readings.
"""

from __future__ import annotations

import numpy as np

from robolearn.evaluation.figures import Figure, mean

COMPONENTS = 100
PENALTIES = 10.0 ** np.arange(-3, 3)  # multiplied by the number of samples
RESAMPLES = 1000


class Reduction:
    """Standardized leading principal components of features (S, D)."""

    def __init__(self, features: np.ndarray, components: int = COMPONENTS) -> None:
        self._mean, self._std = features.mean(0), features.std(0) + 1e-6
        z = (features - self._mean) / self._std
        values, vectors = np.linalg.eigh(z.T @ z / len(z))
        kept = np.argsort(values)[::-1][: min(components, len(features) - 1)]
        kept = kept[values[kept] > 1e-6 * values.max()]
        self._basis = vectors[:, kept] / np.sqrt(values[kept])

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Components (S, K), each of unit variance in the fit, the greatest first."""
        return (features - self._mean) / self._std @ self._basis


def ridge(x: np.ndarray, y: np.ndarray, worlds: np.ndarray) -> np.ndarray:
    """Weights (K + 1,) of y (S,) on x (S, K) and one; the penalty is the best of `PENALTIES` over four folds of worlds."""
    fold = np.unique(worlds, return_inverse=True)[1] % 4
    errors = np.zeros(len(PENALTIES))
    for held in range(4):
        fitted, judged = fold != held, fold == held
        if fitted.any() and judged.any():
            errors += [((_with_one(x[judged]) @ _solve(x[fitted], y[fitted], p) - y[judged]) ** 2).sum() for p in PENALTIES]
    return _solve(x, y, PENALTIES[errors.argmin()])


def _solve(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    design = _with_one(x)
    shrink = np.full(design.shape[1], penalty * len(x))
    shrink[-1] = 0.0
    return np.linalg.solve(design.T @ design + np.diag(shrink), design.T @ y)


def logistic(x: np.ndarray, positive: np.ndarray, penalty: float = 1e-3, steps: int = 15) -> np.ndarray:
    """Weights (K + 1,) of a logistic regression by Newton steps; both classes have equal weight; `penalty` is on the mean squared
    weight.
    """
    design = _with_one(x)
    weight = np.where(positive, 0.5 / max(positive.sum(), 1), 0.5 / max((~positive).sum(), 1))
    shrink = np.full(design.shape[1], penalty)
    shrink[-1] = 1e-9
    w = np.zeros(design.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(design @ w, -30, 30)))
        gradient = design.T @ (weight * (p - positive)) + shrink * w
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design + np.diag(shrink)
        w = w - np.linalg.solve(curvature, gradient)
    return w


def scores(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The output of a probe for (S, K) samples, (S,): a number, or the log-odds of the positive class."""
    return _with_one(x) @ weights


def balanced_accuracy(log_odds: np.ndarray, positive: np.ndarray, worlds: np.ndarray) -> Figure:
    """Mean of the two classes' accuracies, 0.5 by chance, averaged over the worlds that have both."""
    right = (log_odds > 0) == positive
    each = []
    for world in np.unique(worlds):
        here = worlds == world
        if positive[here].any() and not positive[here].all():
            each.append((right[here & positive].mean() + right[here & ~positive].mean()) / 2)
    return mean(np.array(each))


def r_squared(predicted: np.ndarray, true: np.ndarray, worlds: np.ndarray, seed: int = 0) -> Figure:
    """Share of the variance of `true` (S,) that the prediction explains; the interval is a bootstrap over worlds."""
    ids, index = np.unique(worlds, return_inverse=True)
    if len(ids) < 2:
        return Figure(None, None, None, len(ids))
    sums = np.stack([np.bincount(index, weights=v) for v in (np.ones(len(true)), true, true**2, (predicted - true) ** 2)])  # (4, worlds)
    draws = np.random.default_rng(seed).integers(0, len(ids), (RESAMPLES, len(ids)))
    low, high = np.percentile(_explained(sums[:, draws].sum(-1)), [2.5, 97.5])
    return Figure(float(_explained(sums.sum(-1))), float(low), float(high), len(ids))


def _explained(sums: np.ndarray) -> np.ndarray:
    count, total, square, error = sums
    return 1 - error / np.maximum(square - total**2 / count, 1e-12)


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.column_stack([x, np.ones(len(x))])
