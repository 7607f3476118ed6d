"""Faults of cameras: pictures are damaged on their way into the eyes, by the faults of a `FaultyTransport`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.cameras.decode import Raw
from bridge.cameras.eyes import Eyes
from bridge.faults.injection import FaultyTransport
from bridge.faults.kinds import Fault, FaultKind


class FaultyEyes(Eyes):
    """Eyes whose pictures suffer the faults of a transport.

    Attributes:
        transport: whose faults strike; None for none yet.
    """

    transport: FaultyTransport | None = None

    def take(
        self, name: str, picture: Raw | NDArray[Any], stamp_ns: int, received_ns: int, now_ns: Callable[[], int] | None = None
    ) -> None:
        """Take a picture, or what a fault has made of it; see `Eyes.take`. Damages arrays alone."""
        last = self.newest.get(name)
        if isinstance(picture, Raw):
            super().take(name, picture, stamp_ns, received_ns, now_ns)
            return
        for _ in self._strike(name, FaultKind.PICTURE_LOSS):
            return
        for _ in self._strike(name, FaultKind.PICTURE_FROZEN):
            picture = picture if last is None or last.picture is None else last.picture
        for _ in self._strike(name, FaultKind.PICTURE_STAMP):
            stamp_ns = stamp_ns if last is None else last.stamp_ns
        for fault in self._strike(name, FaultKind.PICTURE_DELAY):
            stamp_ns -= round(fault.size * 1e9)
        for fault in self._strike(name, FaultKind.PICTURE_BLACK):
            picture = np.full_like(picture, fault.size)
        for fault in self._strike(name, FaultKind.PICTURE_SIZE):
            picture = picture[: len(picture) - max(1, round(fault.size))]
        super().take(name, picture, stamp_ns, received_ns, now_ns)

    def _strike(self, name: str, kind: FaultKind) -> list[Fault]:
        if self.transport is None:
            return []
        index = list(self.groups).index(name)
        return [fault for fault in self.transport.strike(kind) if fault.index % len(self.groups) == index]
