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

from robolearn.identify.normal_equations import NormalEquations, Point, linearize
from robolearn.identify.parameters import Nominal, Parameter, physical
from robolearn.identify.recording import FloatArray
from robolearn.identify.result import Channel
from robolearn.identify.simulation import Simulation
from robolearn.identify.uncertainty import long_run

CORRELATION_S = 0.3  # how far in time residuals may hang together: what disturbs a joint it remembers
SMALLEST_NOISE = {"position": 2e-5, "velocity": 2e-3, "effort": 1e-2}  # finer than encoders count; a simulated robot has none
FINE = {"position": 5e-4, "velocity": 0.03, "effort": 0.1}  # rad, rad/s, N m: what good sensors read with, and what no model need explain
MOST_ITERATIONS = 20  # of each of the two passes
SMALLEST_STEP = 1e-4  # of a value or of its spread: smaller ones are no use, however small a simulated robot's noise makes errors
TOLERANCES = ((1.0, 5e-4), (0.1, 2e-5))
"""When each of the two passes ends: the last step in standard deviations of the estimate, or what it took from the squares as a share."""


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Where the squares are least.

    Attributes:
        values: (P,) in the parameters' units.
        covariance: of the values, (P, P).
        correlation: of the values by the white part of it, (P, P).
        channels: how well each is explained.
        iterations: steps taken.
        converged: whether the search ended because steps had become small, and not because it had lasted too long.
    """

    values: FloatArray
    covariance: FloatArray
    correlation: FloatArray
    channels: tuple[Channel, ...]
    iterations: int
    converged: bool


@dataclass(frozen=True, kw_only=True)
class _Step:
    """Where a step led to.

    Attributes:
        values, starts, residuals, squares: there.
        damping: how much it was damped.
        size: in standard deviations of the estimate.
        largest: of a value or its spread.
    """

    values: FloatArray
    starts: list[FloatArray]
    residuals: list[FloatArray]
    squares: float
    damping: float
    size: float
    largest: float


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
        self._starts = [simulation.starts for simulation in simulations]
        self._iterations, self._converged = 0, False

    def solve(self) -> Solution:
        """Find the values."""
        values = self._start
        before = self._rms(self._center)
        for tolerance, gain in TOLERANCES:
            values = self._minimize(values, tolerance, gain)
            self._noise = [np.maximum(rms, _floor(s)) for rms, s in zip(self._rms(values), self._simulations, strict=True)]
        values, covariance, correlation = self._polish(values)
        return Solution(
            values=values,
            covariance=covariance,
            correlation=correlation,
            channels=tuple(
                Channel(
                    name=f"{s.recording.source}: {name}", before=float(b), after=float(a), noise=max(float(n), FINE[name.split(" ")[0]])
                )
                for s, befores, afters, noises in zip(self._simulations, before, self._rms(values), self._readings_noise, strict=True)
                for name, b, a, n in zip(s.channels, befores, afters, noises, strict=True)
            ),
            iterations=self._iterations,
            converged=self._converged,
        )

    def _minimize(self, values: FloatArray, tolerance: float, gain: float) -> FloatArray:
        """Levenberg and Marquardt's steps inside the bounds, until one is smaller than `tolerance` of the expected error
        or gains less than a share of the squares.

        What is positive moves by its logarithm: all torques scaled alike change little but gravity's share, and with logarithms that
        long valley is straight.
        """
        residuals, damping = self._residuals(values, self._starts), 1e-4
        squares = self._squares(values, residuals)
        self._converged = True
        for _ in range(MOST_ITERATIONS):
            taken = self._descend(values, residuals, squares, damping)
            if taken is None:
                return values
            values, self._starts, residuals = taken.values, taken.starts, taken.residuals
            gained, squares, damping = squares - taken.squares, taken.squares, taken.damping / 8
            self._iterations += 1
            if self._progress is not None:
                self._progress(self._iterations, math.sqrt(squares / sum(residual.size for residual in residuals)))
            if taken.size < tolerance or taken.largest < SMALLEST_STEP or gained < gain * squares:
                return values
        self._converged = False
        return values

    def _descend(self, values: FloatArray, residuals: Sequence[FloatArray], squares: float, damping: float) -> _Step | None:
        """A step that makes the squares smaller, damped as much as that needs; None where no step does."""
        unit = np.where(self._logarithmic, values, self._spread)
        equations = self._linearize(self._simulations, values, unit, residuals)
        for _ in range(8):
            normal, gradient = self._reduced(values, unit, equations, damping)
            step = _bounded_step(normal, gradient, damping, *self._room(values))
            candidate, starts = self._moved(values, step), self._moved_starts(equations, step, damping)
            trials = self._residuals(candidate, starts)
            reached = self._squares(candidate, trials)
            if reached < squares:  # False for NaN
                return _Step(
                    values=candidate,
                    starts=starts,
                    residuals=trials,
                    squares=reached,
                    damping=damping,
                    size=float(np.sqrt(step @ normal @ step / len(step))),
                    largest=float(np.abs(step).max()),
                )
            damping = max(1e-3, 8 * damping)
        return None

    def _linearize(
        self,
        simulations: Sequence[Simulation],
        values: FloatArray,
        unit: FloatArray,
        residuals: Sequence[FloatArray],
        keep_rows: bool = False,
    ) -> list[NormalEquations]:
        """Of each recording, by forward differences, backward at an upper bound; derivatives by steps of `unit` (P,)."""
        size = np.where(self._logarithmic, 5e-3 * values, [0.0005 if p.kind == "delay" else 5e-3 * p.spread for p in self._parameters])
        size = np.where(values + size > self._high, -size, size)
        found = []
        for simulation, starts, residual, noise_of in zip(simulations, self._starts, residuals, self._noise, strict=True):
            point = Point(values=values, moves=size, unit=unit, starts=starts, residual=residual, noise=noise_of)
            found.append(linearize(simulation, self._parameters, self._nominal, point, keep_rows))
        return found

    def _reduced(
        self, values: FloatArray, unit: FloatArray, equations: Sequence[NormalEquations], damping: float
    ) -> tuple[FloatArray, FloatArray]:
        """Normal matrix (P, P) and gradient (P,) of all recordings and the prior, without the start states."""
        normal, gradient = np.diag((unit / self._spread) ** 2), unit * (values - self._center) / self._spread**2
        for own, slope in (part.reduced(damping) for part in equations):
            normal, gradient = normal + own, gradient + slope
        return normal, gradient

    def _moved_starts(self, equations: Sequence[NormalEquations], step: FloatArray, damping: float) -> list[FloatArray]:
        parts = zip(self._starts, equations, strict=True)
        return [starts + part.start_steps(step, damping).reshape(starts.shape) for starts, part in parts]

    def _moved(self, values: FloatArray, step: FloatArray) -> FloatArray:
        moved = np.where(self._logarithmic, values * np.exp(np.clip(step, -0.7, 0.7)), values + step * self._spread)
        return np.clip(moved, self._low, self._high)

    def _room(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How far a step may go down and up, (P,) each, in its own units."""
        positive = np.where(self._logarithmic, values, 1.0)
        low = np.where(self._logarithmic, np.log(np.maximum(self._low, 1e-12) / positive), (self._low - values) / self._spread)
        high = np.where(self._logarithmic, np.log(self._high / positive), (self._high - values) / self._spread)
        return low, high

    def _differences(self, values: FloatArray, starts: Sequence[FloatArray]) -> list[FloatArray]:
        """Simulated less measured (M, C) of each recording."""
        told = [physical(self._parameters, values, self._nominal)]
        return [s.predict(told, start[None])[0] - s.measured for s, start in zip(self._simulations, starts, strict=True)]

    def _rms(self, values: FloatArray) -> list[FloatArray]:
        return [np.sqrt(np.mean(difference**2, axis=0)) for difference in self._differences(values, self._starts)]

    def _residuals(self, values: FloatArray, starts: Sequence[FloatArray]) -> list[FloatArray]:
        """(M, C) of each recording, in units of the noise."""
        return [difference / noise for difference, noise in zip(self._differences(values, starts), self._noise, strict=True)]

    def _squares(self, values: FloatArray, residuals: Sequence[FloatArray]) -> float:
        prior = (values - self._center) / self._spread
        return float(prior @ prior + sum(np.vdot(residual, residual) for residual in residuals))

    def _polish(self, values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """A last step with finely integrated trajectories.

        Returns:
            Values (P,), their covariance (P, P), and their correlation by its white part (P, P).
        """
        plain = self._residuals(values, self._starts)
        coarse, self._simulations = self._simulations, [simulation.refined() for simulation in self._simulations]
        fine = self._residuals(values, self._starts)
        equations = self._linearize(coarse, values, self._spread, fine, keep_rows=True)
        normal, gradient = self._reduced(values, self._spread, equations, 0.0)
        white = np.linalg.inv(normal)
        room = (self._low - values) / self._spread, (self._high - values) / self._spread
        step = _bounded_step(normal, gradient, 0.0, *room)
        change = [np.einsum("mcp,mc->p", e.rows, r - p) for e, r, p in zip(equations, fine, plain, strict=True)]
        moved = np.clip(values + step * self._spread, self._low, self._high)
        self._starts = self._moved_starts(equations, step, 0.0)
        # a first-order error, such as friction's, that falls by so much from 2 ms to a quarter of that has a third of it left
        left = np.abs(white @ np.sum(change, axis=0)) / 3
        meat = np.zeros_like(white)
        for simulation, part, residual in zip(self._simulations, equations, self._residuals(moved, self._starts), strict=True):
            scores = np.einsum("mcp,mc->mp", part.rows, residual)
            meat += long_run(scores, max(1, round(CORRELATION_S / simulation.recording.period_s)))
        sandwich = white @ meat @ white
        scale = np.sqrt(np.diag(white))
        correlation = white / np.outer(scale, scale)
        deviation = np.sqrt(np.maximum(np.diag(white), np.diag(sandwich)) + left**2) * self._spread
        return moved, correlation * np.outer(deviation, deviation), correlation


def _bounded_step(normal: FloatArray, gradient: FloatArray, damping: float, low: FloatArray, high: FloatArray) -> FloatArray:
    """The damped step (P,); what would leave its room stops there, and the others go on without it."""
    step, free = np.zeros_like(gradient), np.ones(len(gradient), bool)
    damped = normal + damping * np.diag(np.diag(normal))
    for _ in range(len(gradient)):
        step[free] = -np.linalg.solve(damped[np.ix_(free, free)], gradient[free] + damped[np.ix_(free, ~free)] @ step[~free])
        beyond = free & ((step < low - 1e-12) | (step > high + 1e-12))
        if not beyond.any():
            break
        step[beyond] = np.clip(step[beyond], low[beyond], high[beyond])
        free &= ~beyond
    return step


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
