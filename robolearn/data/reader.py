"""Reads a dataset, ours or one that lerobot wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from robolearn.data.cache import mapped
from robolearn.data.columns import DTYPES, Column, DataError
from robolearn.data.info import Layout, layout_of, read_info
from robolearn.data.rows import episode_columns
from robolearn.data.source import Episode, Source
from robolearn.data.statistics import GroupStatistics
from robolearn.data.store import parquet_files
from robolearn.data.table import read_table
from robolearn.data.trim import read_tasks
from robolearn.data.video import decode
from robolearn.errors import suggestion

_OF_EPISODES = ("episode_index", "tasks", "length", "dataset_from_index", "dataset_to_index", "data/chunk_index", "data/file_index")
_OF_VIDEOS = ("chunk_index", "file_index", "from_timestamp")
_DRIFT = 2
"""Error of a long video's time stamps that is allowed, in pictures."""


@dataclass(frozen=True, kw_only=True)
class EpisodeRow:
    """The entry of an episode in the table of episodes.

    Attributes:
        index: number of the episode.
        start, stop: its rows in `Dataset.column`.
        task: in words.
        source: index into `Dataset.sources`.
        layout: index into `Dataset.layouts`: the columns of its robot.
        success: None if unknown.
        file: the file with its rows.
        videos: for each camera, the file with its pictures and the number of its first one there.
    """

    index: int
    start: int
    stop: int
    task: str
    source: int
    layout: int
    success: bool | None
    file: Path
    videos: Mapping[str, tuple[Path, int]]

    def __len__(self) -> int:
        """T."""
        return self.stop - self.start


