"""The files of a dataset, changed in an order in which a reader finds the dataset whole at any moment.

lerobot reads every Parquet file that it finds and takes counts from info.json. So new files are renamed to their places in this order:

    1. videos/...            files that nobody names yet
    2. data/...              rows that nobody counts yet
    3. meta/tasks.parquet    tasks that nobody names yet
    4. meta/stats.json
    5. meta/episodes/...     episodes beyond the count
    6. meta/robolearn.json   our table
    7. meta/info.json        the count

After each step the dataset can be opened, with the episodes that info.json counts. lerobot would read a temporary file beside the Parquet
files as one of them, so all files are first written in the folder `.writing`. Small files are replaced by ones with the old and new rows; a
file that has grown large is followed by a new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from policies.files import WriteError, make_folder, reason, write_text
from robolearn.data.columns import DataError
from robolearn.data.info import EPISODES_PATH, INFO, OURS, Info
from robolearn.data.statistics import Statistics
from robolearn.data.table import write_table

GROWING_BYTES = 4 << 20
"""A file with this many bytes of rows does not grow any more."""
CALL_BYTES = 32 << 20
"""Episodes of one call with more bytes than this are written to several files."""
STAGING = ".writing"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
Place = tuple[int, int]
"""Number of a chunk (a folder) and of a file in it."""


def next_place(place: Place, chunk_files: int) -> Place:
    """The place of the next file."""
    chunk, file = place
    return (chunk, file + 1) if file + 1 < chunk_files else (chunk + 1, 0)


def place_of(path: Path) -> Place | None:
    """The place of a file `chunk-000/file-000.parquet`; None if it has another name."""
    try:
        return int(path.parent.name.removeprefix("chunk-")), int(path.stem.removeprefix("file-"))
    except ValueError:
        return None


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files of a folder's chunks in the order of their rows; by name, as in lerobot."""
    return sorted(folder.glob("*/*.parquet"))


class Growing:
    """The file that rows are added to."""

    def __init__(self, path: Callable[[Place], Path], place: Place, chunk_files: int, grouped: bool) -> None:
        """Begin with an empty file.

        Args:
            path: returns the path of the file at a place.
            place: place of the first file.
            chunk_files: files per chunk.
            grouped: whether each table becomes its own row group, which can be read separately.
        """
        self._path, self._chunk_files, self._grouped = path, chunk_files, grouped
        self.place = place
        self._tables: list[pa.Table] = []
        self._bytes = 0

    def place_for_more(self) -> Place:
        """The place of the next rows."""
        return next_place(self.place, self._chunk_files) if self._bytes >= GROWING_BYTES else self.place

    def write(self, stage: Path, tables: list[pa.Table]) -> Callable[[], None]:
        """Write the file with the added rows; calling the returned function moves it to its place.

        Args:
            stage: path of the temporary file.
            tables: one table per episode.
        """
        place = self.place_for_more()
        whole = [*(self._tables if place == self.place else []), *tables]
        table = pa.concat_tables(whole)
        write_table(table, stage, [len(part) for part in whole] if self._grouped else [len(table)])

        def take_place() -> None:
            move(stage, self._path(place))

        return take_place

    def keep(self, tables: list[pa.Table]) -> None:
        """Keep the rows that `write` wrote, once they are counted."""
        place = self.place_for_more()
        if place != self.place:
            self._tables, self._bytes, self.place = [], 0, place
        self._tables += tables
        self._bytes += sum(table.nbytes for table in tables)


class Store:
    """The folder of a dataset, held by one writer at a time."""

    def __init__(self, path: Path) -> None:
        """Lock a folder.

        Raises:
            DataError: another writer has locked it.
            WriteError: it cannot be written.
        """
        self.path, self.stage = path, path / STAGING
        make_folder(self.stage)
        self._lock = os.open(self.stage, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise DataError(f"{path} is being written by another program; stop that first") from error
        for left in self.stage.iterdir():  # left by a killed writer
            left.unlink()

    def release(self) -> None:
        """Unlock the folder."""
        shutil.rmtree(self.stage, ignore_errors=True)
        os.close(self._lock)

    def commit(
        self,
        info: Info,
        tasks: list[str] | None,
        stats: dict[str, Statistics] | None,
        data: _Rows | None = None,
        episodes: _Rows | None = None,
        videos: Sequence[tuple[Path, Path]] = (),
    ) -> None:
        """Write everything new, and the count last.

        Args:
            info: the new info.
            tasks: all tasks; None if they have not changed.
            stats: statistics of the dataset.
            data: the file of rows and the rows added to it.
            episodes: the same for the table of episodes.
            videos: files in the staging folder, and their places.

        Raises:
            WriteError: writing failed; the dataset is unchanged.
        """
        moves: list[Callable[[], None]] = [partial(move, stage, place) for stage, place in videos]
        try:
            if data is not None:
                moves.append(data[0].write(self.stage / "data.parquet", data[1]))
            if tasks is not None:
                write_table(tasks_table(tasks), self.stage / "tasks.parquet", [len(tasks)])
                moves.append(lambda: move(self.stage / "tasks.parquet", self.path / TASKS))
            if stats is not None:
                moves.append(self._text(STATS, json.dumps(stats_json(stats), indent=1, allow_nan=False)))
            if episodes is not None:
                moves.append(episodes[0].write(self.stage / "episodes.parquet", episodes[1]))
            moves.append(self._text(OURS, json.dumps(info.ours(), indent=1, allow_nan=False)))
            moves.append(self._text(INFO, info.to_json()))
            for move_one in moves:
                move_one()
        except OSError as error:
            raise WriteError(self.path, reason(error), error.errno) from error

    def _text(self, name: str, text: str) -> Callable[[], None]:
        stage = self.stage / name.rpartition("/")[2]
        write_text(stage, text)
        return lambda: move(stage, self.path / name)


_Rows = tuple[Growing, list[pa.Table]]


def move(stage: Path, place: Path) -> None:
    """Move a written file to its place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    stage.replace(place)


def stats_json(stats: dict[str, Statistics]) -> dict[str, dict[str, list[float]]]:
    """Statistics as JSON values, as lerobot writes them."""
    return {name: {key: value.tolist() for key, value in item.items()} for name, item in stats.items()}


def read_stats(path: Path) -> dict[str, Statistics]:
    """The statistics of a dataset; empty if there are none."""
    with contextlib.suppress(FileNotFoundError):
        raw = json.loads((path / STATS).read_text(encoding="utf-8"))
        return {name: {key: np.array(value) for key, value in item.items()} for name, item in raw.items()}
    return {}


def tasks_table(tasks: list[str]) -> pa.Table:
    """The table of tasks; lerobot reads it with pandas and expects the task as the index, which pandas reads from the schema."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})

    def about(name: str | None, kind: str, numpy: str, metadata: dict[str, str] | None = None) -> dict[str, object]:
        return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": metadata}

    pandas = {
        "index_columns": ["task"],
        "column_indexes": [about(None, "unicode", "object", {"encoding": "UTF-8"})],
        "columns": [about("task_index", "int64", "int64"), about("task", "unicode", "object")],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def episodes_path(root: Path) -> Callable[[Place], Path]:
    """The path of a table of episodes."""
    return lambda place: root / EPISODES_PATH.format(chunk_index=place[0], file_index=place[1])


def data_path(root: Path, pattern: str) -> Callable[[Place], Path]:
    """The path of a file of rows."""
    return lambda place: root / pattern.format(chunk_index=place[0], file_index=place[1])
