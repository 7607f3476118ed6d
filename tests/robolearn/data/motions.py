"""Motions of Go1 whose positions, velocities and attitudes are known in closed form, and bags of them as others would record them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from envs.robots.go1 import GO1

JOINTS = GO1.joint_names
SPEED = 0.7  # m/s
LEAN, LEAN_HZ = 0.2, 0.9  # rad, of the roll
STORE: Any = get_typestore(Stores.ROS2_HUMBLE)
TYPES: Any = STORE.types


def joints(t: np.ndarray) -> np.ndarray:
    """Positions (T, 12) [rad]: every joint with a frequency and a phase of its own."""
    i = np.arange(12)
    return np.array(GO1.default_pose) + 0.15 * np.sin(2 * np.pi * (0.8 + 0.11 * i) * t[:, None] + i)


def joint_speeds(t: np.ndarray) -> np.ndarray:
    i = np.arange(12)
    w = 2 * np.pi * (0.8 + 0.11 * i)
    return 0.15 * w * np.cos(w * t[:, None] + i)


def targets(t: np.ndarray) -> np.ndarray:
    return joints(t + 0.04)


def roll(t: np.ndarray) -> np.ndarray:
    return LEAN * np.sin(2 * np.pi * LEAN_HZ * t)


def quat_wxyz(t: np.ndarray) -> np.ndarray:
    half = roll(t) / 2
    zero = np.zeros_like(half)
    return np.stack([np.cos(half), np.sin(half), zero, zero], axis=1)


def gravity(t: np.ndarray) -> np.ndarray:
    zero = np.zeros_like(t)
    return np.stack([zero, -np.sin(roll(t)), -np.cos(roll(t))], axis=1)


def gyro(t: np.ndarray) -> np.ndarray:
    w = 2 * np.pi * LEAN_HZ
    zero = np.zeros_like(t)
    return np.stack([LEAN * w * np.cos(w * t), zero, zero], axis=1)


def place(t: np.ndarray) -> np.ndarray:
    return np.stack([SPEED * t, np.zeros_like(t), np.full_like(t, 0.28)], axis=1)


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of a bag; `time_s` when it was received."""

    topic: str
    kind: str
    time_s: float
    message: Any


def stamp(t: float) -> Any:
    ns = round(t * 1e9)
    return TYPES["builtin_interfaces/msg/Time"](ns // 10**9, ns % 10**9)


def header(t: float, frame: str = "") -> Any:
    return TYPES["std_msgs/msg/Header"](stamp(t), frame)


def joint_state(topic: str, t: float, names: tuple[str, ...], position: np.ndarray, velocity: np.ndarray, late_s: float = 0.0) -> Message:
    message = TYPES["sensor_msgs/msg/JointState"](header(t), list(names), position, velocity, np.zeros(0))
    return Message(topic=topic, kind="sensor_msgs/msg/JointState", time_s=t + late_s, message=message)


def imu(topic: str, t: float, q: np.ndarray, w: np.ndarray, late_s: float = 0.0) -> Message:
    vector, unknown = TYPES["geometry_msgs/msg/Vector3"], np.zeros(9)
    attitude = TYPES["geometry_msgs/msg/Quaternion"](q[1], q[2], q[3], q[0])
    message = TYPES["sensor_msgs/msg/Imu"](header(t), attitude, unknown, vector(*w), unknown, vector(0.0, 0.0, 9.81), unknown)
    return Message(topic=topic, kind="sensor_msgs/msg/Imu", time_s=t + late_s, message=message)


def odometry(topic: str, t: float, p: np.ndarray, q: np.ndarray) -> Message:
    point, vector = TYPES["geometry_msgs/msg/Point"](*p), TYPES["geometry_msgs/msg/Vector3"]
    attitude = TYPES["geometry_msgs/msg/Quaternion"](q[1], q[2], q[3], q[0])
    pose = TYPES["geometry_msgs/msg/PoseWithCovariance"](TYPES["geometry_msgs/msg/Pose"](point, attitude), np.zeros(36))
    twist = TYPES["geometry_msgs/msg/Twist"](vector(SPEED, 0.0, 0.0), vector(0.0, 0.0, 0.0))
    message = TYPES["nav_msgs/msg/Odometry"](header(t), "base", pose, TYPES["geometry_msgs/msg/TwistWithCovariance"](twist, np.zeros(36)))
    return Message(topic=topic, kind="nav_msgs/msg/Odometry", time_s=t, message=message)


def cmd_vel(t: float, values: tuple[float, float, float]) -> Message:
    vector = TYPES["geometry_msgs/msg/Vector3"]
    message = TYPES["geometry_msgs/msg/Twist"](vector(values[0], values[1], 0.0), vector(0.0, 0.0, values[2]))
    return Message(topic="/cmd_vel", kind="geometry_msgs/msg/Twist", time_s=t, message=message)


def walk(seconds: float = 4.0, begin: float = 100.0, late: Callable[[float], float] = lambda t: 0.0) -> Iterator[Message]:
    """Joints at 200 Hz in alphabetical order, an IMU at 100 Hz, odometry at 30, commands at 10, targets at 50."""
    names = tuple(sorted(JOINTS))
    order = [JOINTS.index(name) for name in names]

    def times(hz: float, phase: float = 0.0) -> np.ndarray:
        return np.arange(phase / hz, seconds, 1 / hz)

    for t in times(200):
        one = np.array([t])
        yield joint_state("/joint_states", begin + t, names, joints(one)[0, order], joint_speeds(one)[0, order], late(t))
    for t in times(100, 0.3):
        one = np.array([t])
        yield imu("/imu/data", begin + t, quat_wxyz(one)[0], gyro(one)[0], late(t))
    for t in times(30, 0.1):
        one = np.array([t])
        yield odometry("/odom", begin + t, place(one)[0], quat_wxyz(one)[0])
    for t in times(10):
        yield cmd_vel(begin + t, (0.5, 0.0, 0.25))
    for t in times(50, 0.2):
        yield joint_state("/joint_commands", begin + t, JOINTS, targets(np.array([t]))[0], np.zeros(0))


def write_bag(path: Path, messages: Iterator[Message] | list[Message], storage: str = "mcap") -> Path:
    """A bag as ROS writes it, in a folder. Returns the folder."""
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connections: dict[str, Any] = {}
        for item in sorted(messages, key=lambda message: message.time_s):
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(item.topic, item.kind, typestore=STORE)
            writer.write(connections[item.topic], round(item.time_s * 1e9), STORE.serialize_cdr(item.message, item.kind))
    return path
