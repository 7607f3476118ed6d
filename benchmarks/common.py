"""What the benchmarks share: the form of a result and timing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One figure.

    Attributes:
        name: what.
        value: figure.
        unit: of the figure.
        against: what it is compared with, in words; None for none.
        ratio: value over what it is compared with, both in the same unit; None for none.
    """

    name: str
    value: float
    unit: str
    against: str | None = None
    ratio: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def interleaved(first: Callable[[], Any], second: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median seconds of two functions, called in turn, so that a machine's moods meet both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, seconds in zip((first, second), times, strict=True):
            begin = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - begin)
    return statistics.median(times[0]), statistics.median(times[1])


def seconds_of(function: Callable[[], Any], repeats: int) -> float:
    """Median seconds of a function."""
    return interleaved(function, lambda: None, repeats)[0]
