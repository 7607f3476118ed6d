"""The wireless remote that comes with a Unitree robot, as the robot passes it on: 40 bytes in every LowState.

    bytes 0-1  head             bytes 8-11   rx, right stick, right is 1
    bytes 2-3  keys, one bit    bytes 12-15  ry, right stick, forward is 1
    bytes 4-7  lx, left stick   bytes 16-19  L2, analog
               right is 1       bytes 20-23  ly, left stick, forward is 1

The operator's keys: L2+B is the emergency stop, whatever else is held and for as long as it is. The others trigger once, when exactly the
named keys are held: L2+up stands, `start` starts the policy, `select` stops it, L1+select resets after a fault.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bridge.control.joints import FloatArray
from bridge.control.safety import Event

KEYS = ("R1", "L1", "start", "select", "R2", "L2", "F1", "F2", "A", "B", "X", "Y", "up", "right", "down", "left")
EMERGENCY_STOP = frozenset({"L2", "B"})
REQUESTS = {
    frozenset({"L2", "up"}): Event.STAND,
    frozenset({"start"}): Event.START,
    frozenset({"select"}): Event.STOP,
    frozenset({"L1", "select"}): Event.RESET,
}
DEAD_ZONE = 0.05  # of a stick's travel: sticks do not come back to the very middle
SIZE = 40
_FIELDS = struct.Struct("<2xH5f")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """What the operator's hands do.

    Attributes:
        keys: the keys held down.
        lx, ly: left stick, right and forward are positive, -1 to 1.
        rx, ry: right stick, likewise.
    """

    keys: frozenset[str] = frozenset()
    lx: float = 0.0
    ly: float = 0.0
    rx: float = 0.0
    ry: float = 0.0

    def encode(self) -> bytes:
        """The 40 bytes, as a robot sends them."""
        bits = sum(1 << KEYS.index(key) for key in self.keys)
        body = _FIELDS.pack(bits, self.lx, self.rx, self.ry, float("L2" in self.keys), self.ly)
        return (b"\x55\x51" + body[2:]).ljust(SIZE, b"\0")


def decode(data: bytes) -> Remote | None:
    """The remote's state in the 40 bytes of a LowState; None if there is no remote, which the robot marks with zeros."""
    if not any(data):
        return None
    bits, lx, rx, ry, _, ly = _FIELDS.unpack_from(data)
    return Remote(keys=frozenset(name for bit, name in enumerate(KEYS) if bits >> bit & 1), lx=lx, ly=ly, rx=rx, ry=ry)


class Keys:
    """Turns held keys into requests."""

    def __init__(self) -> None:
        self._held: frozenset[str] | None = None

    def __call__(self, remote: Remote | None) -> Event | None:
        """The request that this state of the remote makes, given the one before; None for none.

        Keys that are held when the first state arrives ask for nothing, but for the emergency stop.
        """
        before, self._held = self._held, None if remote is None else remote.keys
        if self._held is None:
            return None
        if self._held >= EMERGENCY_STOP:
            return Event.ESTOP
        return None if before is None or before == self._held else REQUESTS.get(self._held)


def velocity(remote: Remote, lower: Sequence[float], upper: Sequence[float]) -> FloatArray:
    """The velocity command of the sticks: vx [m/s] by the left one, vy [m/s] likewise to the left, yaw rate [rad/s] by the right one.

    Args:
        remote: the sticks.
        lower, upper: range of the command that full travel stands for, (3,).

    Returns:
        (3,); not finite where a stick is not, so that the guard on commands sees it.
    """
    stick = np.array([remote.ly, -remote.lx, -remote.rx])
    far = np.abs(stick)
    share = np.where(far < DEAD_ZONE, 0.0, np.sign(stick) * np.minimum((far - DEAD_ZONE) / (1 - DEAD_ZONE), 1.0))
    return share * np.where(share < 0, -np.array(lower, np.float64), np.array(upper, np.float64))
