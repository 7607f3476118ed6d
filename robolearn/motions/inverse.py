"""Inverse kinematics: damped least squares frame by frame, then over the whole clip with smoothness, ranges and speeds.

First every few frames are solved from the default pose, and the frames between are interpolated. Then Gauss-Newton steps improve the
clip as a whole: the targets of each frame, small accelerations, and each joint's range and largest speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from robolearn.motions import banded
from robolearn.motions.kinematics import ROOT, Kinematics
from robolearn.motions.rig import Rig
from robolearn.motions.rotation import logarithm, matrix_of_quat, slerp
from robolearn.motions.targets import Targets
from robolearn.motions.tasks import Tasks, Tolerances

CHUNK = 256  # frames whose Jacobians are in memory at once
HELD = 1e10  # weight of a held joint
LONGEST = 0.5  # rad: largest step
NEAR, SLIGHT = 1e-6, 0.01  # rad: a joint this close to the end of its range is at it; this little beyond it, clipping does no harm
DAMPING = 5.0, 1e5  # least and largest


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Limits of the iteration.

    Attributes:
        every: interval of the frames that are solved individually.
        alone: steps for these.
        together: least number of steps over the whole clip.
        most: largest number of these.
        enough: distance of standing feet from their places at which the steps end [m].
        rounds: rounds of holding joints at the ends of their range, per step.
        soft: factor on a foot's tolerance in the first step; it is quartered in each further one.
        margin: distance kept from the ends of a joint's range [rad].
        speed: share of a joint's largest speed that is allowed.
        tolerances: tolerances of the targets.
    """

    every: int = 8
    alone: int = 12
    together: int = 3
    most: int = 12
    enough: float = 0.001
    rounds: int = 3
    soft: float = 16.0
    margin: float = 0.01
    speed: float = 0.9
    tolerances: Tolerances = field(default_factory=Tolerances)


def solve(rig: Rig, kinematics: Kinematics, targets: Targets, effort: Effort | None = None) -> np.ndarray:
    """Poses (T, nq) of a robot that meet the targets."""
    effort = effort or Effort()
    tasks = Tasks(rig, kinematics, targets, effort.tolerances)
    qpos = _start(rig, kinematics, targets)
    few = np.unique(np.append(np.arange(0, len(qpos), effort.every), len(qpos) - 1))
    qpos = _between(kinematics, _alone(tasks, kinematics, qpos[few], few, effort), few, len(qpos))
    return _Clip(tasks, kinematics, qpos, targets.dt, effort).solve()


def _start(rig: Rig, kinematics: Kinematics, targets: Targets) -> np.ndarray:
    """The default pose, or a recording's, with hips and trunk at their targets."""
    count = len(targets.hips)
    attitude = targets.trunk[:, 0]
    joints = np.tile(rig.neutral, (count, 1)) if targets.joints is None else targets.joints
    qpos = kinematics.qpos(np.zeros((count, 3)), attitude, joints)
    if targets.joints is not None and rig.pelvis != kinematics.root:
        attitude = targets.trunk[:, 1]
        qpos = kinematics.qpos(np.zeros((count, 3)), attitude, joints)
    qpos[:, :3] = targets.hips - kinematics.place(qpos).at(rig.hips)
    return qpos


def _alone(tasks: Tasks, kinematics: Kinematics, qpos: np.ndarray, frames: np.ndarray, effort: Effort) -> np.ndarray:
    """Solve frames individually; ranges by clipping."""
    for step in range(effort.alone):
        own, right, _, _ = tasks.normal(qpos, frames, effort.soft)
        damping = 10.0 * 0.5**step
        index = np.arange(own.shape[-1])
        own[:, index, index] += damping
        moved = np.linalg.solve(own, right[..., None])[..., 0]
        largest = np.abs(moved[:, ROOT:]).max(1, keepdims=True)
        qpos = _within(kinematics, kinematics.move(qpos, moved * np.minimum(1.0, 0.7 / np.maximum(largest, 1e-9))), effort.margin)
    return qpos


def _between(kinematics: Kinematics, qpos: np.ndarray, frames: np.ndarray, count: int) -> np.ndarray:
    """Poses (count, nq) of all frames from those of some."""
    at = np.interp(np.arange(count), frames, np.arange(len(frames)))
    attitude = slerp(matrix_of_quat(qpos[:, 3:7]), at)
    rest = [
        np.stack([np.interp(np.arange(count), frames, column) for column in part.T], 1)
        for part in (qpos[:, :3], qpos[:, kinematics.joints])
    ]
    return kinematics.qpos(rest[0], attitude, rest[1])


def _within(kinematics: Kinematics, qpos: np.ndarray, margin: float) -> np.ndarray:
    qpos[:, kinematics.joints] = np.clip(qpos[:, kinematics.joints], kinematics.lower + margin, kinematics.upper - margin)
    return qpos


