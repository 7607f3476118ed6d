"""Positions of the 34 joints of G1's skeleton, as text-to-motion models return them (kimodo), read as a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robolearn.errors import UserError
from robolearn.motions.person import Person, person_of
from robolearn.motions.readers.arrays import array_of

PLACES = {
    "pelvis": 0, "left_hip": 2, "left_knee": 4, "left_ankle": 6, "left_toe": 7, "right_hip": 9, "right_knee": 11, "right_ankle": 13,
    "right_toe": 14, "chest": 17, "left_shoulder": 19, "left_elbow": 21, "left_wrist": 23, "right_shoulder": 27, "right_elbow": 29,
    "right_wrist": 31,
}  # fmt: skip
"""Landmark -> its joint in the skeleton's order."""
FPS = 30.0


def is_skeleton(told: Mapping[str, Any]) -> bool:
    """Whether a file's arrays are of such a skeleton."""
    return "posed_joints" in told and np.ndim(told["posed_joints"]) == 3


def person(name: str, told: Mapping[str, Any], fps: float | None = None) -> Person:
    """The person.

    Raises:
        UserError: not 34 joints.
    """
    joints = array_of(told, "posed_joints")
    if joints.shape[1:] != (34, 3):
        raise UserError(f"{name}: posed_joints must be (frames, 34, 3), not {joints.shape}")
    remarks = () if fps else (f"the format has no rate: {FPS:g} frames per second are assumed (--fps)",)
    return person_of(name, fps or FPS, list(PLACES), joints[:, list(PLACES.values())], remarks=remarks)
