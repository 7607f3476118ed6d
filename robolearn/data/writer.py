"""Writes a dataset that survives `kill -9` at any moment: at most the episode that was being added is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from robolearn.data.columns import Column
from robolearn.data.source import Episode


class DatasetWriter:
    """Writes episodes of one robot into a folder.

    >>> with DatasetWriter(path, robot_columns(joint_names), fps=50) as writer:
    ...     writer.add(episode)
    """

    def __init__(self, path: str | Path, columns: Sequence[Column], fps: int) -> None:
        """Begin a new dataset.

        Args:
            path: a folder that does not exist yet, or is empty.
            columns: of the robot, see `robot_columns`.
            fps: rows a second, the control rate [Hz].

        Raises:
            DataError: there is something at `path` already, or the rate is no whole number.
        """
        raise NotImplementedError

    @classmethod
    def append(cls, path: str | Path) -> DatasetWriter:
        """Go on with a dataset that exists; what a killed writer left open is put right first."""
        raise NotImplementedError

    def add(self, *episodes: Episode) -> None:
        """Write episodes; when this returns they are on the disk, and lerobot finds them.

        Several at once cost hardly more than one.

        Raises:
            DataError: an episode does not fit; names it, the column and what is wrong. Nothing of the call is written.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End. Everything was on the disk before; this only lets go of the folder."""
        raise NotImplementedError

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
