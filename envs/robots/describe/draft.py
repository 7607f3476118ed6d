"""A model on its way from a file to a `Reading`: MJCF as an XML tree, with further data of the file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Motor:
    """An actuator of the file, seen at its joint.

    Attributes:
        kp: position gain at the joint [N m / rad]; None for a motor without.
        kd: velocity gain at the joint [N m s / rad]; None for a motor without.
        effort: largest torque at the joint [N m]; None if the file has no limit.
        gear: ratio that multiplies the actuator's force; `kp`, `kd` and `effort` include it.
    """

    kp: float | None
    kd: float | None
    effort: float | None
    gear: float


@dataclass(frozen=True, kw_only=True)
class MeshFile:
    """The source of a mesh asset; `path` is None if there is no file at `uri`."""

    uri: str
    path: Path | None


@dataclass(kw_only=True)
class Draft:
    """The robot as MJCF, before it is compiled.

    Attributes:
        tree: the `mujoco` element.
        root: name of the robot's root body.
        free: whether the file gave it a free joint.
        meshes: files of the mesh assets, by the asset's name.
        efforts: largest torque of each joint [N m]; None if the file has none.
        velocities: largest speed of each joint [rad/s]; None if the file has none.
        motors: the file's actuators, by joint.
        keys: keyframes as joint angles [rad].
        mimics: joint -> (joint it follows, multiplier, offset).
        passive: joints that cannot be given an actuator.
    """

    tree: ET.Element
    root: str
    free: bool
    meshes: dict[str, MeshFile] = field(default_factory=dict)
    efforts: dict[str, float | None] = field(default_factory=dict)
    velocities: dict[str, float | None] = field(default_factory=dict)
    motors: dict[str, Motor] = field(default_factory=dict)
    keys: dict[str, dict[str, float]] = field(default_factory=dict)
    mimics: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    passive: tuple[str, ...] = ()
