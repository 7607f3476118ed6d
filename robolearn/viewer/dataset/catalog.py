"""All episodes of the shown datasets, and one of them in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from envs.robots.registry import get_robot
from envs.robots.robot import Robot
from robolearn.data.columns import STATE, Column, mark_of
from robolearn.data.reader import Dataset, EpisodeRow
from robolearn.data.source import Source
from robolearn.errors import UserError
from robolearn.viewer.dataset.poses import Poses, poses_of
from robolearn.viewer.dataset.terms import Term, terms_of


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One episode in the list.

    Attributes:
        dataset: number of its dataset.
        row: its entry in the table of episodes.
        name: its label: its number, with the dataset's name if several are shown.
        seconds: its duration [s].
        source: its source.
    """

    dataset: int
    row: EpisodeRow
    name: str
    seconds: float
    source: Source


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One episode in memory.

    Attributes:
        entry: its entry in the list.
        columns: the known columns, (T, ...), and marks; without pictures.
        layout: the columns that its robot has in the dataset, known or not.
        terms: the terms that can be plotted.
        fps: rows per second [Hz].
        robot: the robot; None if unknown.
        poses: poses of the robot; None if the state has another layout.
    """

    entry: Entry
    columns: Mapping[str, np.ndarray]
    layout: tuple[Column, ...]
    terms: tuple[Term, ...]
    fps: float
    robot: Robot | None
    poses: Poses | None

    def __len__(self) -> int:
        """T."""
        return len(self.entry.row)

    def row_at(self, at_s: float) -> int:
        """The row at a time since its beginning [s]; the last one after its end."""
        return min(max(int(at_s * self.fps + 1e-6), 0), len(self) - 1)


class Catalog:
    """Datasets that are shown together.

    Attributes:
        datasets: the opened datasets.
        names: their names.
        entries: their episodes, one dataset after the other.
    """

    def __init__(self, paths: Sequence[Path], robot: Robot | None = None) -> None:
        """Open.

        Args:
            paths: folders of datasets.
            robot: used in place of the robots that the sources name.

        Raises:
            UserError: one is not a dataset, or none has episodes.
        """
        self.datasets = tuple(Dataset(path) for path in paths)
        short = [path.resolve().name for path in paths]
        self.names = tuple(short if len(set(short)) == len(short) else map(str, paths))
        self.given = robot
        several = len(paths) > 1
        self.entries = tuple(
            Entry(
                dataset=number,
                row=row,
                name=f"{name} {row.index}" if several else str(row.index),
                seconds=len(row) / dataset.fps,
                source=dataset.sources[row.source],
            )
            for number, (name, dataset) in enumerate(zip(self.names, self.datasets, strict=True))
            for row in dataset.episodes
            if len(row)
        )
        self._robots: dict[str, Robot | None] = {}
        if not self.entries:
            raise UserError(f"there are no episodes in {', '.join(map(str, paths))}")

    def first_of(self, dataset: int) -> int | None:
        """Number of the first episode of a dataset; None if it has none."""
        return next((number for number, entry in enumerate(self.entries) if entry.dataset == dataset), None)

    def find(self, text: str) -> list[int]:
        """Numbers of the episodes with every word of `text` in name, task, source, robot or licence."""
        words = text.lower().split()
        if not words:
            return list(range(len(self.entries)))
        return [number for number, told in enumerate(map(_words, self.entries)) if all(word in told for word in words)]

    def load(self, number: int) -> Shown:
        """Read an episode.

        Raises:
            UserError: it cannot be read.
        """
        entry = self.entries[number]
        dataset = self.datasets[entry.dataset]
        episode = dataset.episode(entry.row.index, pictures=False)
        columns = {**episode.columns, **self._marks_of_cameras(dataset, entry.row)}
        robot = self._robot(entry.source.robot)
        layout = dataset.layouts[entry.row.layout].columns
        joints = entry.source.joint_names
        poses = None if robot is None or STATE not in columns else poses_of(robot, columns, joints)
        return Shown(
            entry=entry,
            columns=columns,
            layout=layout,
            terms=terms_of(layout),
            fps=float(dataset.fps),
            robot=robot,
            poses=poses,
        )

    @staticmethod
    def _marks_of_cameras(dataset: Dataset, row: EpisodeRow) -> dict[str, np.ndarray]:
        """The rows with pictures, (T,) bool for each camera, found without reading them all."""
        marks = [mark_of(name) for name in row.videos if mark_of(name) in dataset.info.features]
        return {mark: np.asarray(dataset.column(mark)[row.start : row.stop]).reshape(-1) for mark in marks}

    def _robot(self, name: str) -> Robot | None:
        if self.given is not None:
            return self.given
        if name not in self._robots:
            try:
                self._robots[name] = get_robot(name)
            except (UserError, ValueError):
                self._robots[name] = None
        return self._robots[name]


def _words(entry: Entry) -> str:
    source = entry.source
    outcome = {True: "success", False: "failed", None: ""}[entry.row.success]
    return " ".join((entry.name, entry.row.task, source.kind, source.robot, source.licence, outcome, source.note)).lower()
