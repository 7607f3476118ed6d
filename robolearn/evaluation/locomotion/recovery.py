"""The time that a robot needs to recover after a push."""

from __future__ import annotations

import numpy as np

SMOOTH_S = 0.2  # window of the running mean of the velocity error, which oscillates with the steps
HOLD_S = 0.5  # time it must stay within the bands
BASELINE_S = 1.0  # time before the push from which the bands are computed
QUANTILE = 99.0  # over all worlds in that second


def recovery_times(off: np.ndarray, tilt: np.ndarray, alive: np.ndarray, push: int, dt: float) -> np.ndarray:
    """Time from the push until velocity error and tilt are within their bands and stay there.

    Args:
        off: velocity minus command in the plane [m/s], (T, N, 2).
        tilt: [rad], (T, N).
        alive: (T, N).
        push: index of the first step after the push.
        dt: control step [s].

    Returns:
        Seconds (N,); NaN for a world that fell or did not recover before the end. The bands are the `QUANTILE` of all worlds that were
        alive in the second before the push.
    """
    error = np.linalg.norm(_running_mean(off, max(1, round(SMOOTH_S / dt))), axis=-1)
    baseline = slice(max(0, push - round(BASELINE_S / dt)), push)
    calm = alive[baseline]
    if not calm.any():
        return np.full(off.shape[1], np.nan)
    inside = (error <= np.percentile(error[baseline][calm], QUANTILE)) & (tilt <= np.percentile(tilt[baseline][calm], QUANTILE))
    hold = round(HOLD_S / dt)
    times = np.full(off.shape[1], np.nan)
    for world in np.flatnonzero(alive[-1]):
        good = inside[push:, world].astype(int)
        run = np.convolve(good, np.ones(hold, int), mode="valid")  # number of steps within the bands among the `hold` steps from each one
        whole = np.flatnonzero(run == hold)
        if len(whole):
            times[world] = whole[0] * dt
    return times


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean over the last `width` steps, fewer at the start, along the first axis."""
    total = np.cumsum(values, axis=0)
    behind = np.concatenate([np.zeros_like(total[:width]), total[:-width]]) if len(total) > width else np.zeros_like(total)
    steps = np.minimum(np.arange(1, len(values) + 1), width).reshape(-1, *[1] * (values.ndim - 1))
    return (total - behind) / steps
