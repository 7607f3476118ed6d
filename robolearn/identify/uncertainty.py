"""The uncertainty of least squares with residuals that are correlated in time."""

from __future__ import annotations

from robolearn.identify.recording import FloatArray


def long_run(scores: FloatArray, lags: int) -> FloatArray:
    """Covariance (P, P) of the sum of scores (T, P) that are correlated over some lags (Newey and West 1987, equation 5)."""
    total = scores.T @ scores
    for lag in range(1, min(lags, len(scores) - 1) + 1):
        cross = scores[lag:].T @ scores[:-lag]
        total += (1 - lag / (lags + 1)) * (cross + cross.T)
    return total
