"""Motions of a robot as arrays: TWIST2's and ASAP's pickles, and what any reader found as root and joints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from envs.robots.robot import Robot
from robolearn.errors import UserError
from robolearn.evaluation.gait.recordings import Recording

FORMS = (("root_pos", "root_rot", "dof_pos"), ("root_trans_offset", "root_rot", "dof"))
"""Names of position, attitude (xyzw) and joints."""
WARMING, JUMP = 5, 10.0  # frames at the beginning in which jumps are expected, and the speed of one [rad/s]


def is_robot(told: Mapping[str, Any]) -> bool:
    """Whether arrays are a robot's motion."""
    return any(all(name in told for name in form) for form in FORMS)


def read(path: Path, told: Mapping[str, Any], robot: Robot, fps: float | None) -> Recording:
    """A robot's motion of arrays.

    Raises:
        UserError: it is of another robot, or has no rate.
    """
    form = next(form for form in FORMS if all(name in told for name in form))
    rate = fps or float(np.asarray(told.get("fps", 0.0)).reshape(-1)[0])
    if not np.isfinite(rate) or rate <= 0:
        raise UserError(f"{path} does not say its rate; give it: --fps 30")
    return recording(path, robot, rate, *(np.asarray(told[name], float) for name in form))


def recording(path: Path, robot: Robot, fps: float, position: np.ndarray, attitude_xyzw: np.ndarray, joints: np.ndarray) -> Recording:
    """Poses of root and joints; joints without the wrists are those of a robot whose wrists stay in their default.

    Frames at the beginning that jump are left out: retargeters that go frame by frame have not settled there.

    Raises:
        UserError: it is of another robot, or some numbers are not finite.
    """
    names = list(robot.joint_names)
    without = [i for i, name in enumerate(names) if "wrist" not in name.lower()]
    full = np.tile(np.array(robot.default_pose), (len(joints), 1))
    if joints.ndim == 2 and joints.shape[1] in (len(names), len(without)):
        full[:, without if joints.shape[1] == len(without) else slice(None)] = joints
    if joints.ndim != 2 or joints.shape[1] not in (len(names), len(without)) or position.shape != (len(joints), 3):
        raise UserError(
            f"{path} is not a motion of {robot.name}, which has {len(names)} joints: position {position.shape}, attitude"
            f" {attitude_xyzw.shape}, joints {joints.shape}"
        )
    qpos = np.concatenate([position, attitude_xyzw[:, [3, 0, 1, 2]], full], 1)
    if len(qpos) < 2 or not np.isfinite(qpos).all():
        raise UserError(f"{path} has {len(qpos)} frames, or numbers that are not finite")
    jumps = np.flatnonzero((np.abs(np.diff(qpos[: WARMING + 1, 7:], axis=0)) * fps > JUMP).any(1))
    return Recording(name=path.stem, dt=1.0 / fps, qpos=qpos[jumps[-1] + 1 if len(jumps) else 0 :])
