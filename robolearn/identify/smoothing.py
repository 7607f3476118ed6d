"""Smooths readings and commands with the same filter, under which linear equations between them still hold."""

from __future__ import annotations

import numpy as np

from robolearn.identify.recording import FloatArray, Recording
from robolearn.identify.staircase import CommandMeans
from robolearn.identify.windows import LONGEST_GAP_S

SMOOTHED_S = 0.012  # time on each side


class Smoothing:
    """A moving mean and slope over a recording, evaluated at some of its readings.

    Attributes:
        rows: indices of these readings, (n,).
        period_s: time between them [s].
        driven: whether recent commands drove the joints, (n,).
    """

    def __init__(self, recording: Recording, most: int = 3000) -> None:
        """Prepare for at most about `most` readings."""
        period = recording.period_s
        self._recording, self._half = recording, max(2, round(SMOOTHED_S / period))
        every = max(1, -(-len(recording.time_s) // most))
        self.rows = np.arange(self._half, len(recording.time_s) - self._half)[::every]
        self.period_s = every * period
        steps = np.arange(-self._half, self._half + 1)
        self._mean, self._slope = np.full(len(steps), 1 / len(steps)), steps / (steps @ steps) / period
        self._commands = CommandMeans(recording)
        stamps, now = recording.command_time_s, recording.time_s[self.rows]
        last = np.clip(np.searchsorted(stamps, now, side="right") - 1, 0, len(stamps) - 1)
        fresh = (now - stamps[last] <= LONGEST_GAP_S) & (now >= stamps[0] + LONGEST_GAP_S)
        self.driven = fresh & (recording.kp[last] > 0).any(axis=1)

    def mean(self, values: FloatArray) -> FloatArray:
        """Smoothed values (n, C) of readings (T, C)."""
        return self._convolve(values, self._mean)

    def slope(self, values: FloatArray) -> FloatArray:
        """Smoothed time derivative (n, C) of readings (T, C)."""
        return self._convolve(values, self._slope)

    def _convolve(self, values: FloatArray, kernel: FloatArray) -> FloatArray:
        windows = np.lib.stride_tricks.sliding_window_view(values, len(kernel), axis=0)
        return np.einsum("tck,k->tc", windows[self.rows - self._half], kernel)

    def motor_torques(self, delay_s: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Spring, damper and feed-forward part (n, J) of the commanded torques for a delay."""
        recording, period = self._recording, self._recording.period_s
        means = self._commands(recording.time_s - period / 2, 1, period, delay_s)[:, 0]
        spring, damper, effort, kp, kd = np.moveaxis(means, 1, 0)
        return self.mean(spring - kp * recording.position), self.mean(damper - kd * recording.velocity), self.mean(effort)
