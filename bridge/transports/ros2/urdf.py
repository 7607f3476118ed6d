"""How a frame of a robot's URDF is turned against its base: where the URDF knows an IMU's frame, nobody has to type its mounting."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from bridge.control.joints import FloatArray
from bridge.transports.ros2.options import Ros2OptionError

FREE = ("floating", "planar")  # joints under which a base begins


class UrdfError(Ros2OptionError):
    """A URDF that does not tell how a frame is mounted."""


def read_urdf(path: Path) -> str:
    """The text of a URDF.

    Raises:
        UrdfError: it cannot be read, or is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UrdfError(f"--urdf {path}: {getattr(error, 'strerror', None) or error}") from error
    _robot(text, str(path))
    return text


def mounting(text: str, frame: str, where: str) -> FloatArray | None:
    """The rotation (3, 3) of a frame in the robot's base: its axes as columns. None where the URDF has no such frame.

    Args:
        text: of the URDF.
        frame: a link's name; a prefix before the last `/` is left aside where no link has it.
        where: the URDF's name, for messages.

    Raises:
        UrdfError: no URDF, or the frame moves against the base.
    """
    robot = _robot(text, where)
    links = {link.get("name", "") for link in robot.iter("link")}
    name = frame.strip("/")
    name = name if name in links else name.rpartition("/")[2]
    if name not in links:
        return None
    parents = {_link(joint, "child"): joint for joint in robot.iter("joint") if joint.find("child") is not None}
    turn = np.eye(3)
    for _ in range(len(links)):
        joint = parents.get(name)
        if joint is None or joint.get("type") in FREE:
            return turn
        if joint.get("type") != "fixed":
            raise UrdfError(f"{where}: {frame} moves against the base by the joint {joint.get('name')}, so its axes are never the base's")
        origin = joint.find("origin")
        try:
            angles = [0.0] * 3 if origin is None else [float(angle) for angle in origin.get("rpy", "0 0 0").split()]
        except ValueError:
            angles = []
        if len(angles) != 3 or not np.isfinite(angles).all():
            raise UrdfError(f"{where}: the origin of the joint {joint.get('name')} has no three finite angles in rpy")
        turn, name = matrix(*angles) @ turn, _link(joint, "parent")
    raise UrdfError(f"{where}: its joints go round in a circle")


def matrix(roll: float, pitch: float, yaw: float) -> FloatArray:
    """Turns about x, then y, then z of the fixed axes, as a matrix (3, 3)."""
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(angle), math.cos(angle)) for angle in (roll, pitch, yaw))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def angles(turn: FloatArray) -> tuple[float, float, float]:
    """Roll, pitch and yaw [rad] of a rotation (3, 3)."""
    pitch = math.asin(float(np.clip(-turn[2, 0], -1.0, 1.0)))
    if abs(turn[2, 0]) > 1 - 1e-9:  # roll and yaw turn about one axis
        return 0.0, pitch, math.atan2(-turn[0, 1], turn[1, 1])
    return math.atan2(turn[2, 1], turn[2, 2]), pitch, math.atan2(turn[1, 0], turn[0, 0])


def _robot(text: str, where: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UrdfError(f"{where} is no URDF: {error} (a xacro file has to be expanded first)") from error
    if root.tag != "robot":
        raise UrdfError(f"{where} is no URDF: its root is <{root.tag}>, not <robot>")
    return root


def _link(joint: ElementTree.Element, role: str) -> str:
    found = joint.find(role)
    return "" if found is None else found.get("link", "")
