"""Text files of motions: read whole, and numbers that are none are told with their place."""

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
    """Rows of so many numbers each as the first has, (T, N).

    Args:
        rows: words of each.
        first: line of the first.
        where: file that they are in.

    Raises:
        UserError: a row is longer or shorter, as where a file ends within one, or has what is no number.
    """
    for place, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise UserError(f"{where}: frame {place + 1} has {len(row)} numbers and the first {len(rows[0])}; is the file cut off?")
    try:
        return np.array(rows, float).reshape(len(rows), -1)
    except ValueError as error:
        raise UserError(f"{where}: its frames from line {first} on are not all numbers: {error}") from error


def numbers(words: Sequence[str], where: str, count: int) -> np.ndarray:
    """So many finite numbers.

    Raises:
        UserError: there are others.
    """
    try:
        found = np.array([float(word) for word in words])
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    if len(found) != count or not np.isfinite(found).all():
        raise UserError(f"{where}: {count} finite numbers should stand here, not {' '.join(words)[:60]!r}")
    return found
