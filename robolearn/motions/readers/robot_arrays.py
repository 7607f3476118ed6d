"""Motions of a robot as arrays: TWIST2's and ASAP's pickles, and root and joints found by any reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.robots.robot import Robot
from robolearn.errors import UserError
from robolearn.evaluation.gait.recordings import Recording
from robolearn.motions.readers.arrays import array_of, rate_of
from robolearn.motions.rotation import matrix_of_quat

FORMS = (("root_pos", "root_rot", "dof_pos"), ("root_trans_offset", "root_rot", "dof"))
"""Names of position, attitude (xyzw) and joints."""
HIGHEST = 10.0  # m of the base, beyond which its unit must be another
WARMING, JUMP = 5, 10.0  # frames at the beginning in which jumps are expected, and the speed of a jump [rad/s]


def is_robot(told: Mapping[str, Any]) -> bool:
    """Whether arrays are a robot's motion."""
    return any(all(name in told for name in form) for form in FORMS)


def read(name: str, told: Mapping[str, Any], robot: Robot, fps: float | None) -> Recording:
    """A robot's motion from arrays.

    Raises:
        UserError: it is of another robot, or has no rate.
    """
    form = next(form for form in FORMS if all(name in told for name in form))
    return recording(name, robot, rate_of(told, ("fps",), fps), *(array_of(told, key) for key in form))


def recording(name: str, robot: Robot, fps: float, position: np.ndarray, attitude_xyzw: np.ndarray, joints: np.ndarray) -> Recording:
    """Poses from root and joints; if the wrist joints are missing, they stay in their default pose.

    Jumping frames at the beginning are left out, in which retargeters that work frame by frame have not settled.

    Raises:
        UserError: it is of another robot or in other units, or some numbers are not finite.
    """
    names = list(robot.joint_names)
    without = [i for i, joint in enumerate(names) if "wrist" not in joint.lower()]
    count = len(joints) if joints.ndim == 2 else 0
    if not count or joints.shape[1] not in (len(names), len(without)) or (position.shape, attitude_xyzw.shape) != ((count, 3), (count, 4)):
        raise UserError(
            f"not a motion of {robot.name}, which has {len(names)} joints: position {position.shape}, attitude {attitude_xyzw.shape},"
            f" joints {joints.shape}"
        )
    full = np.tile(np.array(robot.default_pose), (count, 1))
    full[:, without if joints.shape[1] == len(without) else slice(None)] = joints
    qpos = np.concatenate([position, attitude_xyzw[:, [3, 0, 1, 2]], full], 1)
    if count < 2 or not np.isfinite(qpos).all():
        raise UserError(f"{count} frames, or numbers that are not finite")
    _check_units(qpos)
    jumps = np.flatnonzero((np.abs(np.diff(qpos[: WARMING + 1, 7:], axis=0)) * fps > JUMP).any(1))
    return Recording(name=name, dt=1.0 / fps, qpos=qpos[jumps[-1] + 1 if len(jumps) else 0 :])


def _check_units(qpos: np.ndarray) -> None:
    """Refuse impossible motions, which come from other units or another order of the quaternion.

    Raises:
        UserError: says what is wrong and what is expected.
    """
    if (np.linalg.norm(qpos[:, 3:7], axis=1) < 0.1).any():
        raise UserError("some attitudes are not quaternions: their length is nearly 0")
    turned = matrix_of_quat(qpos[:, 3:7])[:, 2, 2]
    if np.median(turned) < -0.5:
        raise UserError("the base is upside down; its attitude must be a quaternion in the order x, y, z, w")
    if np.median(np.abs(qpos[:, 2])) > HIGHEST:
        raise UserError(f"the base is {np.median(qpos[:, 2]):.0f} m high; positions must be in metres, with z up")
    if np.percentile(np.abs(qpos[:, 7:]), 99) > 2 * np.pi:
        raise UserError(f"joints turn by {np.abs(qpos[:, 7:]).max():.0f} rad; angles must be in radians, not degrees")
