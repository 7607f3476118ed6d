"""Columns of a dataset, decoded once into files that are mapped into memory.

A training needs random access, which compressed Parquet does not give. So each requested column is decoded once into `.cache/robolearn` of
the dataset (or into the user's cache if the dataset's folder is not writable) and mapped from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from policies.files import WriteError, whole
from robolearn.data.columns import DataError
from robolearn.data.info import Feature, Info
from robolearn.data.store import parquet_files
from robolearn.data.table import read_table, to_rows

FOLDER = ".cache/robolearn"
Frames = Callable[[str], Iterator[np.ndarray]]


def mapped(path: Path, info: Info, names: Sequence[str], frames: Frames) -> dict[str, np.ndarray]:
    """Columns of all rows that info.json counts, (total frames, ...) each, read-only and mapped into memory.

    Args:
        path: of the dataset.
        info: its info.json.
        names: of the columns.
        frames: yields all pictures of a camera in order.

    Raises:
        DataError: a file cannot be read, or does not hold what info.json says.
    """
    stamp = _stamp(path, info)
    folder = next((place for place in _places(path, stamp) if all((place / _file(name)).is_file() for name in names)), None)
    if folder is None:
        folder = _decode(path, info, names, stamp, frames)
    return {name: np.load(folder / _file(name), mmap_mode="r") for name in names}


def _file(name: str) -> str:
    return f"{name}.npy"


def _places(path: Path, stamp: str) -> list[Path]:
    """Folders for decoded columns: beside the data, or in the user's cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return [
        path / FOLDER / stamp,
        home / "robolearn" / "datasets" / name / stamp,
        Path(tempfile.gettempdir()) / f"robolearn-{name}" / stamp,
    ]


def _stamp(path: Path, info: Info) -> str:
    """A key that changes when the rows do."""
    text = f"{info.total_frames} {info.total_episodes}"
    for file in parquet_files(path / "data"):
        about = file.stat()
        text += f"\n{file.name} {about.st_size} {about.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _decode(path: Path, info: Info, names: Sequence[str], stamp: str, frames: Frames) -> Path:
    failed: WriteError | None = None
    for folder in _places(path, stamp):
        missing = [name for name in names if not (folder / _file(name)).is_file()]
        try:
            with contextlib.ExitStack() as stack:
                files = {name: stack.enter_context(whole(folder / _file(name))) for name in missing}
                cameras = {name: file for name, file in files.items() if info.features[name].is_camera}
                _fill(path, info, {name: file for name, file in files.items() if name not in cameras})
                for name, file in cameras.items():
                    array = _array(file, info.features[name], info.total_frames)
                    for row, picture in enumerate(frames(name)):
                        array[row] = picture
        except WriteError as error:
            failed = error
            continue
        for old in folder.parent.iterdir():  # for rows that no longer exist
            if old.name != stamp:
                shutil.rmtree(old, ignore_errors=True)
        return folder
    raise failed or DataError(f"{path}: there is no folder for decoded columns")


def _fill(path: Path, info: Info, files: dict[str, Path]) -> None:
    """Decode columns of all files into arrays on disk."""
    if not files:
        return
    arrays = {name: _array(file, info.features[name], info.total_frames) for name, file in files.items()}
    start = 0
    for file in parquet_files(path / "data"):
        count = info.total_frames - start
        if count <= 0:
            break
        table = read_table(file, [*files, "index"])
        rows = table["index"].to_numpy()[:count]
        if not np.array_equal(rows, np.arange(start, start + len(rows))):
            raise DataError(f"{file}: its first row is not number {start}; try: robolearn data repair {path} --out NEW")
        for name, array in arrays.items():
            try:
                array[start : start + len(rows)] = to_rows(table[name], info.features[name])[:count]
            except (ValueError, pa.ArrowException) as error:
                raise DataError(f"{file}: column {name} does not hold what info.json says: {error}") from error
        start += len(rows)
    if start < info.total_frames:
        raise DataError(
            f"{path}: {info.total_frames - start} rows fewer than info.json counts; try: robolearn data repair {path} --out NEW"
        )
    for array in arrays.values():
        if isinstance(array, np.memmap):
            array.flush()


def _array(file: Path, feature: Feature, count: int) -> np.ndarray:
    dtype = np.dtype(np.uint8 if feature.is_camera else feature.dtype)
    shape = (count,) if feature.shape in ((1,), ()) else (count, *feature.shape)
    if count == 0:
        empty = np.zeros(shape, dtype=dtype)
        with file.open("wb") as stream:
            np.save(stream, empty)
        return empty
    return np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
