"""A person in motion: the positions of a few landmarks of the body, from any kind of file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from robolearn.errors import UserError

SIDED = ("hip", "knee", "ankle", "toe", "shoulder", "elbow", "wrist")
LANDMARKS = ("pelvis", "chest", "neck", "head", *(f"{side}_{name}" for side in ("left", "right") for name in SIDED))
"""The landmarks; chest is a joint of the spine below the shoulders, toe is the ball of the foot."""
NEEDED = tuple(f"{side}_{name}" for side in ("left", "right") for name in ("hip", "knee", "ankle", "shoulder"))
LEG_M = (0.45, 1.2)  # thigh and shank of a person, children included
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "inch / 0.45": 0.0254 / 0.45}

_MIDDLE = {
    "pelvis": ("hips", "pelvis", "root", "hip", "lowertorso"),
    "chest": ("spine2", "chest", "upperback", "spine1", "spine3", "thorax", "torso", "spine", "abdomen"),
    "neck": ("neck", "lowerneck", "neck1", "c7", "upperneck"),
    "head": ("head", "headend"),
}
_SIDED = {
    "hip": ("upleg", "femur", "hip", "thigh", "upperleg"),
    "knee": ("tibia", "knee", "leg", "shin", "lowleg", "lowerleg", "calf"),
    "ankle": ("ankle", "foot"),
    "toe": ("toebase", "toes", "toe", "ball", "foot"),
    "shoulder": ("humerus", "arm", "uparm", "upperarm", "shoulder"),
    "elbow": ("radius", "elbow", "forearm", "lowarm", "lowerarm"),
    "wrist": ("wrist", "hand"),
}
"""Landmark -> its names in files, the surest first. A name is used once: a foot besides an ankle is the toe."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """T frames of a person with K = len(LANDMARKS) landmarks.

    Attributes:
        name: of the clip.
        fps: frames per second.
        position: position in the world, z up [m], (T, K, 3); NaN for unknown landmarks.
        confidence: confidence of each, 0 to 1, (T, K); 0 for unknown landmarks.
        remarks: assumptions of the reader, one sentence each.
    """

    name: str
    fps: float
    position: np.ndarray
    confidence: np.ndarray
    remarks: tuple[str, ...] = field(default=())

    def __getitem__(self, landmark: str) -> np.ndarray:
        """Positions of a landmark [m], (T, 3)."""
        return self.position[:, LANDMARKS.index(landmark)]

    def has(self, landmark: str) -> bool:
        """Whether a landmark is known in any frame."""
        return bool(self.confidence[:, LANDMARKS.index(landmark)].any())


def find_landmarks(names: Sequence[str]) -> dict[str, int]:
    """The file's joint for each landmark, by name.

    Raises:
        UserError: a needed landmark is not found; the message lists the joints.
    """
    plain = [_plain(name) for name in names]
    found: dict[str, int] = {}
    for landmark in LANDMARKS:
        side, _, part = landmark.rpartition("_")
        wanted = [f"{prefix}{name}" for name in _SIDED[part] for prefix in (side, side[0])] if side else list(_MIDDLE[landmark])
        for name in wanted:
            if name in plain and plain.index(name) not in found.values():
                found[landmark] = plain.index(name)
                break
    lacking = [name for name in NEEDED if name not in found]
    if lacking:
        raise UserError(f"no {', '.join(lacking)} among the joints {', '.join(names)}; name joints as BVH, ASF or SMPL files do")
    return found


def person_of(
    name: str, fps: float, names: Sequence[str], position: np.ndarray, confidence: np.ndarray | None = None, remarks: Sequence[str] = ()
) -> Person:
    """A person from a file's joints: landmarks by name, metres by the length of the legs, z up by how the body stands.

    Args:
        name: of the clip.
        fps: frames per second.
        names: names of B joints.
        position: positions in the file's units and axes, (T, B, 3); NaN in gaps.
        confidence: (T, B), 0 to 1; None for 1.
        remarks: remarks of the reader.

    Raises:
        UserError: landmarks are missing, or no unit gives legs of a person's length.
    """
    found = find_landmarks(names)
    if len(position) < 2:
        raise UserError(f"{name} has {len(position)} frames; a motion needs at least 2")
    chosen = np.full((len(position), len(LANDMARKS), 3), np.nan)
    sure = np.zeros(chosen.shape[:2])
    for landmark, index in found.items():
        chosen[:, LANDMARKS.index(landmark)] = position[:, index]
        sure[:, LANDMARKS.index(landmark)] = 1.0 if confidence is None else confidence[:, index]
    known = np.logical_and.reduce(np.isfinite(chosen), axis=-1)
    sure = np.where(known, np.clip(np.nan_to_num(sure), 0.0, 1.0), 0.0)
    chosen = np.where(known[..., None], chosen, np.nan)
    unseen = [landmark for landmark in NEEDED if not known[:, LANDMARKS.index(landmark)].any()]
    if unseen:
        raise UserError(f"{name} has {', '.join(unseen)} in no frame")
    unit, scale = _unit(name, chosen)
    turned, axis = _upright(chosen)
    told = [*remarks] + ([f"lengths are in {unit}"] if unit != "m" else []) + ([f"{axis} is up"] if axis != "z" else [])
    return Person(name=name, fps=float(fps), position=turned * scale, confidence=sure, remarks=tuple(told))


def _plain(name: str) -> str:
    """A joint's name without prefix, case and separators: `mixamorig:LeftUpLeg` -> `leftupleg`."""
    name = re.sub(r"^(mixamorig\d*|character\d*|bip0?1|b|m|f_avg|skel)[:_ ]+", "", name.strip(), flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _at(position: np.ndarray, landmark: str) -> np.ndarray:
    return position[:, LANDMARKS.index(landmark)]


def _unit(name: str, position: np.ndarray) -> tuple[str, float]:
    """The unit of a file, by the length of its legs."""
    lengths = [
        np.nanmedian(np.linalg.norm(_at(position, f"{side}_{a}") - _at(position, f"{side}_{b}"), axis=-1))
        for side in ("left", "right")
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    leg = float(np.sum(lengths)) / 2
    for unit, scale in UNITS.items():
        if LEG_M[0] <= leg * scale <= LEG_M[1]:
            return unit, scale
    raise UserError(f"{name}: thigh and shank are {leg:.4g} long, which is not the length of a person's leg in {', '.join(UNITS)}")


def _upright(position: np.ndarray) -> tuple[np.ndarray, str]:
    """Positions rotated so that z is up; the up axis, or its opposite, is the one along which the shoulders are farthest from the ankles.

    The opposite occurs with a camera's axes, whose y points down.
    """
    shoulders = (_at(position, "left_shoulder") + _at(position, "right_shoulder")) / 2
    ankles = (_at(position, "left_ankle") + _at(position, "right_ankle")) / 2
    body = shoulders - ankles
    body = body[np.isfinite(body).all(1)]
    mean = body.mean(0) if len(body) else np.array([0.0, 0.0, 1.0])
    axis = int(np.argmax(np.abs(mean)))
    order = {0: [1, 2, 0], 1: [2, 0, 1], 2: [0, 1, 2]}[axis]  # cyclic: no mirror
    if mean[axis] < 0:
        return position[..., order] * [1.0, -1.0, -1.0], f"-{'xyz'[axis]}"  # half a turn: no mirror either
    return position[..., order], "xyz"[axis]
