"""A retargeted clip as an episode of a dataset: state, root and contacts, and the velocity command that the motion follows. No actions."""

from __future__ import annotations

import numpy as np

from envs.robots.robot import Robot
from robolearn.data.columns import COMMAND, CONTACT, DONE, ROOT, STATE, Column, robot_columns
from robolearn.data.source import Episode, Source
from robolearn.evaluation.gait.motion import planar_velocity
from robolearn.motions.footing import smooth
from robolearn.motions.kinematics import Kinematics
from robolearn.motions.rotation import logarithm, matrix_of_quat

COMMANDS = ("vx", "vy", "yaw_rate")
COMMAND_S = 0.5
"""Time before and after over which the root's velocity is averaged to a command, to remove a person's sway."""


def columns_of(robot: Robot) -> tuple[Column, ...]:
    """The columns of a dataset of a robot's motions."""
    return robot_columns(robot.joint_names, tuple(robot.feet), COMMANDS)


def episode_of(kinematics: Kinematics, qpos: np.ndarray, contact: np.ndarray, dt: float, source: Source, task: str) -> Episode:
    """An episode of T steps.

    Args:
        kinematics: of the robot.
        qpos: poses, (T, nq).
        contact: feet that are down, in the robot's order, (T, F).
        dt: time between them [s].
        source: the source.
        task: the task in words.
    """
    joints = qpos[:, kinematics.joints]
    attitude = matrix_of_quat(qpos[:, 3:7])
    turn = logarithm(np.swapaxes(attitude[:-1], 1, 2) @ attitude[1:]) / dt  # in the base frame
    turning = np.concatenate([turn[:1], (turn[1:] + turn[:-1]) / 2, turn[-1:]])
    gravity = -attitude[:, 2, :]
    reach = round(COMMAND_S / dt)
    command = np.stack([smooth(row, reach) for row in planar_velocity(qpos, dt).T], 1)
    columns = {
        STATE: np.concatenate([joints, np.gradient(joints, dt, axis=0), gravity, turning], 1),
        ROOT: np.concatenate([qpos[:, :7], np.gradient(qpos[:, :3], dt, axis=0), turning], 1),
        CONTACT: contact.astype(float),
        COMMAND: command,
    }
    done = np.zeros((len(qpos), 1), bool)
    done[-1] = True
    found: dict[str, np.ndarray] = {name: values.astype(np.float32) for name, values in columns.items()}
    return Episode(columns=found | {DONE: done}, task=task, source=source, success=None)
