"""Converts rows between numpy and Arrow, as the files hold them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from policies.files import whole
from robolearn.data.columns import DataError
from robolearn.data.info import Feature


def to_table(columns: Mapping[str, np.ndarray]) -> pa.Table:
    """Rows of several columns as an Arrow table.

    Args:
        columns: each (T, ...); vectors become lists of fixed size, and a column of width 1 holds plain values, as lerobot writes it.
    """
    return pa.table({name: _array(rows) for name, rows in columns.items()})


def _array(rows: np.ndarray) -> pa.Array:
    if rows.dtype.kind in "OU":
        return pa.array(rows.tolist(), pa.string())
    if rows.ndim == 1 or rows.shape[1:] == (1,):
        return pa.array(np.ascontiguousarray(rows.reshape(-1)))
    array: Any = pa.array(np.ascontiguousarray(rows).reshape(-1))
    for size in reversed(rows.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def to_rows(column: pa.ChunkedArray, feature: Feature) -> np.ndarray:
    """A column of a file (T, ...); (T,) for one of single numbers.

    Raises:
        ValueError: its rows do not have the feature's shape, or values are missing.
    """
    array: Any = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    count = len(array)
    while isinstance(array, pa.ExtensionArray):
        array = array.storage
    while pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        if array.null_count:
            raise ValueError("rows without a value")
        array = array.flatten()
    if array.null_count:
        raise ValueError("rows without a value")
    if feature.dtype == "string":
        return np.array(array.to_pylist(), dtype=object)
    values = array.to_numpy(zero_copy_only=False).astype(feature.dtype, copy=False)
    return values if feature.shape in ((1,), ()) else values.reshape(count, *feature.shape)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file.

    Raises:
        DataError: it does not exist, is not a whole Parquet file, or lacks one of `columns`.
    """
    try:
        table = pq.ParquetFile(path).read(columns)
    except (OSError, pa.ArrowException, KeyError) as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
        raise DataError(f"{path} cannot be read: {why[:200]}; save what is left with: robolearn data repair DATASET --out NEW") from error
    if missing := [name for name in columns or () if name not in table.column_names]:
        raise DataError(f"{path} has no column {', '.join(missing)}; save what is left with: robolearn data repair DATASET --out NEW")
    return table


def write_table(table: pa.Table, path: Path, groups: list[int]) -> None:
    """Write a Parquet file whole or not at all.

    Args:
        table: all rows.
        path: of the file.
        groups: number of rows of each row group.
    """
    floating = {name for name in table.column_names if "float" in str(table.schema.field(name).type)}
    dictionary: Any = [name for name in table.column_names if name not in floating]
    with whole(path) as temporary, pq.ParquetWriter(temporary, table.schema, compression="snappy", use_dictionary=dictionary) as writer:
        start = 0
        for count in groups:
            writer.write_table(table.slice(start, count), row_group_size=max(count, 1))
            start += count
