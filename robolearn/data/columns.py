"""Names, widths and units of what an episode of a legged robot or an arm holds.

An episode is a table with one row per control step. Row `t` holds what was observed before action `t` was taken:

    column                     width   what
    observation.state          2J + 6  joint positions [rad], joint velocities [rad/s], gravity's direction and the base's angular velocity
                                       [rad/s], both in the base frame; joints in the policy's order, positions absolute
    observation.sensed         2J + 6  the same as the policy was shown it: late, and with the sensors' noise; only where it was asked for
    observation.root           13      position [m] and quaternion wxyz of the base in the world, its linear velocity in the world [m/s],
                                       its angular velocity in the base frame [rad/s]
    observation.contact        F       whether each foot stands, 0 or 1
    observation.command        C       what was asked of the robot, named by the task
    observation.images.NAME    video   what a camera showed, colour, see `robolearn.data.shots`; beside it observation.cameras.NAME.is_new
    action                     J       as the policy gives it: before scaling, in the policy's joint order
    next.reward                1       of the step from t to t + 1
    next.done                  1       whether the episode ended with this step (bool)

Values that a source does not know are missing, neither guessed nor NaN: the column holds zeros, and its bool mark, such as
`action.is_valid`, is False. Every column but `observation.state` and `next.done` has such a mark; it may change within an episode.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robolearn.errors import UserError

STATE = "observation.state"
SENSED = "observation.sensed"
ROOT = "observation.root"
CONTACT = "observation.contact"
COMMAND = "observation.command"
ACTION = "action"
REWARD = "next.reward"
DONE = "next.done"
IS_VALID = ".is_valid"
"""Suffix of a mark's name after its column's."""

ROOT_NAMES = (
    *(f"position_{axis}" for axis in "xyz"),
    *(f"quaternion_{axis}" for axis in "wxyz"),
    *(f"linear_velocity_{axis}" for axis in "xyz"),
    *(f"angular_velocity_{axis}" for axis in "xyz"),
)
BASE_NAMES = (*(f"projected_gravity_{axis}" for axis in "xyz"), *(f"base_angular_velocity_{axis}" for axis in "xyz"))
DTYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "string")
VIDEO = "video"
"""Dtype of a camera's column: pictures (T, H, W, 3) of uint8, kept as videos."""
OF_THE_FORMAT = ("timestamp", "frame_index", "episode_index", "index", "task_index")
"""Columns that only the writer fills."""


class DataError(UserError):
    """An invalid episode or dataset; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of an episode.

    Attributes:
        name: as on disk.
        names: names of its entries, in order; their number is the width.
        dtype: a numpy name, `string`, or `video` for a camera.
        optional: whether a source may lack it; then it has a mark, a bool column, see `mark_of`.
        shape: shape of one row that is not a vector; None for `(len(names),)`.
    """

    name: str
    names: tuple[str, ...]
    dtype: str = "float32"
    optional: bool = True
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or self.name in OF_THE_FORMAT:
            raise DataError(f"a column may not be called {self.name!r}: names hold no '/', and {', '.join(OF_THE_FORMAT)} are the writer's")
        if self.dtype not in (*DTYPES, VIDEO):
            raise DataError(f"column {self.name} is of dtype {self.dtype!r}; valid: {', '.join((*DTYPES, VIDEO))}")
        if self.width < 1:
            raise DataError(f"column {self.name} has no entries; leave it out")

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Column:
        """Read what `dataclasses.asdict` gave."""
        shape = raw.get("shape")
        return Column(**{**raw, "names": tuple(raw["names"]), "shape": None if shape is None else tuple(shape)})

    @property
    def width(self) -> int:
        """Numbers per row."""
        return int(np.prod(self.row_shape))

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return (len(self.names),) if self.shape is None else self.shape

    @property
    def mark(self) -> str | None:
        """Name of the bool column that marks where this one is known; None if it always is."""
        return mark_of(self.name) if self.optional else None


def robot_columns(
    joint_names: Sequence[str], foot_names: Sequence[str] = (), command_names: Sequence[str] = (), extra: Iterable[Column] = ()
) -> tuple[Column, ...]:
    """The columns of one robot.

    Args:
        joint_names: J names in the policy's order.
        foot_names: F names, in the order of `observation.contact`; the column is left out if there are none.
        command_names: C names of the task's command; the column is left out if there are none.
        extra: further columns, for example measured torques.

    Raises:
        DataError: two columns or two joints have the same name.
    """
    joints = tuple(joint_names)
    if not joints or len(set(joints)) < len(joints):
        raise DataError(f"a robot's columns need its joints, each once; given: {', '.join(joints) or 'none'}")
    columns = [
        Column(name=STATE, names=_state_names(joints), optional=False),
        Column(name=ROOT, names=ROOT_NAMES),
        Column(name=ACTION, names=joints),
        Column(name=REWARD, names=("reward",)),
        Column(name=DONE, names=("done",), dtype="bool", optional=False),
    ]
    if foot_names:
        columns.insert(2, Column(name=CONTACT, names=tuple(foot_names)))
    if command_names:
        columns.insert(2, Column(name=COMMAND, names=tuple(command_names)))
    return check_columns([*columns, *extra])


def sensed_column(joint_names: Sequence[str]) -> Column:
    """The column of what a policy was shown, for `robot_columns(extra=...)`."""
    return Column(name=SENSED, names=_state_names(joint_names))


def _state_names(joints: Sequence[str]) -> tuple[str, ...]:
    return (*(f"{joint}.position" for joint in joints), *(f"{joint}.velocity" for joint in joints), *BASE_NAMES)


def mark_of(name: str) -> str:
    """Name of a column's mark: `action.is_valid`; for a camera `observation.images.front`, `observation.cameras.front.is_valid`.

    lerobot takes every column with `image` in its name for pictures, and fails on the statistics of one that holds none.
    """
    return f"{name.replace('image', 'camera')}{IS_VALID}"


def camera(name: str, height: int, width: int, optional: bool = True) -> Column:
    """The column of a camera with pictures of this size, for `robot_columns(extra=...)`; lerobot calls them `observation.images.NAME`."""
    return Column(name=name, names=("height", "width", "channels"), dtype=VIDEO, optional=optional, shape=(height, width, 3))


def check_columns(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Columns of one dataset, with names that are all different, marks included.

    Raises:
        DataError: names the column that occurs twice, or that lerobot would take for a camera.
    """
    columns = tuple(columns)
    names = [name for column in columns for name in (column.name, column.mark) if name]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"columns with the same name: {', '.join(twice)}")
    false = [column.name for column in columns if "image" in column.name and column.dtype != VIDEO]
    if false:
        raise DataError(
            f"column {false[0]} is no camera, and lerobot takes every column with 'image' in its name for one; name it otherwise"
        )
    return columns
