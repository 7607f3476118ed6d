"""The Gauss-Newton normal equations of one recording, in which every window has its own start state.

The start states are measured, but with noise whose effect on a softly driven joint lasts for seconds; it would be taken for motion that the
parameters must explain. So the W starts s_w (2 J numbers each) are unknowns too. Each affects only its own window:

    | N    C_1'  C_2' .. |  | parameters |     | g   |
    | C_1  A_1           |  | s_1        |  = -| b_1 |        and so    (N - sum C_w' A_w^-1 C_w) parameters = -(g - sum C_w' A_w^-1 b_w)
    | C_2        A_2     |  | s_2        |     | b_2 |

which is no larger than without them (the reduced camera system of bundle adjustment: Triggs et al. 2000, section 6.1).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robolearn.identify.parameters import Nominal, Parameter, physical
from robolearn.identify.recording import FloatArray
from robolearn.identify.simulation import WORLDS_AT_ONCE, Simulation

START_STEPS = (1e-3, 0.02)  # rad, rad/s: finite differences of the start states


@dataclass(frozen=True, kw_only=True)
class NormalEquations:
    """The blocks above; S = 2 J.

    Attributes:
        normal, gradient: N (P, P) and g (P,).
        cross: C, (W, S, P).
        inner, inner_gradient: A (W, S, S) and b (W, S).
        rows: derivatives of the residual after elimination of the starts, (M, C, P) if requested; otherwise (0, C, P).
    """

    normal: FloatArray
    gradient: FloatArray
    cross: FloatArray
    inner: FloatArray
    inner_gradient: FloatArray
    rows: np.ndarray

    def reduced(self, damping: float) -> tuple[FloatArray, FloatArray]:
        """Normal matrix (P, P) and gradient (P,) after elimination of the starts, whose steps are damped by this share."""
        solved = self._solved(damping)
        normal = self.normal - np.einsum("wsp,wsq->pq", self.cross, solved[..., :-1])
        return normal, self.gradient - np.einsum("wsp,ws->p", self.cross, solved[..., -1])

    def start_steps(self, step: FloatArray, damping: float) -> FloatArray:
        """Steps (W, S) of the starts that belong to a step (P,) of the parameters."""
        solved = self._solved(damping)
        return -(solved[..., -1] + solved[..., :-1] @ step)

    def _solved(self, damping: float) -> FloatArray:
        return _damped_solve(self.inner, damping, np.concatenate([self.cross, self.inner_gradient[..., None]], axis=2))


@dataclass(frozen=True, kw_only=True)
class Point:
    """The point at which to differentiate one recording.

    Attributes:
        values: values of the P parameters.
        moves: finite differences, (P,).
        unit: unit of each derivative, (P,): it is with respect to the value divided by this.
        starts: start states, (W, 2, J).
        residual: residual there, (M, C), in units of the noise.
        noise: standard deviation of each channel, (C,).
    """

    values: FloatArray
    moves: FloatArray
    unit: FloatArray
    starts: FloatArray
    residual: FloatArray
    noise: FloatArray


def linearize(
    simulation: Simulation, parameters: tuple[Parameter, ...], nominal: Nominal, point: Point, keep_rows: bool = False
) -> NormalEquations:
    """Differentiate by forward differences of the coarse integration, whose error cancels in them.

    Limbs of a held base do not affect each other, so one run moves one parameter of each limb.
    """
    windows, _, joints = point.starts.shape
    count, whole = len(parameters), frozenset(range(joints))
    owners = [frozenset(p.joints) or whole for p in parameters] + [frozenset([j]) for _ in START_STEPS for j in range(joints)]
    limbs = [frozenset(int(simulation.limbs[j]) for j in owner) for owner in owners]
    runs = _share(limbs)
    moves = np.concatenate([point.moves, np.repeat(START_STEPS, joints)])
    scale = moves / np.concatenate([point.unit, np.ones(2 * joints)])
    shifts = np.zeros((len(runs) + 1, len(moves)))  # the first run moves nothing
    for run, columns in enumerate(runs):
        shifts[run + 1, columns] = moves[columns]
    sets = [physical(parameters, point.values + shift, nominal) for shift in shifts[:, :count]]
    starts = point.starts[None] + shifts[:, None, count:].reshape(-1, 1, 2, joints)
    of_limb = {limb: np.isin(simulation.limbs[simulation.channel_joints], list(limb)) for limb in set(limbs)}
    blocks: list[tuple[FloatArray, ...]] = []
    rows: list[np.ndarray] = []
    chunk = max(1, WORLDS_AT_ONCE // len(sets))
    for begin in range(0, windows, chunk):
        part = slice(begin, min(begin + chunk, windows))
        predicted = simulation.predict(sets, starts, coarse=True, windows=part)
        jacobian = np.zeros((*predicted.shape[1:], len(moves)))  # (M', C, P + S)
        for run, columns in enumerate(runs):
            difference = (predicted[run + 1] - predicted[0]) / point.noise
            for column in columns:
                felt = of_limb[limbs[column]]
                jacobian[:, felt, column] = difference[:, felt] / scale[column]
        begins = np.searchsorted(simulation.windows.window[simulation.rows(part)], np.arange(part.start, part.stop + 1))
        for first, last in itertools.pairwise(begins):
            columns = jacobian[first:last]
            flat, here = columns.reshape(-1, len(moves)), point.residual[simulation.rows(part)][first:last].ravel()
            product, slope = flat.T @ flat, flat.T @ here
            own, inner, cross = product[:count, :count], product[count:, count:], product[count:, :count]
            blocks.append((own, slope[:count], cross, inner, slope[count:]))
            if keep_rows:
                rows.append((columns[..., :count] - columns[..., count:] @ _damped_solve(inner, 0.0, cross)).astype(np.float32))
    own, slope, cross, inner, inner_slope = (np.stack(block) for block in zip(*blocks, strict=True))
    return NormalEquations(
        normal=own.sum(axis=0),
        gradient=slope.sum(axis=0),
        cross=cross,
        inner=inner,
        inner_gradient=inner_slope,
        rows=np.concatenate(rows) if rows else np.zeros((0, len(point.noise), count), np.float32),
    )


def _share(limbs: Sequence[frozenset[int]]) -> list[list[int]]:
    """Columns grouped into runs, first fit, so that no two columns in a run concern the same limb."""
    runs: list[list[int]] = []
    taken: list[set[int]] = []
    for column, mine in enumerate(limbs):
        run = next((i for i, other in enumerate(taken) if not mine & other), len(runs))
        if run == len(runs):
            runs.append([])
            taken.append(set())
        runs[run].append(column)
        taken[run] |= mine
    return runs


def _damped_solve(matrix: FloatArray, damping: float, right: FloatArray) -> FloatArray:
    """Solve (..., S, S) by (..., S, K) with a share of the diagonal added to it."""
    diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
    return np.asarray(np.linalg.solve(matrix + (damping + 1e-12) * diagonal[..., None, :] * np.eye(matrix.shape[-1]), right), np.float64)
