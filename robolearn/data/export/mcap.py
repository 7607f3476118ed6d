"""Episodes as an MCAP file: Foxglove plots and draws it, and `robolearn data import` reads it back.

    /joint_states, /imu         what was observed
    /odom, /tf                  where the base is; frames of all bodies, for a robot that is known
    /robot                      its shapes, once (visualization_msgs/MarkerArray)
    /cmd_vel or /command        what was asked
    /joint_commands             joint targets that the actions ask for [rad], for actions of the mode position_offset
    /policy/action              actions as the policy gave them
    /contact, /reward           arrays that carry the names of their entries
    /episode                    at the beginning of each episode, as JSON: its number, task, source, licence and what is missing in it

Missing values have no message in their frame.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from envs.robots.robot import Robot
from policies.files import whole
from robolearn.data.columns import ACTION, COMMAND, CONTACT, IS_VALID, REWARD, ROOT, STATE, Column
from robolearn.data.export import messages
from robolearn.data.export.shapes import Shape
from robolearn.data.imports.turning import rotate_inverse
from robolearn.data.source import Episode

BETWEEN_S = 1.0
"""Time between two episodes of one file."""
BEGIN_NS = 1_000_000_000
VELOCITY = ("vx", "vy", "yaw_rate")
Message = tuple[str, Any]


def write_mcap(
    path: Path,
    episodes: Iterable[tuple[int, Episode, tuple[Column, ...]]],
    fps: int,
    robot: Callable[[str], Robot | None],
    every: Callable[[], object] = lambda: None,
) -> int:
    """Write episodes one after the other.

    Args:
        path: path of the file, which is written whole or not at all.
        episodes: number, content and columns of each episode.
        fps: frames a second.
        robot: finds a robot by its name; returns None for an unknown one.
        every: called after each episode.

    Returns:
        Number of messages.
    """
    from mcap.writer import CompressionType, Writer

    count, begin_ns = 0, BEGIN_NS
    with whole(path) as temporary, temporary.open("wb") as file:
        writer = Writer(file, compression=CompressionType.ZSTD)
        writer.start(profile="ros2", library="robolearn")
        channels: dict[str, int] = {}
        shapes: dict[str, Shape | None] = {}
        for number, episode, columns in episodes:
            name = episode.source.robot
            if name not in shapes:
                known = robot(name)
                shapes[name] = None if known is None else Shape(known)
            frames = _Frames(episode, columns, robot(name), shapes[name])
            for row in range(len(episode)):
                time_ns = begin_ns + round(row * 1e9 / fps)
                for topic, message in [*(frames.first(number) if row == 0 else ()), *frames.at(row, time_ns)]:
                    writer.add_message(_channel(writer, channels, topic, message), time_ns, messages.serialized(message), time_ns, count)
                    count += 1
            begin_ns += round((len(episode) / fps + BETWEEN_S) * 1e9)
            every()
        writer.finish()
    return count


def _channel(writer: Any, channels: dict[str, int], topic: str, message: Any) -> int:
    from mcap.well_known import MessageEncoding, SchemaEncoding

    if topic not in channels:
        kind = message.__msgtype__
        schema = writer.register_schema(kind, SchemaEncoding.ROS2, messages.definition(kind).encode())
        channels[topic] = writer.register_channel(topic, MessageEncoding.CDR, schema)
    return channels[topic]


class _Frames:
    """The messages of one episode, frame by frame."""

    def __init__(self, episode: Episode, columns: tuple[Column, ...], robot: Robot | None, shape: Shape | None) -> None:
        self._episode, self._robot, self._shape = episode, robot, shape
        self._names = {column.name: column.names for column in columns}
        self._joints = len(episode.source.joint_names)
        self._fixed = robot is not None and not robot.floating_base
        if robot is not None and (robot.joint_names != episode.source.joint_names):
            self._robot = self._shape = None

    def first(self, number: int) -> Iterator[Message]:
        """The messages that are sent once."""
        episode = self._episode
        source = {name: value for name, value in dataclasses.asdict(episode.source).items() if name != "config" and value not in ("", None)}
        missing = [name for name in self._names if name not in episode.columns]
        about = {"episode": number, "task": episode.task, "success": episode.success, "source": source, "missing": missing}
        yield "/episode", messages.text(json.dumps(about))
        if self._shape is not None:
            yield "/robot", self._shape.markers()

    def at(self, row: int, time_ns: int) -> Iterator[Message]:
        """The messages of one frame."""
        state = self._episode.columns[STATE][row].astype(np.float64)
        if self._joints and len(state) == 2 * self._joints + 6:
            yield from self._observed(row, time_ns, state)
        else:
            yield "/observation/state", messages.array(self._names[STATE], state)
        command = self._row(COMMAND, row)
        if command is not None:
            if self._names[COMMAND] == VELOCITY:
                yield "/cmd_vel", messages.twist(time_ns, *(float(value) for value in command))
            else:
                yield "/command", messages.array(self._names[COMMAND], command)
        action = self._row(ACTION, row)
        if action is not None:
            yield "/policy/action", messages.array(self._names[ACTION], action)
            if self._robot is not None and self._episode.source.control_mode == "position_offset":
                target = np.array(self._robot.default_pose) + action.astype(np.float64) * np.array(self._robot.action_scale)
                yield "/joint_commands", messages.joint_state(time_ns, self._episode.source.joint_names, target)
        for name, topic in ((CONTACT, "/contact"), (REWARD, "/reward")):
            values = self._row(name, row)
            if values is not None:
                yield topic, messages.array(self._names[name], values)

    def _observed(self, row: int, time_ns: int, state: np.ndarray) -> Iterator[Message]:
        joints = self._joints
        position, velocity, gravity, turn = state[:joints], state[joints : 2 * joints], state[-6:-3], state[-3:]
        yield "/joint_states", messages.joint_state(time_ns, self._episode.source.joint_names, position, velocity)
        root = self._row(ROOT, row)
        wxyz, place = None, None
        if root is not None:
            root = root.astype(np.float64)
            place, wxyz = root[:3], root[3:7]
            ahead = rotate_inverse(wxyz[None], root[None, 7:10])[0]
            yield "/odom", messages.odometry(time_ns, place, wxyz, ahead, root[10:13])
        elif not self._fixed and np.linalg.norm(gravity) > 0.5:
            wxyz = _tilted(gravity)
        if not self._fixed:
            yield "/imu", messages.imu(time_ns, wxyz, turn)
        if self._shape is not None:
            yield "/tf", messages.transforms(time_ns, self._shape.frames, *self._shape.place(place, wxyz, position))

    def _row(self, name: str, row: int) -> np.ndarray | None:
        """A column's values in a frame; None if they are missing."""
        values = self._episode.columns.get(name)
        mark = self._episode.columns.get(name + IS_VALID)
        if values is None or (mark is not None and not bool(np.ravel(mark)[row])):
            return None
        return np.atleast_1d(values[row])


def _tilted(gravity: np.ndarray) -> np.ndarray:
    """The attitude wxyz, with zero yaw, in which gravity has this direction (3,) in the base's frame."""
    down = gravity / np.linalg.norm(gravity)
    roll = np.arctan2(-down[1], -down[2])
    pitch = np.arcsin(np.clip(down[0], -1.0, 1.0))
    cr, sr, cp, sp = np.cos(roll / 2), np.sin(roll / 2), np.cos(pitch / 2), np.sin(pitch / 2)
    return np.array([cr * cp, sr * cp, cr * sp, -sr * sp])
