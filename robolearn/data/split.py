"""Parts of a dataset as datasets of their own: for training, validation and testing, or what fits a condition."""

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
    """Draw which episodes go to which part; every robot and kind of source is divided alike.

    Args:
        dataset: to be divided.
        shares: name of a part -> its share; they add up to 1.
        by: what stays together, so that no source, or no task, stands on both sides.
        seed: of the draw.
        chosen: episodes that are divided; None for all.

    Returns:
        Of each part its episodes, in order.

    Raises:
        DataError: shares that do not add up to 1, or a part that stays empty.
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
        for bundle in order:  # to the part that lacks most of its share
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
    """The episodes that fit all conditions.

    Args:
        dataset: that is looked through.
        robot, kind: of the source.
        task: a part of its words.
        successful: whether only those whose success is known.
        free: licences that are allowed beside the free ones; None for any licence.
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
        DataError: there is something at one of these places.
    """
    return {name: write_episodes([(dataset, indices)], [dataset], Path(out) / name, progress) for name, indices in parts.items()}
