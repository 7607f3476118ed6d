"""Nonlinear least squares over all recordings with a held base, and how sure the result is.

Minimizes the squared differences between simulated and measured joint positions and velocities, each channel divided by its noise:
taken from the readings first, and from what the first fit leaves second. A wide prior around the nominal values keeps the problem
solvable where a recording tells nothing about a parameter.

Variances are the larger ones of two: the Gauss-Newton covariance, which supposes white noise, and the sandwich estimator with
Bartlett's weights (Newey and West 1987), which takes the residual as it hangs together in time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from robolearn.identify.parameters import Nominal, Parameter, physical
from robolearn.identify.recording import FloatArray
from robolearn.identify.result import Channel
from robolearn.identify.simulation import Simulation
from robolearn.identify.uncertainty import long_run

CORRELATION_S = 0.05  # how far in time residuals may hang together
SMALLEST_NOISE = {"position": 2e-5, "velocity": 2e-3, "effort": 1e-2}  # finer than encoders count; a simulated robot has none
MOST_ITERATIONS = 20  # of each of the two passes
TOLERANCES = (1.0, 0.1)  # of the two passes: the last step in standard deviations of the estimate


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Where the squares are least.

    Attributes:
        values: (P,) in the parameters' units.
        covariance: of the values, (P, P).
        correlation: of the values by the white part of it, (P, P).
        channels: how well each is explained.
        iterations: steps taken.
    """

    values: FloatArray
    covariance: FloatArray
    correlation: FloatArray
    channels: tuple[Channel, ...]
    iterations: int


