"""Recovers rows of a Parquet file that was never closed.

A Parquet file's directory is at its end and is written when it is closed; after a `kill -9` it is missing and no library opens the
file. The rows still exist: a row group is written when its rows are complete (lerobot writes one for every episode), as pages that each
begin with a header with their length. So the pages are read from the beginning, assigned to the columns in their order, and a directory is
made for the complete row groups.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from robolearn.data import thrift
from robolearn.data.info import Feature
from robolearn.data.thrift import BINARY, I32, I64, LIST, STRUCT, Struct

MAGIC = b"PAR1"
_DATA, _DICTIONARY = 0, 2


@dataclass(frozen=True)
class _Page:
    """One page: its start, its length with and without compression, and its number of values (0 for a dictionary)."""

    start: int
    stop: int
    unpacked: int
    dictionary: bool
    values: int


def salvage(file: Path, features: Mapping[str, Feature]) -> tuple[pa.Table, str]:
    """The complete row groups of a file without an end.

    Args:
        file: as its writer left it.
        features: the columns of the dataset, in their order.

    Returns: The rows, None if nothing can be saved; a text of what was done.
    """
    stored = {name: feature for name, feature in features.items() if feature.dtype != "video"}
    odd = [name for name, feature in stored.items() if _arrow(feature) is None]
    empty = pa.table({})
    if odd:
        return empty, f"its rows cannot be saved, since the column {odd[0]} has no fixed width"
    data = file.read_bytes()
    if data[:4] != MAGIC:
        return empty, "it is not a Parquet file"
    pages = _pages(data)
    widths = [max(int(np.prod(feature.shape)), 1) for feature in stored.values()]
    groups = _groups(pages, widths)
    if not groups:
        return empty, f"none of the row groups in its {len(data)} bytes is complete"
    try:
        table = pq.read_table(io.BytesIO(_closed(data, groups, stored)))
    except (OSError, pa.ArrowException) as error:
        return empty, f"its rows cannot be read: {' '.join(str(error).split())[:120]}"
    return table, f"{len(table)} rows of {len(groups)} complete row groups were read"


def _arrow(feature: Feature) -> pa.DataType | None:
    """The type of a column on disk; None for one without a fixed width."""
    try:
        kind: pa.DataType = pa.string() if feature.dtype == "string" else pa.from_numpy_dtype(np.dtype(feature.dtype))
    except (TypeError, pa.ArrowException):
        return None
    if feature.shape not in ((1,), ()):
        for size in reversed(feature.shape):
            kind = pa.list_(kind, size)
    return kind


def _pages(data: bytes) -> list[_Page]:
    """All pages from the beginning, as far as they are whole."""
    pages: list[_Page] = []
    at = len(MAGIC)
    view = memoryview(data)
    while at < len(data):
        reader = thrift.Reader(view, at)
        try:
            header = reader.struct()
            if 1 not in header and header[3][0] == STRUCT:  # metadata that older writers put after a column's pages
                at = reader.at
                continue
            kind, unpacked, packed = (int(header[field][1]) for field in (1, 2, 3))
            values = int(header[5][1][1][1]) if kind == _DATA else 0
        except (ValueError, IndexError, KeyError, TypeError):
            break
        stop = reader.at + packed
        if kind not in (_DATA, _DICTIONARY) or packed < 0 or stop > len(data):
            break
        pages.append(_Page(at, stop, unpacked + reader.at - at, kind == _DICTIONARY, values))
        at = stop
    return pages


def _groups(pages: list[_Page], widths: list[int]) -> list[tuple[int, list[list[_Page]]]]:
    """The complete row groups: number of rows, and the pages of each column."""
    groups: list[tuple[int, list[list[_Page]]]] = []
    at = 0
    while at < len(pages):
        fitting = (_group(pages, at, widths, rows) for rows in _rows(pages, at, widths[0]))
        found = next((group for group in fitting if group is not None), None)
        if found is None:
            break
        groups.append(found)
        at += sum(map(len, found[1]))
    return groups


def _rows(pages: list[_Page], at: int, width: int) -> list[int]:
    """Possible numbers of rows of the first column: only the values of its pages show where it ends."""
    counts, total = [], 0
    for number, page in enumerate(pages[at:]):
        if page.dictionary and number:
            break
        total += page.values
        if not page.dictionary and total % width == 0:
            counts.append(total // width)
    return counts


def _group(pages: list[_Page], at: int, widths: list[int], rows: int) -> tuple[int, list[list[_Page]]] | None:
    """A row group with this many rows that begins here; None if the pages contradict it."""
    columns: list[list[_Page]] = []
    for width in widths:
        column: list[_Page] = []
        while sum(page.values for page in column) < rows * width:
            if at >= len(pages) or (pages[at].dictionary and column):
                return None
            column.append(pages[at])
            at += 1
        if sum(page.values for page in column) != rows * width:
            return None
        columns.append(column)
    return rows, columns


def _closed(data: bytes, groups: list[tuple[int, list[list[_Page]]]], features: Mapping[str, Feature]) -> bytes:
    """The file with a directory of these row groups, modelled on that of a file with the same columns."""
    types: dict[str, Any] = {name: _arrow(feature) for name, feature in features.items()}
    model = io.BytesIO()
    with pq.ParquetWriter(model, pa.schema(types), compression="snappy") as writer:
        row = {name: pa.array([_zero(feature)], types[name]) for name, feature in features.items()}
        writer.write_table(pa.table(row))
    raw = model.getvalue()
    size = int.from_bytes(raw[-8:-4], "little")
    footer = thrift.Reader(raw[-8 - size : -8]).struct()
    chunks: list[Struct] = [chunk[3][1] for chunk in footer[4][1][1][0][1][1][1]]
    made = [_row_group(rows, columns, chunks) for rows, columns in groups]
    footer[3] = (I64, sum(rows for rows, _ in groups))
    footer[4] = (LIST, (STRUCT, made))
    end = groups[-1][1][-1][-1].stop
    text = thrift.write(footer)
    return data[:end] + text + len(text).to_bytes(4, "little") + MAGIC


def _row_group(rows: int, columns: list[list[_Page]], chunks: list[Struct]) -> Struct:
    made: list[Struct] = []
    for pages, chunk in zip(columns, chunks, strict=True):
        first = next(page for page in pages if not page.dictionary)
        about: Struct = {
            1: chunk[1],
            2: (LIST, (I32, [0, 3, 8])),  # plain, run lengths, dictionary
            3: (LIST, (BINARY, chunk[3][1][1])),
            4: chunk[4],
            5: (I64, sum(page.values for page in pages)),
            6: (I64, sum(page.unpacked for page in pages)),
            7: (I64, pages[-1].stop - pages[0].start),
            9: (I64, first.start),
        }
        if pages[0].dictionary:
            about[11] = (I64, pages[0].start)
        made.append({2: (I64, 0), 3: (STRUCT, about)})
    total = sum(page.unpacked for pages in columns for page in pages)
    return {1: (LIST, (STRUCT, made)), 2: (I64, total), 3: (I64, rows)}


def _zero(feature: Feature) -> object:
    """Any value of a column."""
    value: object = "" if feature.dtype == "string" else np.zeros((), feature.dtype).item()
    if feature.shape not in ((1,), ()):
        for size in reversed(feature.shape):
            value = [value] * size
    return value
