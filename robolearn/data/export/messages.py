"""ROS 2 messages without ROS: each is built from named fields; the others stay empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore

STORE: Any = get_typestore(Stores.ROS2_HUMBLE)
_T: Any = STORE.types


def serialized(message: Any) -> bytes:
    """A message as stored in a file."""
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def definition(kind: str) -> str:
    """The definition of a message type, for other programs."""
    return STORE.generate_msgdef(kind, ros_version=2)[0]


def stamp(time_ns: int) -> Any:
    """builtin_interfaces/Time."""
    return _T["builtin_interfaces/msg/Time"](time_ns // 1_000_000_000, time_ns % 1_000_000_000)


def header(time_ns: int, frame: str = "") -> Any:
    """std_msgs/Header."""
    return _T["std_msgs/msg/Header"](stamp(time_ns), frame)


def vector(values: Sequence[float] | np.ndarray) -> Any:
    """geometry_msgs/Vector3."""
    return _T["geometry_msgs/msg/Vector3"](*(float(value) for value in values))


def point(values: Sequence[float] | np.ndarray) -> Any:
    """geometry_msgs/Point."""
    return _T["geometry_msgs/msg/Point"](*(float(value) for value in values))


def quaternion(wxyz: Sequence[float] | np.ndarray) -> Any:
    """geometry_msgs/Quaternion."""
    w, x, y, z = (float(value) for value in wxyz)
    return _T["geometry_msgs/msg/Quaternion"](x, y, z, w)


def pose(position: np.ndarray, wxyz: np.ndarray) -> Any:
    """geometry_msgs/Pose."""
    return _T["geometry_msgs/msg/Pose"](point(position), quaternion(wxyz))


def joint_state(time_ns: int, names: Sequence[str], position: np.ndarray, velocity: np.ndarray | None = None) -> Any:
    """sensor_msgs/JointState [rad, rad/s]."""
    speeds = np.zeros(0) if velocity is None else velocity.astype(np.float64)
    return _T["sensor_msgs/msg/JointState"](header(time_ns), list(names), position.astype(np.float64), speeds, np.zeros(0))


def imu(time_ns: int, wxyz: np.ndarray | None, turn: np.ndarray) -> Any:
    """sensor_msgs/Imu; a covariance that begins with -1 means that there is no such sensor (REP 145)."""
    absent, unknown = np.array([-1.0, *[0.0] * 8]), np.zeros(9)
    attitude = quaternion((1.0, 0.0, 0.0, 0.0) if wxyz is None else wxyz)
    known = absent if wxyz is None else unknown
    return _T["sensor_msgs/msg/Imu"](header(time_ns, "base"), attitude, known, vector(turn), unknown, vector((0, 0, 0)), absent)


def odometry(time_ns: int, position: np.ndarray, wxyz: np.ndarray, velocity_b: np.ndarray, turn: np.ndarray) -> Any:
    """nav_msgs/Odometry: pose in the world, velocity in the base's frame."""
    where = _T["geometry_msgs/msg/PoseWithCovariance"](pose(position, wxyz), np.zeros(36))
    moving = _T["geometry_msgs/msg/Twist"](vector(velocity_b), vector(turn))
    return _T["nav_msgs/msg/Odometry"](
        header(time_ns, "world"), "base", where, _T["geometry_msgs/msg/TwistWithCovariance"](moving, np.zeros(36))
    )


def twist(time_ns: int, vx: float, vy: float, yaw_rate: float) -> Any:
    """geometry_msgs/TwistStamped."""
    return _T["geometry_msgs/msg/TwistStamped"](
        header(time_ns, "base"), _T["geometry_msgs/msg/Twist"](vector((vx, vy, 0.0)), vector((0.0, 0.0, yaw_rate)))
    )


def array(names: Sequence[str], values: np.ndarray) -> Any:
    """std_msgs/Float32MultiArray whose layout carries the names."""
    dimension = _T["std_msgs/msg/MultiArrayDimension"](",".join(names), len(values), len(values))
    return _T["std_msgs/msg/Float32MultiArray"](_T["std_msgs/msg/MultiArrayLayout"]([dimension], 0), values.astype(np.float32))


def text(words: str) -> Any:
    """std_msgs/String."""
    return _T["std_msgs/msg/String"](words)


def transforms(time_ns: int, names: Sequence[str], positions: np.ndarray, quats: np.ndarray) -> Any:
    """tf2_msgs/TFMessage: frames in the world."""
    transform, stamped = _T["geometry_msgs/msg/Transform"], _T["geometry_msgs/msg/TransformStamped"]
    items = [
        stamped(header(time_ns, "world"), name, transform(vector(position), quaternion(wxyz)))
        for name, position, wxyz in zip(names, positions, quats, strict=True)
    ]
    return _T["tf2_msgs/msg/TFMessage"](items)


def marker(
    frame: str, number: int, kind: int, position: np.ndarray, wxyz: np.ndarray, scale: Sequence[float] | np.ndarray, rgba: np.ndarray
) -> Any:
    """visualization_msgs/Marker that moves with its frame and stays; callers set points if they need them."""
    color, zero = _T["std_msgs/msg/ColorRGBA"], _T["builtin_interfaces/msg/Duration"](0, 0)
    known = {
        "header": header(0, frame),
        "ns": "robot",
        "id": number,
        "type": kind,
        "pose": pose(position, wxyz),
        "scale": vector(scale),
        "color": color(*(float(value) for value in rgba)),
        "lifetime": zero,
        "frame_locked": True,
    }
    return _filled("visualization_msgs/msg/Marker", known)


def markers(items: list[Any]) -> Any:
    """visualization_msgs/MarkerArray."""
    return _T["visualization_msgs/msg/MarkerArray"](items)


def _filled(kind: str, known: dict[str, Any]) -> Any:
    """A message with some fields set; the others are zero or empty."""
    values = []
    for name, (sort, detail) in STORE.fielddefs[kind][1]:
        if name in known:
            values.append(known[name])
        elif int(sort) == 1:  # a plain value
            values.append("" if detail[0] == "string" else False if detail[0] == "bool" else 0)
        elif int(sort) == 2:  # another message
            values.append(_filled(detail, {}))
        else:
            values.append(np.zeros(0, np.uint8) if int(detail[0][0]) == 1 and detail[0][1][0] != "string" else [])
    return _T[kind](*values)
