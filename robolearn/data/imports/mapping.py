"""The YAML map that says where a recording from any source has what an episode needs.

    robot: go1
    joint_position: {at: "/joint_states position"}
    orientation: {at: "/imu orientation", order: xyzw}
    command: {at: "/cmd_vel linear.x linear.y angular.z"}
    action: {at: "/joint_commands position"}

The meaning of `at` depends on the recording: a topic and fields of its messages (`imports.bag`), columns of a table (`imports.csv`), or an
array (`imports.npz`). Everything else is the same for all. `robolearn data import RECORDING --map-out MAP.yaml` writes a map with what was
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
"""Unit -> its value in our unit."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One quantity.

    Attributes:
        at: where it is: `/topic field other.field`, column names, or an array's name.
        unit: unit of the numbers; empty for rad, m and s.
        order: for joints or feet, their names in the recording, one per entry, if messages or columns do not name them; for a
            quaternion `wxyz` or `xyzw` (default: ROS's xyzw if the field is a quaternion message; otherwise it is required).
        scale: factor on each entry, one for all or one each; -1 flips a joint's sign.
        offset: value added after scaling, in our units.
        frame: frame of a velocity: `world` or `base`.
        hold_s: how long a command or an action holds after its message [s]; null for `gap_s`.
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
            raise ValueError("`at` is empty: give the place in the recording")
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
"""The fields of a mapping that give the place of a quantity."""


@dataclass(frozen=True, kw_only=True)
class ImportMap:
    """A mapping.

    Attributes:
        robot: name or `robot.yaml`; `--robot` takes precedence.
        fps: frames per second of the episodes; null for the rate of the recorded joint positions, or 50 if that is more than 60.
        task: the task in words, e.g. `walk`.
        kind: who moved the robot, see `robolearn.data.source`.
        licence: SPDX licence of the recording; `unknown` keeps it out of trainings unless `--allow-licence` names it.
        attribution: whom to credit.
        note: note for users of the data.
        joint_position: joint positions [rad].
        joint_velocity: joint velocities [rad/s]; null computes them from the positions.
        orientation: attitude of the base in the world, or of its IMU if their axes agree.
        angular_velocity: angular velocity of the base in its own frame [rad/s]; null computes it from the attitude.
        root_position: position of the base in the world [m].
        linear_velocity: velocity of the base [m/s], in the `frame` of the field (default: base, as in nav_msgs/Odometry).
        contact: a value per foot; above `contact_above` it is on the ground.
        contact_above: threshold of contact [the field's unit].
        command: the command, in the order of the task's.
        command_labels: names of its entries (default: vx, vy and yaw_rate if it has three).
        action: the action at each frame.
        action_is: `target`: joint targets [rad]; `offset`: differences of targets from the default pose [rad]; `raw`: a policy's output
            before scaling.
        reward: reward of each frame.
        episode: a number or a word that changes where another episode begins.
        time: time of each row, for tables; bags use the times of their messages.
        clock: for bags: `stamp` uses the stamps in the messages' headers, `received` the times of recording; `auto` uses stamps if they
            agree with the recording's clock.
        rate: rows per second of a table without times [Hz].
        joint_names: robot's joint name -> the recording's.
        fixed_joints: angles of joints that the recording lacks [rad].
        gap_s: a gap in the data longer than this ends an episode [s].
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
        """The quantities that it gives a place for."""
        return {name: value for name in QUANTITIES if (value := getattr(self, name)) is not None}

    def over(self, guess: ImportMap) -> ImportMap:
        """This map, with guesses for quantities that it leaves open; a map that names joint positions leaves nothing open."""
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
    """YAML of a mapping, without default values."""
    default, given = plain(ImportMap()), plain(mapping)
    bare = plain(Field(at="-"))
    short = {name: value for name, value in given.items() if value != default[name]}
    for name in QUANTITIES:
        if isinstance(value := short.get(name), dict):
            short[name] = {key: item for key, item in value.items() if item != bare[key]}
    return write(short)
