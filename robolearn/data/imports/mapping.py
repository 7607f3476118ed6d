"""The YAML that says where a recording of anybody's has what an episode needs.

    robot: go1
    joint_position: {at: "/joint_states position"}
    orientation: {at: "/imu orientation", order: xyzw}
    command: {at: "/cmd_vel linear.x linear.y angular.z"}
    action: {at: "/joint_commands position"}

What `at` means is the recording's matter: a topic and the fields of its messages (`imports.bag`), columns of a table (`imports.csv`), an
array (`imports.npz`). Everything else holds for all of them. `robolearn data import RECORDING --map-out MAP.yaml` writes one with what was
found.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from policies.schema import Builder, plain
from policies.yaml_tree import read_file, write
from robolearn.errors import suggestion

UNITS = {
    "": 1.0, "1": 1.0, "rad": 1.0, "m": 1.0, "s": 1.0, "rad/s": 1.0, "m/s": 1.0,
    "deg": math.pi / 180, "deg/s": math.pi / 180, "rpm": 2 * math.pi / 60, "turns": 2 * math.pi,
    "cm": 0.01, "mm": 1e-3, "cm/s": 0.01, "mm/s": 1e-3, "ms": 1e-3, "us": 1e-6, "ns": 1e-9,
}  # fmt: skip
"""Unit -> how many of ours one is."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One quantity.

    Attributes:
        at: where it is: `/topic field other.field`, column names, or an array's name.
        unit: of the numbers there; empty for rad, m and s.
        order: of joints or feet, their names in the recording, one for each entry, where messages or columns do not name them; of a
            quaternion `wxyz` or `xyzw` (default: as ROS has it, xyzw, where the field is a message of its own; else it must be said).
        scale: what each entry is multiplied with, one for all or one for each; -1 turns a joint's sign.
        offset: what is added after that, in our units.
        frame: of a velocity: `world` or `base`.
        hold_s: how long a command or an action holds after its message [s]; `gap_s` where null.
    """

    at: str
    unit: str = ""
    order: str | tuple[str, ...] = ()
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    frame: Literal["world", "base"] | None = None
    hold_s: float | None = None

    def __post_init__(self) -> None:
        if not self.at.split():
            raise ValueError("`at` is empty: say where the recording has it")
        if self.unit not in UNITS:
            raise ValueError(f"there is no unit {self.unit!r}{suggestion(self.unit, UNITS)}; valid: {', '.join(u for u in UNITS if u)}")
        if self.hold_s is not None and not self.hold_s > 0:
            raise ValueError(f"hold_s must be positive, not {self.hold_s:g}")

    @property
    def names(self) -> tuple[str, ...]:
        """`order` as names."""
        return tuple(self.order.replace(",", " ").split()) if isinstance(self.order, str) else self.order


QUANTITIES = (
    "joint_position", "joint_velocity", "orientation", "angular_velocity", "root_position", "linear_velocity",
    "contact", "command", "action", "reward", "episode", "time",
)  # fmt: skip
"""The fields of a mapping that say where something is."""


@dataclass(frozen=True, kw_only=True)
class ImportMap:
    """A mapping.

    Attributes:
        robot: name or `robot.yaml`; `--robot` goes before it.
        fps: frames a second of the episodes; the recording's own rate of joint positions where null, or 50 where that is more than 60.
        task: what is done, in words, e.g. `walk`.
        kind: who moved the robot, see `robolearn.data.source`.
        licence: of the recording, SPDX where there is one; `unknown` keeps it out of trainings until `--allow-license` names it.
        attribution: who is to be named.
        note: what people should know.
        joint_position: [rad].
        joint_velocity: [rad/s]; differences of the positions where null.
        orientation: of the base in the world; or that of its IMU, where its axes are the base's.
        angular_velocity: of the base in its own frame [rad/s]; of the attitude's differences where null.
        root_position: of the base in the world [m].
        linear_velocity: of the base [m/s], in the `frame` of the field (default: base, as in nav_msgs/Odometry).
        contact: of each foot: above `contact_above` it is on the ground.
        contact_above: [the field's unit].
        command: what was asked, in the order of the task's command.
        command_labels: names of its entries; vx, vy and yaw_rate where it has three.
        action: what was decided at each frame.
        action_is: `target`: joint targets [rad]; `offset`: differences of targets from the default pose [rad]; `raw`: a policy's own
            numbers, before its scale.
        reward: of each frame.
        episode: a number or a word that changes where another episode begins.
        time: of each row, for tables; the times of the messages count in bags.
        clock: of bags: `stamp`: the stamps in the messages' headers, `received`: when they were recorded; `auto`: stamps where they agree
            with the recording's clock.
        rate: rows a second of a table without times [Hz].
        joint_names: the robot's joints -> what the recording calls them.
        fixed_joints: angles of joints that the recording lacks [rad].
        gap_s: where nothing is heard for longer than this an episode ends [s].
        least_s: episodes shorter than this are left out [s].
    """

    robot: str = ""
    fps: float | None = None
    task: str = ""
    kind: Literal["policy", "controller", "mocap", "video", "log", "teleoperation", "import"] = "import"
    licence: str = "unknown"
    attribution: str = ""
    note: str = ""
    joint_position: Field | None = None
    joint_velocity: Field | None = None
    orientation: Field | None = None
    angular_velocity: Field | None = None
    root_position: Field | None = None
    linear_velocity: Field | None = None
    contact: Field | None = None
    contact_above: float = 0.5
    command: Field | None = None
    command_labels: tuple[str, ...] = ()
    action: Field | None = None
    action_is: Literal["target", "offset", "raw"] = "target"
    reward: Field | None = None
    episode: Field | None = None
    time: Field | None = None
    clock: Literal["auto", "stamp", "received"] = "auto"
    rate: float | None = None
    joint_names: Mapping[str, str] = field(default_factory=dict[str, str])
    fixed_joints: Mapping[str, float] = field(default_factory=dict[str, float])
    gap_s: float = 0.25
    least_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("fps", "rate", "gap_s", "least_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, not {value:g}")

    def given(self) -> dict[str, Field]:
        """The quantities that it names."""
        return {name: value for name in QUANTITIES if (value := getattr(self, name)) is not None}

    def over(self, guess: ImportMap) -> ImportMap:
        """This one, and what was guessed of the quantities that it leaves open; one that names joint positions leaves nothing open."""
        if self.joint_position is not None:
            return self
        missing = {name: value for name, value in guess.given().items() if getattr(self, name) is None}
        if self.command is None and not self.command_labels:
            missing |= {"command_labels": guess.command_labels}
        return dataclasses.replace(self, **missing)


def load_map(path: Path) -> ImportMap:
    """Read a mapping.

    Raises:
        ConfigError: one line with file, line, key, what was given and what is valid.
    """
    return Builder(ImportMap).value(ImportMap, read_file(path))


def dump_map(mapping: ImportMap) -> str:
    """YAML of a mapping, without what is as by default."""
    default, given = plain(ImportMap()), plain(mapping)
    bare = plain(Field(at="-"))
    short = {name: value for name, value in given.items() if value != default[name]}
    for name in QUANTITIES:
        if isinstance(value := short.get(name), dict):
            short[name] = {key: item for key, item in value.items() if item != bare[key]}
    return write(short)
