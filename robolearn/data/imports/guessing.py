"""Guesses the map of a recording from its names and types, as a person would write it in plain cases."""

from __future__ import annotations

import re
from collections.abc import Iterable

from envs.robots.robot import Robot
from robolearn.data.imports.bag import Bag, by_kind
from robolearn.data.imports.csv import TIMES, Table
from robolearn.data.imports.joints import match_names
from robolearn.data.imports.mapping import Field, ImportMap
from robolearn.data.imports.npz import Arrays

JOINT_STATE = "sensor_msgs/msg/JointState"
LOW_STATES = ("unitree_go/msg/LowState", "unitree_hg/msg/LowState")
TWISTS = {"geometry_msgs/msg/Twist": "", "geometry_msgs/msg/TwistStamped": "twist."}
COMMANDS = re.compile(r"command|target|desired|setpoint|goal", re.IGNORECASE)
ARRAYS = {
    "joint_position": ("joint_position", "joint_positions", "joint_pos", "dof_pos", "q"),
    "joint_velocity": ("joint_velocity", "joint_velocities", "joint_vel", "dof_vel", "dq"),
    "root_position": ("root_position", "root_pos", "base_position", "base_pos", "root_trans"),
    "orientation": ("orientation", "root_rot", "root_quat", "base_quat", "quat", "quaternion"),
    "action": ("action", "actions"),
    "command": ("command", "commands", "cmd"),
    "contact": ("contact", "contacts", "foot_contacts"),
    "reward": ("reward", "rewards"),
    "episode": ("episode", "episode_index"),
}
"""Usual names of arrays and columns."""
SUFFIXES = {
    "joint_position": ("", "_pos", "_position", "_q", ".position", ".pos", ".q", "/position"),
    "joint_velocity": ("_vel", "_velocity", "_dq", ".velocity", ".vel", ".dq", "/velocity"),
    "action": ("_action", "_target", "_cmd", ".action", ".target", "/target"),
}
"""Usual suffixes of a column's name after the joint's."""


def guess_bag(bag: Bag, robot: Robot) -> ImportMap:
    """The map of a bag, from the types of its topics."""
    fields: dict[str, Field] = {}
    states = by_kind(bag.topics, [JOINT_STATE])
    measured = [name for name in states if not COMMANDS.search(name)] or states
    if measured:
        fields |= {f"joint_{what}": Field(at=f"{measured[0]} {what}") for what in ("position", "velocity")}
    elif low := by_kind(bag.topics, LOW_STATES):
        motors = f"{low[0]} motor_state[0:{robot.num_joints}]"
        fields |= {"joint_position": Field(at=f"{motors}.q"), "joint_velocity": Field(at=f"{motors}.dq")}
        fields["orientation"] = Field(at=f"{low[0]} imu_state.quaternion", order="wxyz")
        fields["angular_velocity"] = Field(at=f"{low[0]} imu_state.gyroscope")
    if not robot.floating_base:
        fields = {name: value for name, value in fields.items() if name not in ("orientation", "angular_velocity")}
    else:
        if imus := by_kind(bag.topics, ["sensor_msgs/msg/Imu"]):
            fields["orientation"] = Field(at=f"{imus[0]} orientation", order="xyzw")
            fields["angular_velocity"] = Field(at=f"{imus[0]} angular_velocity")
        if odometry := by_kind(bag.topics, ["nav_msgs/msg/Odometry"]):
            fields["root_position"] = Field(at=f"{odometry[0]} pose.pose.position")
            fields["linear_velocity"] = Field(at=f"{odometry[0]} twist.twist.linear", frame="base")
            fields.setdefault("orientation", Field(at=f"{odometry[0]} pose.pose.orientation", order="xyzw"))
    asked = [name for name in by_kind(bag.topics, TWISTS) if "cmd" in name or "command" in name]
    if asked:
        inside = TWISTS[bag.topics[asked[0]].kind]
        at = " ".join(f"{inside}{name}" for name in ("linear.x", "linear.y", "angular.z"))
        fields["command"] = Field(at=f"{asked[0]} {at}")
    if sent := [name for name in states if COMMANDS.search(name) and name not in measured]:
        fields["action"] = Field(at=f"{sent[0]} position")
    for quantity, names in (("contact", ("/contact", "/contacts", "/foot_contacts")), ("reward", ("/reward",))):
        found = [name for name in names if name in bag.topics and bag.topics[name].kind.endswith("MultiArray")]
        if found and (quantity == "reward" or robot.feet):
            fields[quantity] = Field(at=f"{found[0]} data")
    return ImportMap(**fields)  # pyright: ignore[reportArgumentType] (the names are fields)


