"""The mounting of an IMU: the axes of its messages, by their frame, and their rotation to the base's, if given.

A policy needs attitude and angular velocity in the axes of its base. A rotated IMU gives both in its own axes: they agree with each other,
so the numbers do not show it, and the robot falls within seconds. Only the name of the frame in the message shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bridge.control.joints import FloatArray
from bridge.transports.ros2.options import Ros2OptionError
from bridge.transports.ros2.urdf import UrdfError, angles, mounting

BASES = frozenset({"base", "body", "trunk", "pelvis", "torso", "root"})
"""What bases are called, whose axes are what is wanted."""
ALIGNED = 0.05  # [rad]: axes that differ by less are the same
ENDINGS = ("_link", "_frame", "_sensor", "_footprint")


def plain(frame: str) -> str:
    """A frame's name without a robot's prefix and without what drivers add to it."""
    name = frame.strip("/").rpartition("/")[2].lower()
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


class Mounting:
    """The IMU's axes.

    Attributes:
        fault: why they are not known to be the base's; empty where they are.
        said: what a person should know of where the mounting comes from; empty for nothing.
    """

    def __init__(self, frame: str | None, rotation: Sequence[str | float] | None, urdf: str | None = None) -> None:
        """Expect a frame.

        Args:
            frame: whose axes are the base's, by the policy's contract; None for none.
            rotation: roll, pitch and yaw of the IMU in the base [rad], as in a URDF; None where its frame has to tell.
            urdf: text of a URDF that a person named, which may know the frame; None without one.

        Raises:
            Ros2OptionError: no three finite numbers.
        """
        self.fault = self.said = ""
        self._frame, self._seen = frame, ""
        self._urdf, self._where, self._told = urdf, "--urdf", urdf is not None
        self._given = rotation is not None
        self._turn: FloatArray | None = None
        if rotation is not None:
            try:
                given_angles = [float(angle) for angle in rotation]
            except ValueError:
                given_angles = []
            if len(given_angles) != 3 or not np.isfinite(given_angles).all():
                given = " ".join(str(angle) for angle in rotation)
                raise Ros2OptionError(
                    f"--imu-rotation needs three finite numbers, roll, pitch and yaw of the IMU in the base [rad], not {given}"
                )
            self._turn = _of_rpy(*given_angles)

    def look(self, frame: str) -> None:
        """Take the frame of a message."""
        if frame == self._seen:
            return
        self._seen, self.fault = frame, ""
        if not self._given and self._by_urdf(frame):
            return
        known = BASES if self._frame is None else BASES | {plain(self._frame)}
        if frame and self._turn is None and plain(frame) not in known:
            self.fault = (
                f"the IMU's frame_id is {frame!r}, the policy expects {self._frame or 'base'!r}, whose axes are the base's: state how it is"
                " mounted (--imu-rotation ROLL PITCH YAW in rad, as in the URDF; 0 0 0 if its axes are the base's), or which URDF has that"
                " frame (--urdf FILE)"
            )

    def describe(self, text: str, where: str) -> None:
        """Take a URDF that the graph tells; one that a person named goes before."""
        if not self._told:
            self._urdf, self._where, self._seen = text, where, ""

    def _by_urdf(self, frame: str) -> bool:
        """Look how the URDF has the frame. Returns whether it tells; a frame of a usual name that is turned needs a person's word."""
        self._turn, self.said = None, ""
        if self._urdf is None or not frame:
            return False
        try:
            found = mounting(self._urdf, frame, self._where)
        except UrdfError as error:
            self.fault = f"the IMU's frame_id is {frame!r}: {error}; say how it is mounted (--imu-rotation ROLL PITCH YAW)"
            return True
        if found is None:
            return False
        turned = angles(found)
        typed = " ".join(f"{round(angle, 4) + 0.0:g}" for angle in turned)
        size = math.acos(float(np.clip((np.trace(found) - 1) / 2, -1.0, 1.0)))
        if size > ALIGNED and not self._told and plain(frame) in BASES | {plain(self._frame or "base")}:
            self.fault = (
                f"{self._where} has {frame} turned by {typed} (roll, pitch, yaw), and the policy expects the base's axes of that"
                f" name: say which holds (--imu-rotation {typed}, or --imu-rotation 0 0 0)"
            )
            return True
        self._turn = _of_rpy(*turned) if size > 0 else None
        self.said = f"the IMU's frame {frame} is turned by {typed} (roll, pitch, yaw) against the base, by {self._where}"
        return True

    def quat(self, quat_wxyz: FloatArray) -> FloatArray:
        """The base's attitude (4,) of the IMU's."""
        return quat_wxyz if self._turn is None else _product(quat_wxyz, self._turn * np.array([1.0, -1.0, -1.0, -1.0]))

    def vector(self, vector: FloatArray) -> FloatArray:
        """A vector of the IMU's axes in the base's, (3,)."""
        if self._turn is None:
            return vector
        inverse = self._turn * np.array([1.0, -1.0, -1.0, -1.0])
        return _product(_product(self._turn, np.array([0.0, *vector])), inverse)[1:]


def _of_rpy(roll: float, pitch: float, yaw: float) -> FloatArray:
    """The quaternion wxyz (4,) of turns about x, then y, then z, all of the base."""
    x, y, z = (np.array([np.cos(a / 2), *(np.sin(a / 2) * axis)]) for a, axis in zip((roll, pitch, yaw), np.eye(3), strict=True))
    return _product(z, _product(y, x))


def _product(a: FloatArray, b: FloatArray) -> FloatArray:
    """Hamilton's product of two quaternions wxyz, (4,)."""
    w, v, u, t = a[0], a[1:], b[0], b[1:]
    return np.array([w * u - v @ t, *(w * t + u * v + np.cross(v, t))])
