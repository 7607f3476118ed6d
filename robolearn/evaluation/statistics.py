"""95 % intervals."""

from __future__ import annotations

import math

import numpy as np

Z95 = 1.959963984540054


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's interval of a share (Wilson 1927), which is valid also at 0 and 1."""
    if trials == 0:
        return 0.0, 1.0
    p, z2 = successes / trials, Z95**2
    center = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    # at 0 and 1 the bound is exact; rounding must not leave the share outside its own interval
    return max(0.0, center - half) if successes else 0.0, min(1.0, center + half) if successes < trials else 1.0


def bootstrap_mean(values: np.ndarray, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of (n,) values."""
    if len(values) < 2:
        only = float(values[0]) if len(values) else 0.0
        return only, only
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def bootstrap_ratio(values: np.ndarray, others: np.ndarray, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of mean over mean of (n,) values and (m,) others, resampled independently."""
    generator = np.random.default_rng(seed)
    above, below = (array[generator.integers(0, len(array), (resamples, len(array)))].mean(axis=1) for array in (values, others))
    low, high = np.percentile(above / below, [2.5, 97.5])
    return float(low), float(high)


T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % points of Student's distribution with 1 to 9 degrees of freedom."""


def t_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Student's interval of the mean of (n,) values from few trainings; open for a single one."""
    if len(values) < 2:
        return None, None
    factor = T95[len(values) - 2] if len(values) - 2 < len(T95) else Z95
    half = factor * float(values.std(ddof=1)) / math.sqrt(len(values))
    middle = float(values.mean())
    return middle - half, middle + half
