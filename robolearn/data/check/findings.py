"""The result of a check, and the episode as checks see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from envs.robots.robot import Robot
from robolearn.data.columns import ACTION, IS_VALID, STATE
from robolearn.data.source import Source

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes:
        check: name of the check, e.g. `jumps`.
        key: a joint or a column; findings of several episodes with one key are merged.
        text: what is wrong, where and how much.
        episode: which episode, in words; None if it is about the dataset.
        grave: whether it is a fault; otherwise it is a note.
        size: how bad it is; of several, the worst is reported.
    """

    check: str
    key: str
    text: str
    episode: str | None = None
    grave: bool = True
    size: float = 0.0


@dataclass(frozen=True)
class Seen:
    """One episode, as checks see it.

    Attributes:
        index: number of the episode.
        columns: the known columns, (T, ...), and marks, as in `Episode`.
        source: where it comes from.
        fps: frames per second.
        robot: the robot; None if it is unknown.
        time_s: time stamps as on disk, (T,); None if they are computed from the index.
        split: the part of the data that it belongs to: training, validation; empty if there is only one.
        dataset: the dataset's name, if several are checked together.
    """

    index: int
    columns: Mapping[str, np.ndarray]
    source: Source
    fps: float
    robot: Robot | None = None
    time_s: FloatArray | None = field(default=None, compare=False)
    split: str = ""
    dataset: str = ""

    @property
    def name(self) -> str:
        """Its name in findings."""
        return f"{self.dataset} episode {self.index}".lstrip()

    def __len__(self) -> int:
        """Number of frames T."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the joints, in the order of the columns."""
        return self.source.joint_names or (self.robot.joint_names if self.robot is not None else ())

    @cached_property
    def state(self) -> FloatArray | None:
        """`observation.state` (T, 2J + 6); None if it has another layout."""
        state = self.columns.get(STATE)
        fits = state is not None and state.ndim == 2 and len(self.joints) and state.shape[1] == 2 * len(self.joints) + 6
        return state.astype(np.float64) if fits and state is not None else None

    @property
    def position(self) -> FloatArray | None:
        """Joint positions [rad], (T, J)."""
        return None if self.state is None else self.state[:, : len(self.joints)]

    @property
    def velocity(self) -> FloatArray | None:
        """Joint velocities [rad/s], (T, J)."""
        return None if self.state is None else self.state[:, len(self.joints) : -6]

    @property
    def gravity(self) -> FloatArray | None:
        """Gravity's direction in the base frame, (T, 3)."""
        return None if self.state is None else self.state[:, -6:-3]

    @property
    def turn(self) -> FloatArray | None:
        """Angular velocity of the base in its frame [rad/s], (T, 3)."""
        return None if self.state is None else self.state[:, -3:]

    def known(self, name: str) -> BoolArray:
        """The frames in which a column is known, (T,) bool."""
        mark = self.columns.get(name + IS_VALID)
        if mark is not None and name in self.columns:
            return mark.astype(bool).reshape(len(self))
        return np.full(len(self), name in self.columns)

    def values(self, name: str, width: int | None = None) -> FloatArray | None:
        """The known rows of a column, (K, D); None if it does not exist, or has another width."""
        column = self.columns.get(name)
        if column is None or not self.known(name).any():
            return None
        rows = column.reshape(len(self), -1)[self.known(name)].astype(np.float64)
        return rows if width in (None, rows.shape[1]) else None

    @property
    def targets(self) -> FloatArray | None:
        """Joint targets [rad] that the actions ask for, before clipping, (T, J); None if they are unknown or relative to each other."""
        action = self.columns.get(ACTION)
        if action is None or self.robot is None or self.source.control_mode != "position_offset" or not self.known(ACTION).all():
            return None
        if action.shape != (len(self), self.robot.num_joints):
            return None
        return action.astype(np.float64) * np.array(self.robot.action_scale) + np.array(self.robot.default_pose)


def runs_of(mask: BoolArray) -> list[tuple[int, int]]:
    """Begin and end (exclusive) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def put_together(findings: list[Finding]) -> list[Finding]:
    """One finding for each check and key: the worst, with the number of other episodes that have one."""
    groups: dict[tuple[str, str, bool], list[Finding]] = {}
    for item in findings:
        groups.setdefault((item.check, item.key, item.grave), []).append(item)
    told = []
    for (check, key, grave), items in groups.items():
        worst = max(items, key=lambda item: item.size)
        episodes = {item.episode for item in items if item.episode is not None}
        more = f" (and {len(episodes) - 1} other episodes)" if len(episodes) > 1 else ""
        told.append(Finding(check=check, key=key, text=worst.text + more, episode=worst.episode, grave=grave, size=worst.size))
    return sorted(told, key=lambda item: not item.grave)


def line(finding: Finding) -> str:
    """The finding as a line of text."""
    where = "" if finding.episode is None else f"{finding.episode}: "
    return f"{'fault' if finding.grave else 'note '} {finding.check}: {where}{finding.text}"
