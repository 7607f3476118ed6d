"""Saves what is left of a broken dataset into a new one; the broken one stays as it is.

Our own writer leaves nothing to repair. Others do: a killed recording leaves Parquet files without an end, missing tables of episodes, and
counts of rows that do not exist. Only the rows matter here: an episode is saved if all its rows exist, whatever the other files say.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from policies.errors import UserError
from robolearn.data.columns import DTYPES, VIDEO, DataError
from robolearn.data.info import Feature, Info, Layout, layout_of, read_info, take_table
from robolearn.data.merge import Progress
from robolearn.data.rows import episode_columns
from robolearn.data.salvage import salvage
from robolearn.data.source import Episode, Source
from robolearn.data.store import TASKS, parquet_files
from robolearn.data.table import read_table, to_rows
from robolearn.data.writer import DatasetWriter

_NUMBERS = ("frame_index", "episode_index", "task_index")


@dataclass
class Repaired:
    """The result of a repair.

    Attributes:
        saved: number of episodes in the new dataset.
        lost: what could not be saved and why, one line each.
    """

    saved: int = 0
    lost: list[str] = field(default_factory=list)


def repair(
    path: str | Path, out: str | Path, fps: int | None = None, robot: str | None = None, progress: Progress | None = None
) -> Repaired:
    """Save every complete episode.

    Args:
        path: the broken dataset.
        out: a folder that does not exist yet.
        fps: rows per second [Hz] if info.json is lost; None takes it from the time stamps.
        robot: the robot's name if info.json is lost.
        progress: called after every episode.

    Raises:
        DataError: there is no file of rows, or `out` exists.
    """
    path, found = Path(path), Repaired()
    files = parquet_files(path / "data")
    if not files:
        raise DataError(f"{path} holds no rows: there is no file in {path / 'data'}/chunk-*")
    info = _info(path, files, fps, robot, found)
    for name, feature in info.features.items():
        if feature.is_camera:
            found.lost.append(f"camera {name}: pictures are not copied")
    tasks, lengths = _tasks(path, found), _lengths(path)
    rows_alone = [tuple(column for column in layout.columns if column.dtype != VIDEO) for layout in info.layouts]
    layouts = [Layout(layout.robot or robot or "unknown", columns) for layout, columns in zip(info.layouts, rows_alone, strict=True)]
    seen: set[int] = set()
    with DatasetWriter(out, layouts, info.fps) as writer:
        for file in files:
            for old, task, rows in _episodes(file, info, lengths, found):
                if old in seen:
                    found.lost.append(f"{file.name}: episode {old} occurs twice; the first was saved")
                    continue
                source, layout, success = _about(info, old)
                try:
                    columns = episode_columns(rows, layouts[layout], info.features, file)
                    words = tasks.get(task, f"task {task}")
                    writer.add_as(layout, [Episode(columns=columns, task=words, source=source, success=success)])
                except DataError as error:
                    found.lost.append(f"{file.name}: episode {old}: {error}")
                    continue
                seen.add(old)
                found.saved += 1
                if progress is not None:
                    progress(1)
    missing = sorted(set(lengths) - seen)
    named = {line.split("episode ", 1)[1].split(":")[0].split(" ")[0] for line in found.lost if "episode " in line}
    found.lost += [f"episode {old}: none of its {lengths[old]} rows are there" for old in missing if str(old) not in named]
    return found


def _info(path: Path, files: list[Path], fps: int | None, robot: str | None, found: Repaired) -> Info:
    """The content of info.json, or what the rows show if it is lost."""
    try:
        return read_info(path)
    except UserError as error:
        found.lost.append(f"meta/info.json: {error}")
    for file in files:
        try:
            table = read_table(file)
        except DataError:
            continue
        features = {name: feature for name in table.column_names if (feature := _feature(table, name)) is not None}
        if fps is None:
            gaps = np.diff(table["timestamp"].to_numpy()[:1000]) if "timestamp" in table.column_names else np.zeros(0)
            gaps = gaps[gaps > 0]
            if not len(gaps):
                raise DataError(f"{path}: the rate is unknown; add --fps HZ")
            fps = max(1, round(1 / float(np.median(gaps))))
        info = Info(fps=fps, features=features, layouts=[layout_of(features, robot or "unknown")], robot_type=robot)
        if take_table(path, info):
            found.lost[-1] += "; sources and columns were taken from meta/robolearn.json"
        return info
    raise DataError(f"{path}: info.json is lost and no file of rows can be read, so the columns are unknown")


def _feature(table: pa.Table, name: str) -> Feature | None:
    """A column from its type in a file and the length of its rows; None for a column of neither numbers nor words."""
    kind, shape = table.schema.field(name).type, ()
    first = table[name][0].as_py() if len(table) else 0
    while isinstance(first, list):
        shape, first = (*shape, len(first)), first[0] if first else 0
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    dtype = {"float": "float32", "double": "float64"}.get(str(kind), str(kind))
    return Feature(dtype=dtype, shape=shape or (1,)) if dtype in DTYPES else None


def _tasks(path: Path, found: Repaired) -> dict[int, str]:
    """The tasks by their numbers."""
    try:
        table = read_table(path / TASKS)
        name = next(name for name in table.column_names if name != "task_index")
        return dict(zip(table["task_index"].to_pylist(), map(str, table[name].to_pylist()), strict=True))
    except (DataError, StopIteration, KeyError):
        found.lost.append(f"{TASKS}: the texts of the tasks are lost; they are named by their numbers")
        return {}


def _lengths(path: Path) -> dict[int, int]:
    """Rows of each episode, as far as the table of episodes states them."""
    lengths: dict[int, int] = {}
    for file in parquet_files(path / "meta" / "episodes"):
        try:
            table = read_table(file, ["episode_index", "length"])
        except DataError:
            continue
        lengths |= dict(zip(table["episode_index"].to_pylist(), table["length"].to_pylist(), strict=True))
    return lengths


def _episodes(file: Path, info: Info, lengths: dict[int, int], found: Repaired) -> Iterator[tuple[int, int, pa.Table]]:
    """For each whole episode in a file: its old number, the number of its task, and its rows."""
    try:
        table = read_table(file)
    except DataError:
        table, why = salvage(file, info.features)
        found.lost.append(f"{file.parent.name}/{file.name}: has no end; {why}")
    if not len(table):
        return
    if missing := [name for name in _NUMBERS if name not in table.column_names]:
        found.lost.append(f"{file.parent.name}/{file.name}: has no column {', '.join(missing)}")
        return
    frame, episode, task = (to_rows(table[name], Feature(dtype="int64", shape=(1,))) for name in _NUMBERS)
    cuts = [0, *(np.flatnonzero((np.diff(episode) != 0) | (np.diff(frame) != 1)) + 1).tolist(), len(table)]
    for start, stop in itertools.pairwise(cuts):
        old, count = int(episode[start]), stop - start
        if frame[start] != 0 or lengths.get(old, count) != count:
            found.lost.append(f"{file.parent.name}/{file.name}: episode {old}: {count} rows of {lengths.get(old, 'an unknown number')}")
        else:
            yield old, int(task[start]), table.slice(start, count)


def _about(info: Info, old: int) -> tuple[Source, int, bool | None]:
    """The source of an episode, its layout, and whether it succeeded."""
    if old < len(info.episode_sources):
        source, layout = info.sources[info.episode_sources[old]]
        return source, layout, info.success[old]
    return Source(kind="import", robot=info.layouts[0].robot or "unknown", note="saved by repair"), 0, None