class _Clip:
    """Gauss-Newton steps over a whole clip, damped for each frame that a step made worse (Levenberg-Marquardt).

    A joint at the end of its range whose gradient points beyond it is held there (Bertsekas 1982, projected Newton).
    """

    def __init__(self, tasks: Tasks, kinematics: Kinematics, qpos: np.ndarray, dt: float, effort: Effort) -> None:
        self._tasks, self._kinematics, self._effort, self._dt = tasks, kinematics, effort, dt
        self._qpos = _within(kinematics, qpos, effort.margin)
        self._damping = np.full(len(qpos), 30.0)

    def solve(self) -> np.ndarray:
        """Take steps until the feet are in place, or no more are allowed."""
        effort, cost = self._effort, np.full(len(self._qpos), np.inf)
        best, least, stuck = self._qpos, np.inf, 0
        for step in range(effort.most + 1):
            softness = max(1.0, effort.soft * 0.25**step)
            equations, cost, total, worst = self._equations(softness, cost)
            settled = softness == 1.0 and step >= effort.together
            stuck = stuck + 1 if softness == 1.0 and total > 0.98 * least else 0
            if softness == 1.0 and total < least:
                best, least = self._qpos, total
            if step >= effort.most or (settled and (worst < effort.enough or stuck >= 2)):
                break
            self._step(*equations, rounds=1 if softness > 4.0 else effort.rounds)
        return best

    def _equations(
        self, softness: float, before: np.ndarray
    ) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray, float, float]:
        """The normal equations, the cost of each frame and of the clip, and the largest distance of a standing foot from its place [m]."""
        qpos, dt, effort, kinematics = self._qpos, self._dt, self._effort, self._kinematics
        count, n = len(qpos), ROOT + len(kinematics.joints)
        own, right, cost = np.empty((count, n, n)), np.empty((count, n)), np.empty(count)
        worst = 0.0
        for start in range(0, count, CHUNK):
            part = slice(start, min(start + CHUNK, count))
            own[part], right[part], cost[part], off = self._tasks.normal(qpos[part], part, softness)
            worst = max(worst, off)
        next_, after = np.zeros((max(count - 1, 0), n)), np.zeros((max(count - 2, 0), n))
        total = float(cost.sum()) + _smoothness(kinematics, qpos, dt, effort, own, right, next_, after)
        total += _speeds(kinematics, qpos, dt, effort, own, right, next_)
        worse = cost > 1.1 * before + 1.0
        self._damping = np.clip(np.where(worse, self._damping * 10.0, self._damping * 0.4), *DAMPING)
        index = np.arange(n)
        own[:, index, index] += self._damping[:, None]
        return (own, next_, after, right), cost, total, worst

    def _step(self, own: np.ndarray, next_: np.ndarray, after: np.ndarray, right: np.ndarray, rounds: int) -> None:
        """Solve; joints that would leave their range are held at its end and the others solved again."""
        kinematics, index = self._kinematics, np.arange(ROOT, own.shape[-1])
        joints = self._qpos[:, kinematics.joints]
        low = kinematics.lower + self._effort.margin - joints
        high = kinematics.upper - self._effort.margin - joints
        wanted = right[:, ROOT:]
        held = np.where((low >= -NEAR) & (wanted < 0), -1, np.where((high <= NEAR) & (wanted > 0), 1, 0))
        for _ in range(rounds):
            blocks, sought = own.copy(), right.copy()
            blocks[:, index, index] += (held != 0) * HELD
            sought[:, ROOT:] = np.where(held, HELD * np.where(held > 0, high, low), wanted)
            moved = banded.solve(blocks, next_, after, sought)
            step = moved[:, ROOT:]
            beyond = np.where(held, 0, np.where(step < low - SLIGHT, -1, np.where(step > high + SLIGHT, 1, 0)))
            if not beyond.any():
                break
            held = held + beyond
        largest = np.abs(moved[:, 3:]).max(1, keepdims=True)
        moved = moved * np.minimum(1.0, LONGEST / np.maximum(largest, 1e-9))
        self._qpos = _within(kinematics, kinematics.move(self._qpos, moved), self._effort.margin)


def coordinates(kinematics: Kinematics, qpos: np.ndarray) -> np.ndarray:
    """Steps from frame to frame in the coordinates, (T - 1, n)."""
    attitude = matrix_of_quat(qpos[:, 3:7])
    turned = logarithm(attitude[1:] @ np.swapaxes(attitude[:-1], 1, 2))
    return np.concatenate([np.diff(qpos[:, :3], axis=0), turned, np.diff(qpos[:, kinematics.joints], axis=0)], 1)


def _smoothness(
    kinematics: Kinematics,
    qpos: np.ndarray,
    dt: float,
    effort: Effort,
    own: np.ndarray,
    right: np.ndarray,
    next_: np.ndarray,
    after: np.ndarray,
) -> float:
    """Add small accelerations of all coordinates to the equations; returns their cost."""
    if len(qpos) < 3:
        return 0.0
    t = effort.tolerances
    tolerance = np.full(own.shape[-1], t.joint_acceleration)
    tolerance[:3] = t.root_acceleration
    weight = (1.0 / (tolerance * dt * dt)) ** 2
    bend = np.diff(coordinates(kinematics, qpos), axis=0)  # (T - 2, n): x0 - 2 x1 + x2
    index = np.arange(own.shape[-1])
    for shift, share in ((0, 1.0), (1, -2.0), (2, 1.0)):
        frames = slice(shift, shift + len(bend))
        own[frames, index, index] += share * share * weight
        right[frames] -= share * weight * bend
    next_[:-1] += -2.0 * weight
    next_[1:] += -2.0 * weight
    after += weight
    return float((weight * bend**2).sum())


def _speeds(
    kinematics: Kinematics, qpos: np.ndarray, dt: float, effort: Effort, own: np.ndarray, right: np.ndarray, next_: np.ndarray
) -> float:
    """Add a penalty on joint speeds beyond the largest, minus a margin, to the equations; returns its cost."""
    moved = np.diff(qpos[:, kinematics.joints], axis=0)
    most = kinematics.speed * effort.speed * dt
    beyond = np.clip(moved, -most, most) - moved
    weight = (beyond != 0) / (effort.tolerances.speed * most) ** 2
    index = np.arange(ROOT, own.shape[-1])
    own[1:, index, index] += weight
    own[:-1, index, index] += weight
    next_[:, ROOT:] -= weight
    right[1:, ROOT:] += weight * beyond
    right[:-1, ROOT:] -= weight * beyond
    return float((weight * beyond**2).sum())
