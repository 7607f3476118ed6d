"""People in SMPL's format: positions of its 24 joints, or rotations of its joints as in AMASS.

SMPL's body model is not free and not needed. If a file has only rotations, they are applied to a body of our own with SMPL's tree of joints
and the lengths of a person of 1.7 m (Winter, Biomechanics, figure 4.1): directions are the file's, and since lengths become the robot's in
any case, `betas` are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robolearn.errors import UserError
from robolearn.motions.person import Person, person_of
from robolearn.motions.readers.arrays import array_of, rate_of
from robolearn.motions.readers.skeleton import joint_positions
from robolearn.motions.rotation import exponential

JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle", "spine3", "left_toe",
    "right_toe", "neck", "left_collar", "right_collar", "head", "left_arm", "right_arm", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "left_fingers", "right_fingers",
)  # fmt: skip
"""SMPL's joints in its order, with names that `person.find_landmarks` knows."""
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
_LEFT = {
    "left_hip": (0.07, -0.08, 0.0), "left_knee": (0.03, -0.41, 0.0), "left_ankle": (0.0, -0.41, -0.03), "left_toe": (0.03, -0.06, 0.13),
    "left_collar": (0.08, 0.11, -0.02), "left_arm": (0.10, 0.04, -0.01), "left_elbow": (0.28, 0.0, -0.01), "left_wrist": (0.25, 0.0, 0.0),
    "left_fingers": (0.09, 0.0, 0.0),
}  # fmt: skip
_MIDDLE = {"spine1": (0.0, 0.12, -0.03), "spine2": (0.0, 0.13, 0.02), "spine3": (0.0, 0.05, 0.0), "neck": (0.0, 0.21, -0.03),
           "head": (0.0, 0.08, 0.05), "pelvis": (0.0, 0.0, 0.0)}  # fmt: skip
MEASURES = ("smpl_joints", "joints3d", "joints", "positions")
SURE = ("confidence", "confidences", "joint_confidence")
RATES = ("fps", "mocap_framerate", "mocap_frame_rate", "framerate")


def offsets() -> np.ndarray:
    """Offset of each joint from its parent in SMPL's rest pose: y up, x to the left, z ahead, arms stretched sideways [m], (24, 3)."""
    table = _MIDDLE | _LEFT | {name.replace("left", "right"): (-x, y, z) for name, (x, y, z) in _LEFT.items()}
    return np.array([table[name] for name in JOINTS])


def is_smpl(told: Mapping[str, Any]) -> bool:
    """Whether a file's arrays are of a person in SMPL's format."""
    return _measured(told) is not None or ("poses" in told and "trans" in told)


def person(name: str, told: Mapping[str, Any], fps: float | None = None) -> Person:
    """A person from arrays: `smpl_joints` (T, 24, 3), with `confidence` (T, 24) and NaN in gaps; or `poses` (T, 72 or more) and `trans`.

    Raises:
        UserError: shapes do not fit, or there is no rate.
    """
    rate = rate_of(told, RATES, fps)
    measured = _measured(told)
    if measured is not None:
        sure = next((array_of(told, key) for key in SURE if key in told), None)
        if measured.ndim != 3 or measured.shape[2] != 3 or measured.shape[1] < 22:
            raise UserError(f"{name}: joints of SMPL must be (frames, 24, 3), not {measured.shape}")
        if sure is not None and sure.shape != measured.shape[:2]:
            raise UserError(f"{name}: confidences are {sure.shape}, but the joints {measured.shape}")
        names = [*JOINTS, *(f"other{i}" for i in range(measured.shape[1]))][: measured.shape[1]]
        return person_of(name, rate, names, measured, sure)
    poses, place = array_of(told, "poses"), array_of(told, "trans")
    if poses.ndim != 2 or poses.shape[1] < 66 or place.shape != (len(poses), 3):
        raise UserError(f"{name}: poses must be (frames, 72 or more) and trans (frames, 3), not {poses.shape} and {place.shape}")
    vectors = np.zeros((len(poses), len(JOINTS), 3))
    vectors[:, :22] = poses[:, :66].reshape(len(poses), 22, 3)
    position = joint_positions(PARENTS, offsets(), exponential(vectors), place)
    return person_of(name, rate, JOINTS, position, remarks=("the body is our own with SMPL's rotations",))


def _measured(told: Mapping[str, Any]) -> np.ndarray | None:
    return next((array_of(told, key) for key in MEASURES if key in told and np.ndim(told[key]) == 3), None)
