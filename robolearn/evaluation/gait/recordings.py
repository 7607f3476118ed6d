"""Reads recordings of people on a robot: pickles of arrays, as in TWIST2, without running any code in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from envs.robots.robot import Robot
from robolearn.errors import UserError
from robolearn.motions.readers.pickles import load_arrays

NEEDED = ("fps", "root_pos", "root_rot", "dof_pos")
FIRST = 2  # frames at the beginning that jump, before the retargeter has settled


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recorded motion on a robot.

    Attributes:
        name: of the file.
        dt: time between poses [s].
        qpos: base position [m], attitude wxyz, joints in policy order [rad], (T, 7 + J).
    """

    name: str
    dt: float
    qpos: np.ndarray


def read(path: Path, robot: Robot) -> Recording:
    """Read a recording on a robot.

    Raises:
        UserError: the file cannot be read, holds anything but arrays, or is of another robot.
    """
    told = load_arrays(path)
    lacking = [name for name in NEEDED if not isinstance(told, dict) or name not in told]
    if lacking:
        raise UserError(f"{path} is not a recording: it lacks {', '.join(lacking)}; valid: a dict with {', '.join(NEEDED)}")
    position, attitude, joints = (np.asarray(told[name], float)[FIRST:] for name in NEEDED[1:])
    if joints.ndim != 2 or joints.shape[1] != robot.num_joints or position.shape != (len(joints), 3) or attitude.shape != (len(joints), 4):
        shapes = f"root_pos {position.shape}, root_rot {attitude.shape}, dof_pos {joints.shape}"
        raise UserError(f"{path} is not a motion of {robot.name}, which has {robot.num_joints} joints: {shapes}")
    qpos = np.concatenate([position, attitude[:, [3, 0, 1, 2]], joints], axis=1)
    if len(qpos) < 2 or not np.isfinite(qpos).all():
        raise UserError(f"{path} has {len(qpos)} frames after the first {FIRST}, or numbers that are not finite")
    fps = told["fps"]
    if not isinstance(fps, int | float | np.number) or not 0 < float(fps) < np.inf:
        raise UserError(f"{path}: fps must be a number above zero, not {fps!r}")
    return Recording(name=path.stem, dt=1.0 / float(fps), qpos=qpos)


def find(folder: Path) -> list[Path]:
    """The recordings in a folder, or in its subfolder of TWIST2's walks.

    Raises:
        UserError: there are none.
    """
    for place in (folder, folder / "twist2_walks"):
        found = sorted(place.glob("*.pkl"))
        if found:
            return found
    raise UserError(f"no recordings (*.pkl) in {folder}; give a folder of motions on G1, such as TWIST2's walks")
