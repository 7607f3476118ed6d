"""What strangers' arrays hold: numbers, and how many frames a second they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from robolearn.errors import UserError


def array_of(told: Mapping[str, Any], key: str) -> np.ndarray:
    """Numbers under a key.

    Raises:
        UserError: they are none.
    """
    try:
        return np.asarray(told[key], float)
    except (TypeError, ValueError) as error:
        raise UserError(f"{key} is no array of numbers") from error


def rate_of(told: Mapping[str, Any], keys: Sequence[str], given: float | None) -> float:
    """Frames a second: what was given, or else what the first of `keys` says that is there.

    Raises:
        UserError: none is there, or it is no number above zero.
    """
    if given:
        return given
    found = np.asarray(next((told[key] for key in keys if key in told), ())).reshape(-1)
    try:
        rate = float(found[0]) if len(found) else 0.0
    except (TypeError, ValueError):
        rate = 0.0
    if not np.isfinite(rate) or rate <= 0:
        raise UserError("the rate is not told; give it: --fps 30")
    return rate
