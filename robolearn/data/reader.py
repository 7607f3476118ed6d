"""Reads a dataset, ours or one that lerobot wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from robolearn.data.columns import Column
from robolearn.data.source import Episode, Source


class Dataset:
    """A dataset on disk; nothing in it is changed by reading.

    Attributes:
        path: its folder.
        fps: rows a second [Hz].
        columns: all columns, without marks and without those of the format.
        sources: what the episodes come from.
        episodes: one row for each episode.
    """

    path: Path
    fps: int
    columns: tuple[Column, ...]
    sources: tuple[Source, ...]
    episodes: tuple[EpisodeRow, ...]

    def __init__(self, path: str | Path) -> None:
        """Open.

        Raises:
            DataError: it is no dataset, or a broken one; says what to type.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.episodes)

    def episode(self, index: int) -> Episode:
        """One episode, all columns of its robot in memory; columns without one valid row are left out."""
        raise NotImplementedError

    def column(self, name: str) -> np.ndarray:
        """A column or a mark of all frames (total frames, ...), memory-mapped; the rows of an episode are `row.start` to `row.stop`.

        Raises:
            DataError: there is none; lists the names.
        """
        raise NotImplementedError


class EpisodeRow:
    """What the table of episodes says of one.

    Attributes:
        index: of the episode.
        start, stop: its rows in `Dataset.column`.
        task: in words.
        source: index into `Dataset.sources`.
        success: None where nobody said.
    """

    index: int
    start: int
    stop: int
    task: str
    source: int
    success: bool | None
