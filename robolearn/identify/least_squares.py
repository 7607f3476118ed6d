"""Nonlinear least squares over all recordings with a held base, with the uncertainty of the result.

Minimizes the squared differences between simulated and measured joint positions and velocities, each channel divided by its noise:
estimated from the readings in the first pass, and from the residual of the first fit in the second. A wide prior around the nominal values
keeps the problem solvable if a recording has no information about a parameter.

The variance is the larger of two: the Gauss-Newton covariance, which assumes white noise, and the sandwich estimator with Bartlett's
weights (Newey and West 1987), which accounts for the residual's correlation in time.
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

CORRELATION_S = 0.3  # longest correlation time of residuals: a disturbed joint moves for a while
SMALLEST_NOISE = {"position": 2e-5, "velocity": 2e-3, "effort": 1e-2}  # below an encoder's resolution; a simulated robot has no noise
FINE = {"position": 5e-4, "velocity": 0.03, "effort": 0.1}  # rad, rad/s, N m: noise of good sensors, which no model needs to explain
MOST_ITERATIONS = 20  # of each of the two passes
SMALLEST_STEP = 1e-4  # share of a value or of its spread: smaller steps are useless, however small the errors of a noiseless robot
TOLERANCES = ((1.0, 5e-4), (0.1, 2e-5))
"""End of each of the two passes: size of the last step in standard deviations of the estimate, or its relative decrease of the squares."""


@dataclass(frozen=True, kw_only=True)
class Solution:
    """The minimum of the squares.

    Attributes:
        values: (P,) in the parameters' units.
        covariance: of the values, (P, P).
        correlation: correlation of the values by the covariance for white noise, (P, P).
        channels: how well each channel is explained.
        iterations: steps taken.
        converged: whether the search ended because its steps had become small, not because of the limit of iterations.
    """

    values: FloatArray
    covariance: FloatArray
    correlation: FloatArray
    channels: tuple[Channel, ...]
    iterations: int
    converged: bool


@dataclass(frozen=True, kw_only=True)
class _Step:
    """The result of a step.

    Attributes:
        values, starts, residuals, squares: those after the step.
        damping: damping of the step.
        size: size in standard deviations of the estimate.
        largest: largest change as a share of a value or its spread.
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
        """Levenberg-Marquardt steps inside the bounds, until one is smaller than `tolerance` of the expected error or decreases the squares
        by less than a share.

        Positive values move by their logarithm: scaling all torques together changes little except gravity's share, and in logarithms this
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
        """A step that decreases the squares, with as much damping as needed; None if no step does."""
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
        """Normal equations of each recording, by forward differences, backward at an upper bound; derivatives with respect to steps of
        `unit` (P,).
        """
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
        """Simulated minus measured values (M, C) of each recording."""
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
        # a first-order error, such as friction's, that falls by this much from 2 ms to a quarter of it has a third of it left
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
    """The damped step (P,); a component that would leave its bounds stops there, and the others are solved without it."""
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

    At low rates it includes some motion, so it is an upper bound.
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
