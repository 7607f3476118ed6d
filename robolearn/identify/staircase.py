"""The motors' commands in each physics step, for any delay.

The commands are a step function. Its mean over each physics step, shifted by the delay, is a continuous function of the delay, so the fit
has a derivative although the step function has none.
"""

from __future__ import annotations

import numpy as np

from robolearn.identify.recording import FloatArray, Recording


class CommandMeans:
    """Means of the commands over physics steps."""

    def __init__(self, recording: Recording) -> None:
        stamps = recording.command_time_s
        # terms of the torque law: tau = kp_factor kp (q* - q) + kd_factor kd (dq* - dq) + effort
        stairs = (recording.kp * recording.target, recording.kd * recording.command_velocity, recording.command_effort)
        values = np.stack([*stairs, recording.kp, recording.kd], axis=1)  # (K, 5, J)
        self._stamps, self._values = stamps, values
        area = values[:-1] * np.diff(stamps)[:, None, None]
        self._integral = np.concatenate([np.zeros_like(values[:1]), np.cumsum(area, axis=0)])

    def _area(self, times: FloatArray) -> FloatArray:
        """Integral of the staircase from its beginning to each time (n,): (n, 5, J). The first value extends to earlier times, the last one
        to later times.
        """
        row = np.clip(np.searchsorted(self._stamps, times, side="right") - 1, 0, len(self._stamps) - 1)
        return self._integral[row] + self._values[row] * (times - self._stamps[row])[:, None, None]

    def __call__(self, start_s: FloatArray, steps: int, dt: float, delay_s: float) -> FloatArray:
        """Means (W, S, 5, J) over S steps of `dt` from each start (W,): kp q*, kd dq*, effort, kp, kd."""
        edges = start_s[:, None] + dt * np.arange(steps + 1) - delay_s
        area = self._area(edges.ravel()).reshape(*edges.shape, *self._values.shape[1:])
        return np.diff(area, axis=1) / dt