class Dataset:
    """A dataset on disk; reading changes nothing in it except the folder `.cache` (see `robolearn.data.cache`).

    Attributes:
        path: its folder.
        info: its info.json.
        fps: rows per second [Hz].
        columns: all columns, without marks and the format's own columns; as wide as the widest robot's.
        layouts: the columns of each robot.
        sources: what the episodes come from.
        statistics: statistics of each robot and control mode, over the known rows.
        cameras: names of the columns that hold pictures; those in `unread` are not colour videos and are left out.
    """

    def __init__(self, path: str | Path) -> None:
        """Open.

        Raises:
            DataError: not a dataset, or a broken one; says what to type.
        """
        self.path = Path(path)
        self.info = read_info(self.path)
        self.fps = self.info.fps
        self.columns: tuple[Column, ...] = layout_of(self.info.features, "").columns
        self.layouts: tuple[Layout, ...] = tuple(self.info.layouts)
        self.sources: tuple[Source, ...] = tuple(source for source, _ in self.info.sources)
        self.statistics: tuple[GroupStatistics, ...] = tuple(self.info.statistics)
        self.cameras = tuple(name for name, feature in self.info.features.items() if feature.is_camera)
        self.unread = tuple(name for name in self.cameras if not self.info.features[name].is_video)
        self._mapped: dict[str, np.ndarray] = {}
        self._read: tuple[Path, pa.Table] | None = None

    def __len__(self) -> int:
        """Number of episodes."""
        return self.info.total_episodes

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """All tasks, by number."""
        return tuple(read_tasks(self.path, self.info.total_tasks))

    @cached_property
    def episodes(self) -> tuple[EpisodeRow, ...]:
        """The table of episodes, one row each."""
        files = parquet_files(self.path / "meta" / "episodes")
        cameras = [name for name in self.cameras if name not in self.unread]
        wanted = [*_OF_EPISODES, *(f"videos/{name}/{part}" for name in cameras for part in _OF_VIDEOS)]
        tables = [read_table(file, wanted) for file in files]
        lists = {name: [value for table in tables for value in table[name].to_pylist()] for name in wanted if tables}
        count = self.info.total_episodes
        if count and (lists.get("episode_index", [])[:count] != list(range(count))):
            raise DataError(
                f"{self.path}: meta/episodes does not list the {count} episodes; try: robolearn data repair {self.path} --out NEW"
            )
        rows = [{name: values[index] for name, values in lists.items()} for index in range(count)]
        videos: list[dict[str, tuple[Path, int]]] = [{} for _ in rows]
        for name in cameras:
            for place, found in enumerate(self._videos(name, rows)):
                videos[place][name] = found
        return tuple(self._row(index, row, videos[index]) for index, row in enumerate(rows))

    def _videos(self, name: str, rows: list[dict]) -> Iterator[tuple[Path, int]]:
        """The file of each episode's pictures, and the number of its first one: counted, unless the file holds pictures of no episode."""
        before: dict[tuple[int, int], int] = {}
        for row in rows:
            chunk, file = row[f"videos/{name}/chunk_index"], row[f"videos/{name}/file_index"]
            counted, told = before.get((chunk, file), 0), round(row[f"videos/{name}/from_timestamp"] * self.fps)
            first = counted if abs(told - counted) <= _DRIFT else told
            before[chunk, file] = first + row["length"]
            yield self.path / self.info.video_path.format(video_key=name, chunk_index=chunk, file_index=file), first

    def _row(self, index: int, row: dict, videos: dict[str, tuple[Path, int]]) -> EpisodeRow:
        source = self.info.episode_sources[index]
        file = self.info.data_path.format(chunk_index=row["data/chunk_index"], file_index=row["data/file_index"])
        return EpisodeRow(
            index=index,
            start=row["dataset_from_index"],
            stop=row["dataset_to_index"],
            task=(row["tasks"] or [""])[0],
            source=source,
            layout=self.info.sources[source][1],
            success=self.info.success[index],
            file=self.path / file,
            videos=videos,
        )

    def episode(self, index: int, pictures: bool = True) -> Episode:
        """One episode in memory, with the columns of its robot at their own widths; columns without one known row are left out.

        Args:
            index: number of the episode.
            pictures: whether cameras are read, (T, H, W, 3) uint8 each.

        Raises:
            DataError: no such episode, or its file cannot be read.
        """
        if not -len(self) <= index < len(self):
            raise DataError(f"{self.path} has no episode {index}; it has {len(self)}, counted from 0")
        row = self.episodes[index]
        table = self._table(row)
        first = table["index"][0].as_py() if len(table) else 0
        part = table.slice(max(row.start - first, 0), len(row))
        if row.start < first or len(part) != len(row):
            raise DataError(f"{row.file} lacks rows of episode {row.index}; try: robolearn data repair {self.path} --out NEW")

        def frames(name: str) -> np.ndarray:
            file, start = row.videos[name]
            return np.stack(list(decode(file, start, len(row))))

        columns = episode_columns(part, self.layouts[row.layout], self.info.features, row.file, frames if pictures else None)
        return Episode(columns=columns, task=row.task, source=self.sources[row.source], success=row.success)

    def column(self, name: str) -> np.ndarray:
        """A column or a mark of all frames, (total frames, ...), mapped into memory; an episode's rows are `row.start` to `row.stop`.

        Raises:
            DataError: no such column, it holds no numbers, or a file cannot be read.
        """
        self.load([name])
        return self._mapped[name]

    def load(self, names: list[str]) -> None:
        """Decode several columns at once, reading each file once; `column` then returns them at once.

        Raises:
            DataError: as `column`.
        """
        for name in names:
            feature = self.info.features.get(name)
            numeric = [key for key, item in self.info.features.items() if item.is_video or item.dtype in DTYPES[:-1]]
            if feature is None or name not in numeric:
                what = "has no column" if feature is None else "holds no numbers in"
                raise DataError(f"{self.path} {what} {name!r}{suggestion(name, numeric)}; valid: {', '.join(numeric)}")
        missing = [name for name in names if name not in self._mapped]
        if missing:
            self._mapped |= mapped(self.path, self.info, missing, self._frames)

    def _frames(self, name: str) -> Iterator[np.ndarray]:
        """The pictures of a camera in all rows, in order; each file is read once."""
        runs: list[tuple[Path, int, int]] = []
        for row in self.episodes:
            file, start = row.videos[name]
            if runs and runs[-1][0] == file and sum(runs[-1][1:]) == start:
                runs[-1] = (file, runs[-1][1], runs[-1][2] + len(row))
            else:
                runs.append((file, start, len(row)))
        for run in runs:
            yield from decode(*run)

    def _table(self, row: EpisodeRow) -> pa.Table:
        """The file that holds an episode; the last one is cached, since episodes are mostly read in order."""
        if self._read is None or self._read[0] != row.file:
            self._read = row.file, read_table(row.file)
        return self._read[1]
