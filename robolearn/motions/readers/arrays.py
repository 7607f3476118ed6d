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
    """Frames a second: what the first of `keys` says that is there, or else what was given.

    Raises:
        UserError: neither is there, or it is no number above zero.
    """
    found = np.asarray(next((told[key] for key in keys if key in told), ())).reshape(-1)
    try:
        rate = float(found[0]) if len(found) else 0.0
    except (TypeError, ValueError):
        rate = 0.0
    if np.isfinite(rate) and rate > 0:
        return rate
    if given is None:
        raise UserError("the rate is not told; give it: --fps 30")
    return given
