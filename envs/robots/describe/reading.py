"""Reads any robot's model (MJCF or URDF) into a clean `MjSpec` of the robot alone, with notes on what was changed."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import mujoco

from envs.robots.describe import meshes, weights
from envs.robots.describe.draft import Draft, Motor
from envs.robots.describe.frames import say_frame
from envs.robots.describe.markup import MUJOCO_ERRORS, parse
from envs.robots.describe.mjcf import draft_mjcf
from envs.robots.describe.notes import Log, Note
from envs.robots.describe.urdf_bodies import draft_urdf
from envs.robots.errors import RobotError

__all__ = ["Motor", "Note", "Reading", "read"]

OPTION = {
    "timestep": "0.005",
    "integrator": "implicitfast",
    "cone": "pyramidal",
    "iterations": "6",
    "ls_iterations": "10",
    "tolerance": "1e-6",
}
"""Simulation options of every robot; those of a file are ignored."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A robot's model that was read.

    Attributes:
        path: the file.
        format: its format.
        spec: the robot alone: no actuators, sensors, keyframes, floor, lights or cameras. It compiles; its bodies, joints and geoms have
            unique names; angles in radians; meshes by absolute path.
        xml: the MJCF text of `spec`.
        notes: what was changed or left out, and remarks.
        root: name of the root body.
        free: whether the file gave the root a free joint (which is in `spec`).
        efforts: largest torque of each joint [N m]; None if the file has none.
        velocities: largest speed of each joint [rad/s]; None if the file has none (MJCF never has one).
        motors: the file's own actuators, by joint.
        keys: the file's keyframes as angles of the joints with one degree of freedom [rad or m].
        mimics: joint -> (joint it follows, multiplier, offset), by an equality constraint of `spec`.
        passive: joints that must not get an actuator: mimics, ball joints, and, in a file that has actuators, those
            without one.
    """

    path: Path
    format: Literal["MJCF", "URDF"]
    spec: mujoco.MjSpec
    xml: str
    notes: tuple[Note, ...]
    root: str
    free: bool
    efforts: Mapping[str, float | None]
    velocities: Mapping[str, float | None]
    motors: Mapping[str, Motor]
    keys: Mapping[str, Mapping[str, float]]
    mimics: Mapping[str, tuple[str, float, float]]
    passive: tuple[str, ...]


def read(path: Path | str, packages: Sequence[Path] = ()) -> Reading:
    """Reads a robot's model.

    Args:
        path: a URDF or MJCF file, distinguished by its root element, not its suffix.
        packages: folders of ROS packages, or folders that contain them, where `package://` is searched for first.

    Raises:
        RobotError: it cannot be read as a robot; lists every reason with its fix.
    """
    path = Path(path).expanduser()
    log = Log()
    root = parse(path, log)
    tag = str(root.tag).rpartition("}")[2]
    if tag not in ("robot", "mujoco"):
        raise RobotError(f"{path}: its root element is <{tag}>: {_OTHERS.get(tag, 'give an MJCF (<mujoco>) or URDF (<robot>) file')}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MuJoCo's warnings about the file's own settings
        draft = draft_urdf(root, path, packages, log) if tag == "robot" else draft_mjcf(root, path, log)
        meshes.settle(draft, log)
        _set_option(draft.tree)
        spec, xml = _compiled(draft, path, log)
    return Reading(
        path=path,
        format="URDF" if tag == "robot" else "MJCF",
        spec=spec,
        xml=xml,
        notes=log.finished(),
        root=draft.root,
        free=draft.free,
        efforts=draft.efforts,
        velocities=draft.velocities,
        motors=draft.motors,
        keys=draft.keys,
        mimics=draft.mimics,
        passive=draft.passive,
    )


_OTHERS = {
    "mujocoinclude": "a part that other MJCF files include; give the file that includes it",
    "sdf": "an SDF model; convert it to URDF (`sdf2urdf` or `gz sdf`) and give that file",
    "model": "it seems to be a part of an SDF or of a configuration; give the MJCF or URDF file",
    "package": "a ROS package's description; give the MJCF or URDF file in that package",
    "COLLADA": "a mesh; give the MJCF or URDF file that uses it",
}


def _set_option(tree: ET.Element) -> None:
    """Replaces the file's simulation options by robolearn's."""
    for option in tree.findall("option"):
        tree.remove(option)
    option = ET.Element("option", OPTION)
    ET.SubElement(option, "flag", island="disable")
    position = next((i + 1 for i, child in enumerate(tree) if child.tag == "compiler"), 0)
    tree.insert(position, option)


def _compiled(draft: Draft, path: Path, log: Log) -> tuple[mujoco.MjSpec, str]:
    """The draft as a spec that compiles, and its text; meshes that do not compile are replaced first."""
    total = weights.wanted_total(draft.tree)
    meshes_tried = False
    while True:
        ET.indent(draft.tree)
        xml = ET.tostring(draft.tree, encoding="unicode")
        try:
            model = mujoco.MjSpec.from_string(xml).compile()
            if total is None:
                say_frame(model, draft.root, draft.free, log)
                return mujoco.MjSpec.from_string(xml), xml
            weights.scale(draft.tree, total / float(model.body_mass.sum()))
            total = None
        except MUJOCO_ERRORS as error:
            message = one_line(error)
            if weights.give_mass(draft.tree, message, log):
                continue
            broken, mended = ({}, False) if meshes_tried else meshes.find_broken(draft, log)
            meshes_tried = True
            if not broken and not mended:
                raise RobotError(f"{path}: MuJoCo cannot compile it: {message}") from None
            meshes.replace(draft, broken, log)


def one_line(error: Exception) -> str:
    """MuJoCo's message without its line breaks."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip()).removeprefix("Error: ").removeprefix("XML Error: ")
