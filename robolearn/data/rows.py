"""Converts between a source's episode and stored rows: checked, cast, and with marks for missing values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from robolearn.data.columns import ACTION, DONE, OF_THE_FORMAT, Column, DataError, mark_of
from robolearn.data.info import Feature, Layout
from robolearn.data.source import Episode
from robolearn.data.table import to_rows
from robolearn.data.video import check_frames
from robolearn.errors import suggestion


def stored_rows(
    episode: Episode, layout: Layout, features: Mapping[str, Feature], where: str, copied: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """The rows of an episode for every column of the dataset except the format's own.

    Args:
        episode: of T steps.
        layout: the columns of its robot.
        features: the columns of the dataset, which may be wider than the robot's.
        where: name of the episode in messages.
        copied: cameras whose pictures are known though the episode does not hold them.

    Returns: Each feature except cameras, (T, ...), including marks.

    Raises:
        DataError: names the column, what is wrong, and what is valid.
    """
    lengths = {name: len(rows) for name, rows in episode.columns.items()}
    count = max(lengths.values(), default=0)
    if count == 0:
        raise DataError(f"{where} has no rows")
    odd = {name: length for name, length in lengths.items() if length != count}
    if odd:
        raise DataError(f"{where}: columns of different length: {', '.join(f'{name} {n}' for name, n in odd.items())}, others {count}")
    known = {name for column in layout.columns for name in (column.name, column.mark) if name}
    for name in episode.columns:
        if name not in known:
            raise DataError(
                f"{where}: there is no column {name!r} in this dataset{suggestion(name, known)}; valid: {', '.join(sorted(known))}"
            )
    rows: dict[str, np.ndarray] = {}
    marks = {mark_of(name) for name in features}
    for name, feature in features.items():
        if feature.is_video:
            mark = _camera_mark(name, layout.column(name), episode, count, where, name in copied)
            if mark_of(name) in features:
                rows[mark_of(name)] = mark
            elif not mark.all():
                raise DataError(f"{where} lacks the pictures {name}, which no source may lack")
            continue
        if name in OF_THE_FORMAT or name in marks:
            continue  # a mark is written with its column
        column = layout.column(name)
        given = None if column is None else _given(column, episode, count, where)
        if name == DONE and given is None:
            given = np.arange(count) == count - 1
        if given is None and mark_of(name) not in features:
            raise DataError(f"{where} lacks the column {name}, which no source may lack")
        valid = _mark(column, episode, count, where) if given is not None and column is not None else np.full(count, given is not None)
        rows[name] = _padded(given, valid, feature, count)
        if mark_of(name) in features:
            rows[mark_of(name)] = valid
        _check_finite(rows[name], name, where, mark_of(name) in features)
    return rows


def _camera_mark(name: str, column: Column | None, episode: Episode, count: int, where: str, copied: bool) -> np.ndarray:
    """The mark of a camera (T,), whose pictures are checked."""
    given = episode.columns.get(name)
    if given is not None and column is not None:
        check_frames(np.asarray(given), name, where)
        if np.shape(given)[1:] != column.row_shape:
            raise DataError(f"{where}: {name} has pictures of shape {np.shape(given)[1:]}, but must have {column.row_shape}")
    known = column is not None and (given is not None or copied)
    return _mark(column, episode, count, where) if known and column is not None else np.zeros(count, dtype=bool)


def _given(column: Column, episode: Episode, count: int, where: str) -> np.ndarray | None:
    """The given rows of a column in its shape and dtype; None if they are missing."""
    raw = episode.columns.get(column.name)
    if raw is None:
        return None
    rows = np.asarray(raw)
    if rows.shape == (count,) and column.row_shape == (1,):
        rows = rows[:, None]
    if rows.shape != (count, *column.row_shape):
        names = f" ({', '.join(column.names)})" if column.shape is None else ""
        raise DataError(f"{where}: {column.name} has rows of shape {rows.shape[1:]}, but must have {column.row_shape}{names}")
    if column.dtype == "string":
        return rows.astype(object)
    if rows.dtype.kind not in "fiub" or (rows.dtype.kind == "f" and column.dtype[0] != "f"):
        raise DataError(f"{where}: {column.name} has dtype {rows.dtype}, but must have {column.dtype}")
    stored = rows.astype(column.dtype)
    if column.dtype.lstrip("u").startswith("int") and not np.array_equal(stored, rows):
        raise DataError(f"{where}: {column.name} goes from {rows.min()} to {rows.max()}, which {column.dtype} does not hold")
    return stored


def _mark(column: Column, episode: Episode, count: int, where: str) -> np.ndarray:
    """The rows in which a given column is known, (T,)."""
    raw = episode.columns.get(column.mark) if column.mark else None
    if raw is None:
        return np.ones(count, dtype=bool)
    valid = np.asarray(raw).reshape(len(raw), -1)
    if valid.shape != (count, 1) or valid.dtype != bool:
        raise DataError(f"{where}: {column.mark} must be bool of shape ({count},), is {valid.dtype} of shape {np.asarray(raw).shape}")
    return valid[:, 0]


def _padded(given: np.ndarray | None, valid: np.ndarray, feature: Feature, count: int) -> np.ndarray:
    """Rows as wide as the dataset's column, with zeros beyond the robot's width and in unknown rows."""
    if feature.dtype == "string":
        return np.full(count, "", dtype=object) if given is None else np.where(valid, given.reshape(count), "")
    rows = np.zeros((count, *(feature.shape or (1,))), dtype=feature.dtype)
    if given is not None:
        given = given.reshape(count, -1) if rows.ndim == 2 else given
        rows[:, : given.shape[1]] = np.where(valid.reshape(-1, *[1] * (given.ndim - 1)), given, np.zeros((), given.dtype))
    return rows[:, 0] if rows.shape[1:] == (1,) else rows


def _check_finite(rows: np.ndarray, name: str, where: str, optional: bool) -> None:
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        row = int(np.argwhere(~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1))[0, 0])
        mend = f"give the column {mark_of(name)} (bool) that is False there" if optional else "end the episode before it"
        raise DataError(f"{where}: {name} is not finite in row {row} of {len(rows)}; if a value is missing, {mend}")


def check_joints(episode: Episode, layout: Layout, where: str) -> tuple[str, ...]:
    """Check that the joints of an episode's source are those of the columns, in their order.

    Raises:
        DataError: names the first that differs.
    """
    action = layout.column(ACTION)
    given = episode.source.joint_names
    if action is None or not given:
        return given or (action.names if action is not None else ())
    if given != action.names:
        place = next(
            (i for i, pair in enumerate(zip(given, action.names, strict=False)) if pair[0] != pair[1]), min(len(given), len(action.names))
        )
        theirs, ours = (" ".join(names[place : place + 1]) or "none" for names in (given, action.names))
        raise DataError(f"{where}: its source's joints are not the dataset's: number {place} is {theirs!r} there and {ours!r} here")
    return given


def episode_columns(
    table: pa.Table, layout: Layout, features: Mapping[str, Feature], file: Path, frames: Callable[[str], np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """The columns of one episode at its robot's own widths, with their marks; a column without one known row is left out.

    Args:
        table: the rows of the episode, with all features.
        layout: the columns of its robot.
        features: the columns of the dataset.
        file: the file with the rows, for messages.
        frames: returns the pictures of a camera; None leaves them out.

    Raises:
        DataError: a column does not hold what the features say.
    """

    def rows_of(name: str) -> np.ndarray:
        try:
            return to_rows(table[name], features[name])
        except (ValueError, KeyError, pa.ArrowException) as error:
            raise DataError(f"{file}: column {name} does not hold what info.json says: {error}") from error

    columns: dict[str, np.ndarray] = {}
    for column in layout.columns:
        feature, mark_name = features.get(column.name), mark_of(column.name)
        if feature is None:
            continue
        mark = rows_of(mark_name) if mark_name in features else None
        if mark is not None and not mark.any():
            continue
        if mark is not None and column.mark is not None and not (feature.is_video and frames is None):
            columns[mark_name] = mark
        if feature.is_video:
            columns |= {} if frames is None else {column.name: frames(column.name)}
            continue
        rows = rows_of(column.name)
        if column.shape is None and rows.ndim > 1:
            rows = rows[:, : column.width]
        columns[column.name] = rows[:, 0] if rows.ndim == 2 and column.row_shape == (1,) else rows
    return columns
