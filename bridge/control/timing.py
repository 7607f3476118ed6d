"""Timing of a control loop in buffers that are allocated once."""

from __future__ import annotations

import numpy as np


class Timing:
    """Start lateness, duration and inference time of the newest ticks.

    Attributes:
        ticks: ticks so far.
        missed: deadlines that passed without their own tick.
        overruns: ticks that ended after the next deadline.
    """

    NAMES = ("late", "busy", "inference")

    def __init__(self, capacity: int = 8192) -> None:
        """Keep the newest `capacity` ticks."""
        self._ring = np.zeros((len(self.NAMES), capacity), np.int64)
        self.ticks = self.missed = self.overruns = 0

    def add(self, late_ns: int, busy_ns: int, inference_ns: int) -> None:
        """Record one tick, all in [ns]; an inference time of 0 means that there was none."""
        slot = self.ticks % self._ring.shape[1]
        self._ring[0, slot], self._ring[1, slot], self._ring[2, slot] = late_ns, busy_ns, inference_ns
        self.ticks += 1

    def late_us(self) -> list[float]:
        """How late each of the newest ticks began [us]."""
        return [float(value) for value in self._ring[0, : min(self.ticks, self._ring.shape[1])] * 1e-3]

    def summary(self) -> dict[str, float]:
        """Median, 99th percentile and maximum [ms] of each, and the counters."""
        result: dict[str, float] = {"ticks": self.ticks, "missed": self.missed, "overruns": self.overruns}
        for name, row in zip(self.NAMES, self._ring[:, : min(self.ticks, self._ring.shape[1])], strict=True):
            values = row[row > 0] if name == "inference" else row
            if len(values):
                middle, high = np.percentile(values, (50, 99)) * 1e-6
                result |= {f"{name}_p50_ms": float(middle), f"{name}_p99_ms": float(high), f"{name}_max_ms": float(values.max()) * 1e-6}
        return result
