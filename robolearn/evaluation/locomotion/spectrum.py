"""Two oscillations at one frequency: their amplitudes, their phase difference, and whether they are coherent."""

from __future__ import annotations

import numpy as np

from robolearn.evaluation.figures import Figure

CYCLES = 4  # cycles of the oscillation per segment
RESAMPLES = 2000


def cross_spectrum(x: np.ndarray, y: np.ndarray, frequency_hz: float, dt: float) -> tuple[float, float, complex, float]:
    """Welch's averaged cross-spectrum at one frequency: Hann windows of `CYCLES` cycles that overlap by half (Welch 1967).

    Args:
        x, y: series of equal length, (T,).
        frequency_hz: the frequency [Hz].
        dt: time between samples [s].

    Returns:
        Amplitudes of x and y, the cross-spectrum normalized to at most 1 in magnitude, whose angle is how far y runs ahead of x, and the
        coherence, its squared magnitude. NaN if fewer than two segments fit, since the coherence of one is always 1.
    """
    length = round(CYCLES / frequency_hz / dt)
    starts = range(0, len(x) - length + 1, max(length // 2, 1))
    if len(starts) < 2:
        return float("nan"), float("nan"), complex("nan"), float("nan")
    window = np.hanning(length)
    wave = window * np.exp(-2j * np.pi * frequency_hz * dt * np.arange(length))
    segments = [np.stack([v[start : start + length] - v[start : start + length].mean() for v in (x, y)]) @ wave for start in starts]
    fx, fy = np.array(segments).T
    power_x, power_y = np.mean(np.abs(fx) ** 2), np.mean(np.abs(fy) ** 2)
    cross = np.mean(np.conj(fx) * fy) / max(np.sqrt(power_x * power_y), 1e-12)
    scale = 2 / window.sum()
    return scale * np.sqrt(power_x), scale * np.sqrt(power_y), complex(cross), float(np.abs(cross) ** 2)


def mean_phase(cross: np.ndarray, seed: int = 0) -> Figure:
    """Circular mean of the angles of (n,) cross-spectra [deg], weighted by their magnitudes, with a bootstrap interval around it."""
    cross = cross[np.isfinite(cross)]
    if len(cross) == 0:
        return Figure(None, None, None, 0)
    center = cross.mean()
    angle = float(np.degrees(np.angle(center)))
    if len(cross) == 1:
        return Figure(angle, None, None, 1)
    draws = np.random.default_rng(seed).integers(0, len(cross), (RESAMPLES, len(cross)))
    off = np.degrees(np.angle(cross[draws].mean(1) * np.conj(center)))
    low, high = np.percentile(off, [2.5, 97.5])
    return Figure(angle, angle + float(low), angle + float(high), len(cross))