class LeastSquares:
    """The least squares problem; values are in the parameters' units."""

    def __init__(
        self,
        simulations: Sequence[Simulation],
        parameters: tuple[Parameter, ...],
        start: FloatArray,
        nominal: Nominal,
        progress: Callable[[int, float], None] | None = None,
    ) -> None:
        self._simulations, self._parameters, self._nominal = list(simulations), parameters, nominal
        self._start, self._progress = start, progress
        self._center, self._spread, self._low, self._high = (
            np.array([getattr(p, name) for p in parameters]) for name in ("nominal", "spread", "low", "high")
        )
        self._logarithmic = np.array([p.low > 0 for p in parameters])
        self._readings_noise = [np.maximum(noise(s), _floor(s)) for s in simulations]
        self._noise = list(self._readings_noise)
        self._iterations = 0

    def solve(self) -> Solution:
        """Find the values."""
        values = self._start
        before = [self._rms(i, self._center) for i in range(len(self._simulations))]
        for tolerance in TOLERANCES:
            values = self._minimize(values, tolerance)
            after = [self._rms(i, values) for i in range(len(self._simulations))]
            self._noise = [np.maximum(rms, _floor(s)) for rms, s in zip(after, self._simulations, strict=True)]
        values, covariance, correlation = self._polish(values)
        after = [self._rms(i, values) for i in range(len(self._simulations))]
        return Solution(
            values=values,
            covariance=covariance,
            correlation=correlation,
            channels=tuple(
                Channel(name=f"{s.recording.source}: {name}", before=float(b), after=float(a), noise=float(n))
                for s, befores, afters, noises in zip(self._simulations, before, after, self._readings_noise, strict=True)
                for name, b, a, n in zip(s.channels, befores, afters, noises, strict=True)
            ),
            iterations=self._iterations,
        )

    def _minimize(self, values: FloatArray, tolerance: float) -> FloatArray:
        """Levenberg and Marquardt's steps inside the bounds, until one is smaller than `tolerance` of the expected error.

        What is positive moves by its logarithm: all torques scaled alike change little but gravity's share, and with logarithms that
        long valley is straight.
        """
        residual, damping = self._residual(values[None])[0], 1e-4
        for _ in range(MOST_ITERATIONS):
            unit = np.where(self._logarithmic, values, self._spread)
            jacobian = self._jacobian(values) * unit
            normal, gradient = jacobian.T @ jacobian, jacobian.T @ residual
            for _ in range(8):
                step = self._step(values, unit, normal, gradient, damping)
                candidate = self._moved(values, step)
                trial = self._residual(candidate[None])[0]
                better = bool(trial @ trial < residual @ residual)  # False for NaN
                if better:
                    break
                damping = max(1e-3, 8 * damping)
            if not better:
                break
            size = float(np.sqrt(step @ normal @ step / len(step)))  # in standard deviations of the estimate
            values, residual, damping = candidate, trial, damping / 8
            self._iterations += 1
            if self._progress is not None:
                self._progress(self._iterations, math.sqrt(residual @ residual / len(residual)))
            if size < tolerance:
                break
        return values

    def _moved(self, values: FloatArray, step: FloatArray) -> FloatArray:
        moved = np.where(self._logarithmic, values * np.exp(np.clip(step, -0.7, 0.7)), values + step * self._spread)
        return np.clip(moved, self._low, self._high)

    def _step(self, values: FloatArray, unit: FloatArray, normal: FloatArray, gradient: FloatArray, damping: float) -> FloatArray:
        """The damped step in units of each parameter; what would leave the bounds stops there, and the others go on without it."""
        positive = np.where(self._logarithmic, values, 1.0)
        low = np.where(self._logarithmic, np.log(np.maximum(self._low, 1e-12) / positive), (self._low - values) / self._spread)
        high = np.where(self._logarithmic, np.log(self._high / positive), (self._high - values) / self._spread)
        step, free = np.zeros_like(unit), np.ones(len(unit), bool)
        damped = normal + damping * np.diag(np.diag(normal))
        for _ in range(len(unit)):
            step[free] = -np.linalg.solve(damped[np.ix_(free, free)], gradient[free] + damped[np.ix_(free, ~free)] @ step[~free])
            beyond = free & ((step < low - 1e-12) | (step > high + 1e-12))
            if not beyond.any():
                break
            step[beyond] = np.clip(step[beyond], low[beyond], high[beyond])
            free &= ~beyond
        return step

    def _predict(self, index: int, values: FloatArray, coarse: bool = False) -> FloatArray:
        """(B, M, C) for values (B, P)."""
        return self._simulations[index].predict([physical(self._parameters, row, self._nominal) for row in values], coarse)

    def _rms(self, index: int, values: FloatArray) -> FloatArray:
        difference = self._predict(index, values[None])[0] - self._simulations[index].measured
        return np.sqrt(np.mean(difference**2, axis=0))

    def _residual(self, values: FloatArray, coarse: bool = False) -> FloatArray:
        """(B, R) for values (B, P); the prior comes last."""
        parts = []
        for i, simulation in enumerate(self._simulations):
            difference = (self._predict(i, values, coarse) - simulation.measured) / self._noise[i]
            parts.append(difference.reshape(len(values), -1))
        return np.concatenate([*parts, (values - self._center) / self._spread], axis=1)

    def _jacobian(self, values: FloatArray) -> FloatArray:
        """(R, P), by forward differences, backward at an upper bound; of the coarse integration, whose error cancels in differences."""
        size = np.where(self._logarithmic, 5e-3 * values, [0.0005 if p.kind == "delay" else 5e-3 * p.spread for p in self._parameters])
        size = np.where(values + size > self._high, -size, size)
        rows = self._residual(np.concatenate([values[None], values + np.diag(size)]), coarse=True)
        return ((rows[1:] - rows[:1]) / size[:, None]).T

    def _polish(self, values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """A last step with finely integrated trajectories.

        Returns:
            Values (P,), their covariance (P, P), and their correlation by its white part (P, P).
        """
        jacobian = self._jacobian(values) * self._spread
        white = np.linalg.inv(jacobian.T @ jacobian)
        usual = -white @ (jacobian.T @ self._residual(values[None])[0])
        self._simulations = [simulation.refined() for simulation in self._simulations]
        residual = self._residual(values[None])[0]
        step = -white @ (jacobian.T @ residual)
        moved = np.clip(values + step * self._spread, self._low, self._high)
        # a first-order error, such as friction's, that falls by `step - usual` from 2 ms to a quarter of that has a third of it left
        left = np.abs(step - usual) / 3
        meat = np.zeros_like(white)
        residual = residual + jacobian @ step
        begin = 0
        for simulation in self._simulations:
            rows, channels = simulation.measured.shape
            part = slice(begin, begin + rows * channels)
            begin += rows * channels
            scores = (jacobian[part] * residual[part, None]).reshape(rows, channels, -1).sum(axis=1)
            meat += long_run(scores, max(1, round(CORRELATION_S / simulation.recording.period_s)))
        sandwich = white @ meat @ white
        scale = np.sqrt(np.diag(white))
        correlation = white / np.outer(scale, scale)
        deviation = np.sqrt(np.maximum(np.diag(white), np.diag(sandwich)) + left**2) * self._spread
        return moved, correlation * np.outer(deviation, deviation), correlation


def noise(simulation: Simulation) -> FloatArray:
    """Standard deviation (C,) of the readings' noise, from their fourth differences, in which slow motion cancels.

    At low rates some motion is left in it, so it is an upper bound there.
    """
    recording = simulation.recording
    columns = [recording.position, recording.velocity]
    if len(simulation.effort_joints):
        columns.append(recording.effort[:, simulation.effort_joints])
    readings = np.concatenate(columns, axis=1)
    if len(readings) < 6:
        return np.zeros(readings.shape[1])
    differences = np.diff(readings, n=4, axis=0)
    return 1.4826 * np.median(np.abs(differences), axis=0) / math.sqrt(70)


def _floor(simulation: Simulation) -> FloatArray:
    return np.array([SMALLEST_NOISE[name.split(" ")[0]] for name in simulation.channels])
