"""Cuts a dataset back to what its info.json counts, before a writer continues it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from policies.files import reason
from robolearn.data.columns import VIDEO, DataError
from robolearn.data.info import Info
from robolearn.data.statistics import QUANTILES, Statistics, aggregate
from robolearn.data.store import TASKS, Store, move, parquet_files, place_of, read_stats
from robolearn.data.table import read_table, write_table


def trim(store: Store, info: Info) -> None:
    """Remove rows and episodes that are not counted; rows first, so that lerobot finds the counted ones at every moment.

    Raises:
        DataError: a file cannot be read, or there are fewer rows than counted.
    """
    _trim_videos(store.path, info)
    for folder, count in (("data", info.total_frames), ("meta/episodes", info.total_episodes)):
        _trim(store, parquet_files(store.path / folder), count, folder)


def _trim(store: Store, files: list[Path], count: int, folder: str) -> None:
    left = count
    for file in files:
        metadata = _metadata(file)
        if left == 0:
            file.unlink()
        elif metadata.num_rows > left:
            groups: list[int] = []
            for index in range(metadata.num_row_groups):
                groups.append(min(metadata.row_group(index).num_rows, left - sum(groups)))
            stage = store.stage / "trimmed.parquet"
            write_table(read_table(file).slice(0, left), stage, [rows for rows in groups if rows])
            move(stage, file)
        left = max(left - metadata.num_rows, 0)
    if left:
        raise DataError(
            f"{store.path / folder} has {left} fewer rows than info.json counts; try: robolearn data repair {store.path} --out NEW"
        )


def _trim_videos(path: Path, info: Info) -> None:
    """Remove the videos of uncounted episodes."""
    cameras = [name for name, feature in info.features.items() if feature.dtype == VIDEO]
    tables = [read_table(file) for file in parquet_files(path / "meta/episodes")] if cameras else []
    for name in cameras:
        pairs = [[value for table in tables for value in table[f"videos/{name}/{part}_index"].to_pylist()] for part in ("chunk", "file")]
        named = set(list(zip(*pairs, strict=True))[: info.total_episodes])
        for file in (path / "videos" / name).glob("*/*.mp4"):
            if place_of(file) not in named:
                file.unlink()


def _metadata(file: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read ({reason(error)}); try: robolearn data repair DATASET --out NEW") from error


def read_tasks(path: Path, count: int) -> list[str]:
    """The first `count` tasks of a dataset, in the order of their numbers.

    Raises:
        DataError: there are fewer.
    """
    if not count:
        return []
    table = read_table(path / TASKS)
    name = next((name for name in table.column_names if name != "task_index"), None)
    if name is None or "task_index" not in table.column_names or len(table) < count:
        raise DataError(
            f"{path / TASKS} does not hold the {count} tasks that info.json counts; try: robolearn data repair {path} --out NEW"
        )
    pairs = sorted(zip(table["task_index"].to_pylist(), table[name].to_pylist(), strict=True))
    return [str(task) for _, task in pairs[:count]]


def counted_statistics(path: Path, info: Info) -> dict[str, Statistics]:
    """The statistics of the counted episodes: those on disk, or new ones if those include other episodes."""
    found = read_stats(path)
    if "index" in found and int(found["index"]["count"][0]) == info.total_frames:
        return found
    parts = [read_table(file) for file in parquet_files(path / "meta/episodes")]
    if not parts:
        return {}
    table = pa.concat_tables(parts).slice(0, info.total_episodes)
    stats: dict[str, Statistics] = {}
    for name in info.features:
        keys = [key for key in ("min", "max", "mean", "std", "count", *QUANTILES) if f"stats/{name}/{key}" in table.column_names]
        if "count" in keys:
            rows = {key: table[f"stats/{name}/{key}"].to_pylist() for key in keys}
            stats[name] = aggregate([{key: np.array(rows[key][index]) for key in keys} for index in range(len(table))])
    return stats
