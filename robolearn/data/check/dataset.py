"""A dataset on disk, as the checks see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from envs.robots.registry import get_robot
from envs.robots.robot import Robot
from policies.errors import UserError
from robolearn.data.check.findings import Finding, Seen
from robolearn.data.check.run import Checked, check
from robolearn.data.columns import DataError
from robolearn.data.reader import Dataset

STAMPS = "timestamp"


def check_dataset(dataset: Dataset, robot: Robot | None = None, every: Callable[[], None] = lambda: None) -> Checked:
    """Look at every episode.

    Args:
        dataset: what is looked at.
        robot: stands in for the robots that the sources name.
        every: is called after each episode.
    """
    robots, unknown = _robots(dataset, robot)
    splits = splits_of(dataset)
    found = check(_seen(dataset, robots, every), [column.name for column in dataset.columns], splits)
    notes = [
        Finding(
            check="robot",
            key=name,
            text=f"no robot {name!r} is known here, so its ranges and order are not checked; --robot NAME|robot.yaml says which it is",
            grave=False,
        )
        for name in unknown
    ]
    return Checked([*found.findings, *notes], found.episodes, found.frames)


def splits_of(dataset: Dataset) -> dict[str, range]:
    """The splits that info.json names, name -> episodes."""
    raw = dataset.info.rest.get("splits") or {}
    found: dict[str, range] = {}
    for name, text in raw.items():
        begin, _, end = str(text).partition(":")
        if begin.isdigit() and end.isdigit():
            found[name] = range(int(begin), int(end))
    return found


def _robots(dataset: Dataset, given: Robot | None) -> tuple[dict[str, Robot | None], list[str]]:
    """Name -> robot, and the names of which none is known."""
    found: dict[str, Robot | None] = {}
    for name in dict.fromkeys(source.robot for source in dataset.sources):
        if given is not None:
            found[name] = given
            continue
        try:
            found[name] = get_robot(name)
        except (UserError, ValueError):
            found[name] = None
    return found, [name for name, robot in found.items() if robot is None]


def _seen(dataset: Dataset, robots: dict[str, Robot | None], every: Callable[[], None]) -> Iterator[Seen]:
    stamps = _stamps(dataset)
    for row in dataset.episodes:
        episode = dataset.episode(row.index)
        time_s = None if stamps is None else np.asarray(stamps[row.start : row.stop], np.float64).ravel()
        yield Seen(row.index, episode.columns, episode.source, float(dataset.fps), robots[episode.source.robot], time_s)
        every()


def _stamps(dataset: Dataset) -> np.ndarray | None:
    """The time stamps on disk; None where the dataset has none."""
    try:
        return dataset.column(STAMPS)
    except DataError:
        return None
