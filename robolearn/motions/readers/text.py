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
