"""Splits a dataset into parts for training, validation and testing, or selects episodes by conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from robolearn.data.columns import DataError
from robolearn.data.licence import refused
from robolearn.data.merge import Progress, write_episodes
from robolearn.data.reader import Dataset, EpisodeRow

By = Literal["episode", "source", "task"]
"""What stays together in a split."""


def assign(
    dataset: Dataset, shares: Mapping[str, float], by: By = "episode", seed: int = 0, chosen: Sequence[int] | None = None
) -> dict[str, list[int]]:
    """Draw which episodes go to which part; every robot and kind of source is split in the same proportions.

    Args:
        dataset: the dataset to split.
        shares: name of a part -> its share; they add up to 1.
        by: what stays together, so that no source, or no task, is on both sides.
        seed: seed of the draw.
        chosen: episodes to split; None for all.

    Returns: The episodes of each part, in order.

    Raises:
        DataError: the shares do not add up to 1, or a part is empty.
    """
    if any(share <= 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise DataError(f"the shares {', '.join(f'{name}={share:g}' for name, share in shares.items())} must be above 0 and add up to 1")
    generator = np.random.default_rng(seed)
    bundles: dict[tuple, dict[object, list[int]]] = {}
    for index in range(len(dataset)) if chosen is None else chosen:
        row = dataset.episodes[index]
        source = dataset.sources[row.source]
        key = {"episode": index, "source": row.source, "task": row.task}[by]
        alike = (source.group, source.kind) if by == "episode" else ()
        bundles.setdefault(alike, {}).setdefault(key, []).append(index)
    parts: dict[str, list[int]] = {name: [] for name in shares}
    for group in bundles.values():
        order = [list(group.values())[place] for place in generator.permutation(len(group))]
        total = sum(len(bundle) for bundle in order)
        given = dict.fromkeys(shares, 0)
        for bundle in order:  # to the part that is furthest below its share
            name = max(shares, key=lambda part: shares[part] * total - given[part])
            parts[name] += bundle
            given[name] += len(bundle)
    empty = [name for name, indices in parts.items() if not indices]
    if empty:
        raise DataError(f"{dataset.path}: nothing is left for {', '.join(empty)}; there are too few episodes, or too few by {by}")
    return {name: sorted(indices) for name, indices in parts.items()}


def select(
    dataset: Dataset,
    robot: str | None = None,
    kind: str | None = None,
    task: str | None = None,
    successful: bool = False,
    free: Sequence[str] | None = None,
) -> list[int]:
    """The episodes that meet all conditions.

    Args:
        dataset: the dataset to search.
        robot, kind: robot and kind of the source.
        task: a part of its text.
        successful: whether to take only known successes.
        free: licences that are allowed besides the free ones; None for any licence.
    """

    def fits(row: EpisodeRow) -> bool:
        source = dataset.sources[row.source]
        conditions: list[Callable[[], bool]] = [
            lambda: robot in (None, source.robot),
            lambda: kind in (None, source.kind),
            lambda: task is None or task in row.task,
            lambda: not successful or row.success is True,
            lambda: free is None or not refused([source], free),
        ]
        return all(condition() for condition in conditions)

    return [row.index for row in dataset.episodes if fits(row)]


def split(dataset: Dataset, parts: Mapping[str, Sequence[int]], out: str | Path, progress: Progress | None = None) -> dict[str, Path]:
    """Write parts of a dataset as datasets `out/NAME`.

    Raises:
        DataError: one of these folders exists already.
    """
    return {name: write_episodes([(dataset, indices)], [dataset], Path(out) / name, progress) for name, indices in parts.items()}
