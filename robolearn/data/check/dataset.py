"""Runs the checks on datasets on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from envs.robots.registry import get_robot
from envs.robots.robot import Robot
from policies.errors import UserError
from robolearn.data.check.findings import Finding, Seen
from robolearn.data.check.run import Checked, check, findings
from robolearn.data.columns import DataError
from robolearn.data.info import INFO
from robolearn.data.reader import Dataset

STAMPS = "timestamp"


def check_datasets(datasets: Sequence[Dataset], robot: Robot | None = None, every: Callable[[], object] = lambda: None) -> Checked:
    """Check every episode of one dataset, or of the parts of a split.

    Args:
        datasets: the datasets to check; several are the sides of a split, and no episode may be in two of them.
        robot: used in place of the robots that the sources name.
        every: called after each episode.
    """
    robots, unknown = _robots(datasets, robot)
    names = _names(datasets)
    seen = (item for name, dataset in zip(names, datasets, strict=True) for item in _seen(dataset, name, robots, every))
    declared = dict.fromkeys(column.name for dataset in datasets for column in dataset.columns)
    found = check(seen, list(declared))
    notes = [
        Finding(
            check="robot",
            key=name,
            text=f"no robot {name!r} is known here, so its ranges and order are not checked; give it with --robot NAME|robot.yaml",
            grave=False,
        )
        for name in unknown
    ]
    return Checked([*found.findings, *notes], found.episodes, found.frames)


def findings_of(dataset: Dataset, robot: Robot | None = None) -> Iterator[list[Finding]]:
    """The findings of each episode of one dataset, one list each as soon as it is checked, and a last list about all of them."""
    robots, _ = _robots([dataset], robot)
    return findings(_seen(dataset, "", robots, lambda: None), [column.name for column in dataset.columns])


def _names(datasets: Sequence[Dataset]) -> list[str]:
    """The name of each dataset in findings: empty if there is only one, the folder's name if those differ."""
    if len(datasets) == 1:
        return [""]
    names = [dataset.path.resolve().name for dataset in datasets]
    return names if len(set(names)) == len(names) else [str(dataset.path) for dataset in datasets]


def splits_of(dataset: Dataset) -> dict[str, range]:
    """The splits that info.json names, name -> episodes."""
    raw = json.loads((dataset.path / INFO).read_text(encoding="utf-8")).get("splits") or {}
    found: dict[str, range] = {}
    for name, text in raw.items():
        begin, _, end = str(text).partition(":")
        if begin.isdigit() and end.isdigit():
            found[name] = range(int(begin), int(end))
    return found


def _robots(datasets: Sequence[Dataset], given: Robot | None) -> tuple[dict[str, Robot | None], list[str]]:
    """Name -> robot, and the names of unknown robots."""
    found: dict[str, Robot | None] = {}
    for name in dict.fromkeys(source.robot for dataset in datasets for source in dataset.sources):
        if given is not None:
            found[name] = given
            continue
        try:
            found[name] = get_robot(name)
        except (UserError, ValueError):
            found[name] = None
    return found, [name for name, robot in found.items() if robot is None]


def _seen(dataset: Dataset, name: str, robots: dict[str, Robot | None], every: Callable[[], object]) -> Iterator[Seen]:
    stamps, splits = _stamps(dataset), splits_of(dataset)
    for row in dataset.episodes:
        episode = dataset.episode(row.index)
        time_s = None if stamps is None else np.asarray(stamps[row.start : row.stop], np.float64).ravel()
        split = next((which for which, rows in splits.items() if row.index in rows), "") if len(splits) > 1 else ""
        part = f"{name} {split}".strip()
        yield Seen(row.index, episode.columns, episode.source, float(dataset.fps), robots[episode.source.robot], time_s, part, name)
        every()


def _stamps(dataset: Dataset) -> np.ndarray | None:
    """The time stamps on disk; None if the dataset has none."""
    try:
        return dataset.column(STAMPS)
    except DataError:
        return None
