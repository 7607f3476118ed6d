"""Computes poses of a robot from the columns of an episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.robot import Robot
from robolearn.data.columns import ROOT, STATE
from robolearn.viewer.dataset.series import held, known_rows


@dataclass(frozen=True, kw_only=True)
class Poses:
    """The motion of a robot.

    Attributes:
        qpos: (T, nq) of the robot's own model, finite and with unit quaternions.
        root_known: rows in which position and attitude of the base were recorded, (T,) bool; in other rows it stays at its last known
            place.
        strange: joints of the recording that the robot lacks; they are not shown.
    """

    qpos: np.ndarray
    root_known: np.ndarray
    strange: tuple[str, ...]


def poses_of(robot: Robot, columns: Mapping[str, np.ndarray], joints: Sequence[str]) -> Poses | None:
    """Poses of an episode; None if its state does not have our layout, or shares no joint with the robot.

    If no row of the root is known, the base stays in place and is tilted by gravity's direction.

    Args:
        robot: the robot to show.
        columns: columns of the episode.
        joints: names of the recorded joints, in order; empty for the robot's own.
    """
    names = tuple(joints) or robot.joint_names
    state = columns.get(STATE)
    if state is None or state.ndim != 2 or state.shape[1] != 2 * len(names) + 6:
        return None
    model = robot.compiled
    of_robot = set(robot.joint_names)
    found = [place for place, name in enumerate(names) if name in of_robot]
    if not found:
        return None
    count = len(state)
    qpos = np.tile(np.array(model.key("stand").qpos), (count, 1))
    for place in found:
        qpos[:, model.jnt_qposadr[model.joint(names[place]).id]] = held(state[:, place], np.isfinite(state[:, place]))
    known = np.ones(count, dtype=bool)
    if robot.floating_base:
        root = columns.get(ROOT)
        known = known_rows(columns, ROOT, count) & (root is not None)
        if root is not None:
            known &= np.linalg.norm(root[:, 3:7], axis=1) > 0.5
        if root is not None and known.any():
            qpos[:, :7] = held(root[:, :7], known)
            qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
        else:
            qpos[:, 3:7] = _leaning(state[:, -6:-3])
    return Poses(qpos=qpos, root_known=known, strange=tuple(name for name in names if name not in of_robot))


def from_start(qpos: np.ndarray, sideways: float = 0.0) -> np.ndarray:
    """Poses (T, nq) of a robot with a free base, moved so that it starts at the origin, or `sideways` [m] from there, and faces along x."""
    moved = qpos.copy()
    w, x, y, z = qpos[0, 3:7]
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    cos, sin = np.cos(yaw), np.sin(yaw)
    offset = qpos[:, :2] - qpos[0, :2]
    moved[:, 0] = cos * offset[:, 0] + sin * offset[:, 1]
    moved[:, 1] = -sin * offset[:, 0] + cos * offset[:, 1] + sideways
    back, turned = np.array([np.cos(yaw / 2), 0.0, 0.0, -np.sin(yaw / 2)]), np.zeros(4)
    for row in moved:
        mujoco.mju_mulQuat(turned, back, row[3:7])
        row[3:7] = turned
    return moved


def _leaning(gravity: np.ndarray) -> np.ndarray:
    """Attitudes wxyz (T, 4) with zero yaw and the given directions of gravity in the base frame, (T, 3)."""
    down = np.array([0.0, 0.0, -1.0])
    norm = np.linalg.norm(np.nan_to_num(gravity), axis=1, keepdims=True)
    unit = np.where(norm > 0.1, np.nan_to_num(gravity) / np.maximum(norm, 1e-6), down)
    quat = np.concatenate([1.0 + unit @ down[:, None], np.cross(unit, down)], axis=1)
    size = np.linalg.norm(quat, axis=1, keepdims=True)
    return np.where(size > 1e-6, quat / np.maximum(size, 1e-6), np.array([0.0, 1.0, 0.0, 0.0]))
