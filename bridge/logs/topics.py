"""The log's topics: rows of `bridge.control.ticks` to and from standard ROS 2 messages, serialized without ROS (`rosbags`).

    joint_states, imu            what the policy read at each tick (sensor_msgs/JointState, Imu); joints in policy order
    sensors/joint_states, .../imu  every reading that arrived, if requested
    cmd_vel, goal, goal_pose or motion   the operator's command at each tick (geometry_msgs/TwistStamped, PointStamped, PoseStamped,
                                 std_msgs/Float64MultiArray), by the policy's kind of command
    policy/observation/<term>    the policy's observation, by name (std_msgs/Float32MultiArray)
    policy/action                its action
    policy/asked                 joint targets before the limits [rad]
    policy/limits                changes by the limits on each joint (std_msgs/UInt8MultiArray: bits of `control.command.LIMIT_NAMES`)
    impedance_command            the sent command (std_msgs/Float64MultiArray, as on the wire: see docs/ros2.md)
    policy/temperature, battery  hottest sensor of each motor [C] (std_msgs/Float64MultiArray), charge of the battery (std_msgs/Float64)
    sensors/<group>/image        each picture that the policy saw (sensor_msgs/CompressedImage; depth: Image), at its arrival
    policy/pictures, picture_facts  which pictures the policy had at a tick, and what is known of them (std_msgs/Int64MultiArray and
                                 Float64MultiArray: `bridge.control.sight.TIMES` and `FACTS`, a row for each camera)
    policy/tick                  times and counters of the tick (std_msgs/Int64MultiArray, `bridge.control.ticks.COUNTERS`)
    policy/state, policy/event   state after each change (std_msgs/String); transitions, refusals, requests, faults (JSON in a String)

Arrays carry the names of their columns in `layout.dim[0].label`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore

from bridge.control.sight import FACTS, TIMES, eyes_of
from bridge.control.ticks import (
    COUNTERS,
    HAS_BATTERY,
    HAS_COMMAND,
    HAS_HEAT,
    HAS_IMU,
    HAS_READING,
    HAS_SIGHT,
    INFERRED,
    MODES,
    SENT,
    TWO_STAMPS,
)
from bridge.logs.pictures import message_type, picture_topic
from policies.contract.spec import PolicySpec

COLUMNS = ",".join(SENT)
HEAT, BATTERY = "/policy/temperature", "/policy/battery"
PICTURES, PICTURE_FACTS = "/policy/pictures", "/policy/picture_facts"
TICK, EVENT, STATE, LIMITS = "/policy/tick", "/policy/event", "/policy/state", "/policy/limits"
Field = tuple[str, Callable[[Any, Any], None]]

COMMANDS = {
    "velocity": ("/cmd_vel", "geometry_msgs/msg/TwistStamped"),
    "goal_position": ("/goal", "geometry_msgs/msg/PointStamped"),
    "goal_pose": ("/goal_pose", "geometry_msgs/msg/PoseStamped"),
    "motion": ("/motion", "std_msgs/msg/Float64MultiArray"),
    "none": ("/command", "std_msgs/msg/Float64MultiArray"),
}
"""Kind of command -> its topic and message type."""


class Topics:
    """Encodes rows of one policy's log.

    Attributes:
        types: topic -> message type, for all topics that a log can have.
        cameras: the observation groups that are images.
    """

    def __init__(self, spec: PolicySpec) -> None:
        """Prepare the layouts, which are the same for all messages."""
        self.spec = spec
        self.store: Any = get_typestore(Stores.ROS2_HUMBLE)
        self._t: Any = self.store.types
        self._names = list(spec.robot.joint_names)
        self._asked = COMMANDS[spec.command.kind]
        self._frame = spec.robot.imu_frame or "base"
        floats = "std_msgs/msg/Float32MultiArray"
        self.types = {
            "/joint_states": "sensor_msgs/msg/JointState",
            "/imu": "sensor_msgs/msg/Imu",
            "/sensors/joint_states": "sensor_msgs/msg/JointState",
            "/sensors/imu": "sensor_msgs/msg/Imu",
            self.command_topic: self._asked[1],
            **{f"/policy/observation/{term.name}": floats for term in spec.terms},
            "/policy/action": floats,
            "/policy/asked": "std_msgs/msg/Float64MultiArray",
            LIMITS: "std_msgs/msg/UInt8MultiArray",
            "/impedance_command": "std_msgs/msg/Float64MultiArray",
            HEAT: "std_msgs/msg/Float64MultiArray",
            BATTERY: "std_msgs/msg/Float64",
            TICK: "std_msgs/msg/Int64MultiArray",
            STATE: "std_msgs/msg/String",
            EVENT: "std_msgs/msg/String",
        }
        self.cameras = tuple(group.name for group in eyes_of(spec))
        if self.cameras:
            self.types |= {PICTURES: "std_msgs/msg/Int64MultiArray", PICTURE_FACTS: "std_msgs/msg/Float64MultiArray"}
            self.types |= {picture_topic(group.name): message_type(group) for group in eyes_of(spec)}
            self._sight_layouts = [self._layout(",".join(self.cameras), ",".join(columns)) for columns in (TIMES, FACTS)]
        joints = ",".join(self._names)
        self._joint_layout = self._layout(joints)
        self._tick_layout = self._layout(",".join(COUNTERS))
        self._command_layout = self._layout(joints, COLUMNS)
        self._observed: list[tuple[str, slice, Any]] = []
        begin = 0
        for term in spec.terms:
            label = joints if term.dim == len(self._names) else term.name
            self._observed.append((f"/policy/observation/{term.name}", slice(begin, begin + term.dim), self._layout(label, size=term.dim)))
            begin += term.dim

    @property
    def command_topic(self) -> str:
        """The topic of the operator's command."""
        return self._asked[0]

    def _layout(self, label: str, columns: str | None = None, size: int | None = None) -> Any:
        dimension, layout = self._t["std_msgs/msg/MultiArrayDimension"], self._t["std_msgs/msg/MultiArrayLayout"]
        rows = size or label.count(",") + 1
        wide = 1 if columns is None else columns.count(",") + 1
        dims = [dimension(label, rows, rows * wide)]
        if columns is not None:
            dims.append(dimension(columns, wide, wide))
        return layout(dims, 0)

    def _header(self, time_ns: int, frame: str = "") -> Any:
        time_ns = max(0, time_ns)
        stamp = self._t["builtin_interfaces/msg/Time"](time_ns // 1_000_000_000, time_ns % 1_000_000_000)
        return self._t["std_msgs/msg/Header"](stamp, frame)

    def _encode(self, topic: str, *fields: Any) -> tuple[str, bytes]:
        name = self.types[topic]
        return topic, bytes(self.store.serialize_cdr(self._t[name](*fields), name))

    def picture(self, name: str, stamp_ns: int, fields: tuple[Any, ...]) -> tuple[str, bytes]:
        """A camera's picture, from `bridge.logs.pictures.message_fields`."""
        group = self.spec.group(name)
        return self._encode(picture_topic(name), self._header(stamp_ns, "" if group.image is None else group.image.frame), *fields)

    def text(self, topic: str, text: str) -> tuple[str, bytes]:
        """A String message."""
        return self._encode(topic, text)

    def sensors(self, row: Any, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """(topic, message) of a row's reading; their stamps are the robot's own."""
        flags = int(row["flags"])
        if not flags & HAS_READING:
            return
        stamp = int(row["stamp_0"])
        vectors = (row[f"measured_{name}"] for name in ("position", "velocity", "effort"))
        yield self._encode(f"{prefix}/joint_states", self._header(stamp), self._names, *vectors)
        if flags & HAS_IMU:
            yield self._encode(f"{prefix}/imu", *self._imu(row, int(row["stamp_1"]) if flags & TWO_STAMPS else stamp))

    def _imu(self, row: Any, time_ns: int) -> tuple[Any, ...]:
        w, x, y, z = (float(value) for value in row["imu_quat_wxyz"])
        vector = self._t["geometry_msgs/msg/Vector3"]
        unknown = np.zeros(9)
        absent = np.array([-1.0, *[0.0] * 8])  # by REP 145: no accelerometer
        turn = vector(*(float(value) for value in row["imu_angular_velocity_b"]))
        attitude = self._t["geometry_msgs/msg/Quaternion"](x, y, z, w)
        return self._header(time_ns, self._frame), attitude, unknown, turn, unknown, vector(0.0, 0.0, 0.0), absent

    def tick(self, row: Any, time_ns: int) -> Iterator[tuple[str, bytes]]:
        """(topic, message) of everything in a tick's row; `time_ns` is its wall-clock time."""
        flags = int(row["flags"])
        yield self._encode(TICK, self._tick_layout, np.array([int(row[name]) for name in COUNTERS], np.int64))
        yield from self.sensors(row)
        if flags & HAS_COMMAND:
            yield self._encode(self.command_topic, *self._command(row, time_ns))
        if flags & INFERRED:
            for topic, part, layout in self._observed:
                yield self._encode(topic, layout, row["observation"][part])
            yield self._encode("/policy/action", self._joint_layout, row["action"])
            yield self._encode("/policy/asked", self._joint_layout, row["asked"])
        if flags & HAS_HEAT:
            yield self._encode(HEAT, self._joint_layout, row["temperature"])
        if flags & HAS_BATTERY:
            yield self._encode(BATTERY, float(row["battery"]))
        if flags & HAS_SIGHT:
            yield self._encode(PICTURES, self._sight_layouts[0], row["sight_times"].ravel())
            yield self._encode(PICTURE_FACTS, self._sight_layouts[1], row["sight_facts"].ravel())
        if row["acted"].any():
            yield self._encode(LIMITS, self._joint_layout, row["acted"])
        sent = np.stack([row[f"sent_{name}"] for name in SENT], axis=1).ravel()
        yield self._encode("/impedance_command", self._command_layout, sent)

    def _command(self, row: Any, time_ns: int) -> tuple[Any, Any]:
        values = [float(value) for value in row["command"]]
        kind = self.spec.command.kind
        if kind in ("motion", "none"):
            return self._layout(",".join(self.spec.command.labels), size=len(values)), np.array(values)
        header, point = self._header(time_ns, "base"), self._t["geometry_msgs/msg/Point"]
        if kind == "goal_pose":
            *position, w, x, y, z = values
            attitude = self._t["geometry_msgs/msg/Quaternion"](x, y, z, w)
            return header, self._t["geometry_msgs/msg/Pose"](point(*position), attitude)
        a, b, c = values
        if kind == "goal_position":
            return header, point(a, b, c)
        vector = self._t["geometry_msgs/msg/Vector3"]
        return header, self._t["geometry_msgs/msg/Twist"](vector(a, b, 0.0), vector(0.0, 0.0, c))

    def of_tick(self, flags: int) -> frozenset[str]:
        """Topics with a message in a tick with these flags; `policy/limits` may be added."""
        found = {"/impedance_command"}
        found |= {"/joint_states"} if flags & HAS_READING else set()
        found |= {"/imu"} if flags & HAS_IMU else set()
        found |= {self.command_topic} if flags & HAS_COMMAND else set()
        found |= {HEAT} if flags & HAS_HEAT else set()
        found |= {BATTERY} if flags & HAS_BATTERY else set()
        found |= {PICTURES, PICTURE_FACTS} if flags & HAS_SIGHT else set()
        if flags & INFERRED:
            found |= {"/policy/action", "/policy/asked", *(name for name, *_ in self._observed)}
        return frozenset(found)

    def decode(self, topic: str, data: bytes) -> Any:
        """The message of a topic."""
        return self.store.deserialize_cdr(data, self.types[topic])

    def fill(self, row: Any, topic: str, data: bytes) -> None:
        """Copy a message of a tick into its row; the tick's own message comes first."""
        message = self.decode(topic, data)
        if topic == TICK:
            for name, value in zip(COUNTERS, message.data, strict=True):
                row[name] = value
        elif topic.endswith("joint_states"):
            row["measured_position"], row["measured_velocity"], row["measured_effort"] = message.position, message.velocity, message.effort
            if topic.startswith("/sensors"):
                row["stamp_0"] = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        elif topic.endswith("imu"):
            o, r = message.orientation, message.angular_velocity
            row["imu_quat_wxyz"], row["imu_angular_velocity_b"] = (o.w, o.x, o.y, o.z), (r.x, r.y, r.z)
        elif topic == self.command_topic:
            row["command"] = self._command_of(message)
        elif topic.startswith("/policy/observation/"):
            row["observation"][next(part for name, part, _ in self._observed if name == topic)] = message.data
        elif topic == "/impedance_command":
            for name, column in zip(SENT, np.asarray(message.data).reshape(-1, len(SENT)).T, strict=True):
                row[f"sent_{name}"] = column
        elif topic == BATTERY:
            row["battery"] = message.data
        elif topic in (PICTURES, PICTURE_FACTS):
            column = "sight_times" if topic == PICTURES else "sight_facts"
            row[column] = np.reshape(message.data, row[column].shape)
        else:
            row[{HEAT: "temperature", "/policy/action": "action", "/policy/asked": "asked", LIMITS: "acted"}[topic]] = message.data

    def _command_of(self, message: Any) -> Any:
        kind = self.spec.command.kind
        if kind in ("motion", "none"):
            return message.data
        if kind == "velocity":
            return message.twist.linear.x, message.twist.linear.y, message.twist.angular.z
        if kind == "goal_pose":
            p, o = message.pose.position, message.pose.orientation
            return p.x, p.y, p.z, o.w, o.x, o.y, o.z
        return message.point.x, message.point.y, message.point.z


def state_text(row: Any) -> str:
    """The state of a row."""
    return str(MODES[int(row["mode"])])
