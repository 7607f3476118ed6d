"""Reads numbers and rates from arrays of unknown origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from robolearn.errors import UserError


def array_of(told: Mapping[str, Any], key: str) -> np.ndarray:
    """Numbers under a key.

    Raises:
        UserError: they are not numbers.
    """
    try:
        return np.asarray(told[key], float)
    except (TypeError, ValueError) as error:
        raise UserError(f"{key} is not an array of numbers") from error


def rate_of(told: Mapping[str, Any], keys: Sequence[str], given: float | None) -> float:
    """Frames per second: the value of the first existing one of `keys`, or else the given one.

    Raises:
        UserError: neither exists, or it is not a number above zero.
    """
    found = np.asarray(next((told[key] for key in keys if key in told), ())).reshape(-1)
    try:
        rate = float(found[0]) if len(found) else 0.0
    except (TypeError, ValueError):
        rate = 0.0
    if np.isfinite(rate) and rate > 0:
        return rate
    if given is None:
        raise UserError("the rate is not stated; give it: --fps 30")
    return given
