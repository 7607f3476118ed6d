"""Reads text files of motions whole, and reports the place of invalid numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from policies.files import reason
from robolearn.errors import UserError


def text_of(path: Path) -> str:
    """The text of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason(error)}") from error


def table(rows: Sequence[Sequence[str]], first: int, where: Path) -> np.ndarray:
    """Rows with as many numbers as the first, (T, N).

    Args:
        rows: words of each row.
        first: line number of the first row.
        where: the file.

    Raises:
        UserError: a row is longer or shorter, e.g. at the end of a truncated file, or has something that is not a number.
    """
    for place, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise UserError(f"{where}: frame {place + 1} has {len(row)} numbers, but the first has {len(rows[0])}; is the file truncated?")
    try:
        return np.array(rows, float).reshape(len(rows), -1)
    except ValueError as error:
        raise UserError(f"{where}: its frames from line {first} are not all numbers: {error}") from error


def numbers(words: Sequence[str], where: str, count: int) -> np.ndarray:
    """A given number of finite numbers.

    Raises:
        UserError: their number differs, or they are not finite numbers.
    """
    try:
        found = np.array([float(word) for word in words])
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    if len(found) != count or not np.isfinite(found).all():
        raise UserError(f"{where}: {count} finite numbers are expected here, not {' '.join(words)[:60]!r}")
    return found