def guess_table(table: Table, robot: Robot) -> ImportMap:
    """The map of a table, from the names of its columns."""
    fields: dict[str, Field] = {}
    lower = {name.lower(): name for name in table.names}
    if time := next((lower[name] for name in TIMES if name in lower), None):
        fields["time"] = _time(time)
    for quantity, endings in SUFFIXES.items():
        for ending in endings:
            columns = [f"{joint}{ending}" for joint in robot.joint_names]
            if set(columns) <= set(table.names):
                fields[quantity] = Field(at=" ".join(columns), order=robot.joint_names)
                break
    for quantity, order in (("orientation", "wxyz"), ("root_position", ""), ("angular_velocity", ""), ("linear_velocity", "")):
        if at := _together(table.names, quantity):
            fields[quantity] = Field(at=at, order=order)
    if {"vx", "vy", "yaw_rate"} <= set(table.names):
        fields["command"] = Field(at="vx vy yaw_rate")
    for quantity in ("reward", "episode"):
        if name := _called(table.names, quantity):
            fields[quantity] = Field(at=name)
    return ImportMap(**fields)  # pyright: ignore[reportArgumentType]


def _together(names: Iterable[str], quantity: str) -> str:
    """Columns of a vector or a quaternion by their usual names, in the order x, y, z or w, x, y, z."""
    beginnings = {
        "orientation": ("quat", "q", "orientation", "quaternion", "base_quat", "imu_quat"),
        "root_position": ("pos", "root_pos", "base_pos", "position", "root_position"),
        "angular_velocity": ("gyro", "angular_velocity", "imu_gyro", "omega", "w"),
        "linear_velocity": ("linear_velocity", "vel", "base_vel"),
    }
    axes = "wxyz" if quantity == "orientation" else "xyz"
    have = set(names)
    for begin in beginnings[quantity]:
        for between in ("_", "", "."):
            columns = [f"{begin}{between}{axis}" for axis in axes]
            if set(columns) <= have:
                return " ".join(columns)
    return ""


def _time(name: str) -> Field:
    """The field of a time column of this name, with the unit that the name states."""
    return Field(at=name, unit=next((unit for unit in ("ns", "us", "ms") if name.lower().endswith(f"_{unit}")), "s"))


def _called(names: Iterable[str], quantity: str) -> str:
    """The array or column with a usual name of this quantity."""
    lower = {name.lower(): name for name in names}
    return next((lower[name] for name in ARRAYS[quantity] if name in lower), "")


def guess_arrays(arrays: Arrays, robot: Robot) -> ImportMap:
    """The map of an npz file, from its names and widths; `qpos` and `qvel` are read in MuJoCo's layout."""
    fields: dict[str, Field] = {}
    joints, free = robot.num_joints, robot.floating_base
    widths = {name: array.shape[1] if array.ndim == 2 else 1 for name, array in arrays.arrays.items() if array.ndim}
    before = (7, 6) if free else (0, 0)
    if widths.get("qpos") == before[0] + joints:
        fields["joint_position"] = Field(at=f"qpos[{before[0]}:]")
        if free:
            fields |= {"root_position": Field(at="qpos[0:3]"), "orientation": Field(at="qpos[3:7]", order="wxyz")}
    if widths.get("qvel") == before[1] + joints:
        fields["joint_velocity"] = Field(at=f"qvel[{before[1]}:]")
        if free:
            fields |= {"linear_velocity": Field(at="qvel[0:3]", frame="world"), "angular_velocity": Field(at="qvel[3:6]", frame="base")}
    wanted = {"joint_position": joints, "joint_velocity": joints, "action": joints, "root_position": 3, "contact": len(robot.feet)}
    for quantity in ARRAYS:
        name = _called(widths, quantity)
        if name and quantity not in fields and quantity != "orientation" and widths[name] == wanted.get(quantity, widths[name]):
            fields[quantity] = Field(at=name)
    if (time := next((name for name in TIMES if widths.get(name) == 1), None)) is not None:
        fields["time"] = _time(time)
    for word, names in arrays.words.items():  # an array of names labels the columns
        for quantity in ("joint_position", "joint_velocity", "action"):
            if quantity in fields and len(names) == joints and len(match_names(robot.joint_names, names, {})) == joints and "joint" in word:
                fields[quantity] = Field(at=fields[quantity].at, order=names)
    return ImportMap(**fields)  # pyright: ignore[reportArgumentType]
