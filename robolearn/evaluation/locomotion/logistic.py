"""The level that half of the robots survive: a logistic curve through shares, with a likelihood interval.

Survival falls with the level x as p(x) = 1 / (1 + exp((x - half) / width)). The likelihood is tabulated over (half, width), so no iteration
can fail; shares that jump from 1 to 0, which break Newton's method, just give a wide interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robolearn.evaluation.figures import Figure

CHI2 = 3.841458820694124  # 95 % of one degree of freedom


@dataclass(frozen=True)
class Curve:
    """The fit: survival (M,) at levels (M,), and the half point as a figure."""

    levels: np.ndarray
    survival: np.ndarray
    half: Figure


def fit(levels: np.ndarray, survived: np.ndarray) -> Curve:
    """Fit episodes.

    Args:
        levels: the level of each episode, positive, (E,).
        survived: whether it survived, (E,) bool.

    Returns:
        The curve. Its half point has no value if it lies beyond the levels tried; the interval, all half points whose best log-likelihood
        is within chi2 / 2 of the best (Wilks 1938), then says on which side.
    """
    tried, index = np.unique(levels, return_inverse=True)
    trials = np.bincount(index).astype(float)
    hits = np.bincount(index, weights=survived.astype(float))
    top = tried[-1]
    half = np.linspace(0.0, 2.0 * top, 801)
    width = np.geomspace(0.01, 1.0, 60) * top
    z = np.clip((tried - half[:, None, None]) / width[:, None], -500, 500)  # (H, W, L)
    # log of p and of 1 - p without overflow
    likelihood = (-hits * np.logaddexp(0, z) - (trials - hits) * np.logaddexp(0, -z)).sum(-1)  # (H, W)
    at_half, at_width = np.unravel_index(likelihood.argmax(), likelihood.shape)
    inside = np.flatnonzero(likelihood.max(1) >= likelihood.max() - CHI2 / 2)
    value = float(half[at_half])
    low, high = (float(half[inside[0]]) if inside[0] else None), (float(half[inside[-1]]) if inside[-1] < len(half) - 1 else None)
    if value > top:
        value, low, high = None, min(low or 0.0, float(top)), None
    elif value < tried[0]:
        value, low = None, None
    at = np.linspace(0.0, top, 100)
    survival = 1 / (1 + np.exp(np.clip((at - half[at_half]) / width[at_width], -500, 500)))
    return Curve(at, survival, Figure(value, low, high, len(levels)))
