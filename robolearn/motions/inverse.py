"""Poses that do what is asked: damped least squares frame by frame, then over the whole clip with smoothness, ranges and speeds.

First every few frames are solved from the default pose, and the frames between take what lies between. Then Gauss-Newton steps go over the
clip as a whole: what is asked of each frame, small accelerations, and what a joint's range and largest speed allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from robolearn.motions import banded
from robolearn.motions.kinematics import ROOT, Kinematics
from robolearn.motions.rig import Rig
from robolearn.motions.rotation import exponential, logarithm, matrix_of_quat, slerp
from robolearn.motions.targets import Targets
from robolearn.motions.tasks import Tasks, Tolerances

CHUNK = 256  # frames whose Jacobians are held at once


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long it is tried.

    Attributes:
        every: frames from one that is solved by itself to the next.
        alone: steps of these.
        together: steps over the whole clip.
        margin: kept from the ends of a joint's range [rad].
        speed: share of a joint's largest speed that is allowed.
        tolerances: of what is asked.
    """

    every: int = 8
    alone: int = 12
    together: int = 4
    margin: float = 0.01
    speed: float = 0.9
    tolerances: Tolerances = field(default_factory=Tolerances)


def solve(rig: Rig, kinematics: Kinematics, targets: Targets, effort: Effort | None = None) -> np.ndarray:
    """Poses (T, nq) of a robot that do what is asked."""
    effort = effort or Effort()
    tasks = Tasks(rig, kinematics, targets, effort.tolerances)
    qpos = _start(rig, kinematics, targets)
    few = np.unique(np.append(np.arange(0, len(qpos), effort.every), len(qpos) - 1))
    qpos = _between(kinematics, _alone(tasks, kinematics, qpos[few], few, effort), few, len(qpos))
    for step in range(effort.together):
        qpos = _together(tasks, kinematics, qpos, targets.dt, effort, last=step == effort.together - 1)
    return qpos


def _start(rig: Rig, kinematics: Kinematics, targets: Targets) -> np.ndarray:
    """The default pose, hips and trunk where they are asked to be."""
    count = len(targets.hips)
    attitude = targets.trunk[:, 0]
    joints = np.tile(rig.neutral, (count, 1))
    qpos = kinematics.qpos(np.zeros((count, 3)), attitude, joints)
    standing = kinematics.place(kinematics.qpos(np.zeros((1, 3)), np.eye(3)[None], joints[:1])).at(rig.hips)[0]
    qpos[:, :3] = targets.hips - attitude @ standing
    return qpos


def _alone(tasks: Tasks, kinematics: Kinematics, qpos: np.ndarray, frames: np.ndarray, effort: Effort) -> np.ndarray:
    """Solve frames each by itself; ranges by clipping."""
    for step in range(effort.alone):
        own, right, _ = tasks.normal(qpos, frames)
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
    rest = [np.stack([np.interp(np.arange(count), frames, column) for column in part.T], 1) for part in (qpos[:, :3], qpos[:, kinematics.joints])]
    return kinematics.qpos(rest[0], attitude, rest[1])


def _within(kinematics: Kinematics, qpos: np.ndarray, margin: float) -> np.ndarray:
    qpos[:, kinematics.joints] = np.clip(qpos[:, kinematics.joints], kinematics.lower + margin, kinematics.upper - margin)
    return qpos


def _together(tasks: Tasks, kinematics: Kinematics, qpos: np.ndarray, dt: float, effort: Effort, last: bool) -> np.ndarray:
    """One Gauss-Newton step over the whole clip."""
    count, n = len(qpos), ROOT + len(kinematics.joints)
    own, right = np.empty((count, n, n)), np.empty((count, n))
    for start in range(0, count, CHUNK):
        part = slice(start, min(start + CHUNK, count))
        own[part], right[part], _ = tasks.normal(qpos[part], part)
    next_, after = np.zeros((max(count - 1, 0), n)), np.zeros((max(count - 2, 0), n))
    _smoothness(kinematics, qpos, dt, effort, own, right, next_, after)
    _ranges(kinematics, qpos, effort, own, right)
    _speeds(kinematics, qpos, dt, effort, own, right, next_)
    moved = banded.solve(own, next_, after, right)
    qpos = kinematics.move(qpos, np.clip(moved, -0.5, 0.5))
    return _within(kinematics, qpos, 0.0 if last else 0.0)


def coordinates(kinematics: Kinematics, qpos: np.ndarray) -> np.ndarray:
    """Steps from frame to frame in the coordinates, (T - 1, n)."""
    attitude = matrix_of_quat(qpos[:, 3:7])
    turned = logarithm(attitude[1:] @ np.swapaxes(attitude[:-1], 1, 2))
    return np.concatenate([np.diff(qpos[:, :3], axis=0), turned, np.diff(qpos[:, kinematics.joints], axis=0)], 1)


def _smoothness(kinematics, qpos, dt, effort, own, right, next_, after) -> None:  # type: ignore[no-untyped-def]
    """Small accelerations of all coordinates."""
    if len(qpos) < 3:
        return
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


def _ranges(kinematics, qpos, effort, own, right) -> None:  # type: ignore[no-untyped-def]
    """A pull back into a joint's range, less a margin."""
    joints = qpos[:, kinematics.joints]
    beyond = np.clip(joints, kinematics.lower + effort.margin, kinematics.upper - effort.margin) - joints
    weight = (beyond != 0) / effort.tolerances.limit**2
    index = np.arange(ROOT, own.shape[-1])
    own[:, index, index] += weight
    right[:, ROOT:] += weight * beyond


def _speeds(kinematics, qpos, dt, effort, own, right, next_) -> None:  # type: ignore[no-untyped-def]
    """A pull back to a joint's largest speed, less a margin."""
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
