"""The interface of an operator's devices, and their input at a control step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bridge.control.joints import FloatArray
from bridge.control.safety import Event

HOLD_S, SILENCE_S = 5.0, 60.0
"""Time that a command lasts without a key or a movement, and time without any after which the policy ends, if there is no other sign of an
operator."""


@dataclass(slots=True)
class Said:
    """An operator's input since the previous tick.

    Attributes:
        requests: state changes.
        command: the device's present velocity, (C,); None for none.
        quit: whether to end the program.
        steered: whether the command was just changed by hand, so that this device takes over from the others.
        age_s: time since the last sign of an operator, if that is too long for the command to count as current [s]; otherwise 0.
        hint: why it is so old; empty if it is not.
        lost: whether this device could detect an operator and no longer does.
        notices: lines for all outputs, each given once.
        state: its state for the screen; empty for none.
    """

    requests: tuple[Event, ...] = ()
    command: FloatArray | None = None
    quit: bool = False
    steered: bool = False
    age_s: float = 0.0
    hint: str = ""
    lost: bool = False
    notices: tuple[str, ...] = ()
    state: str = ""


class Device(Protocol):
    """An operator's input device.

    Attributes:
        holds: whether its command takes precedence over the wire's: from when it steered until another one does.
        counts: whether its command was the one in force at the last tick; a device that does not count need not remind its operator.
    """

    holds: bool
    counts: bool

    def poll(self) -> Said:
        """The input since the last call; never waits."""
        ...

    def close(self) -> None:
        """Release the device."""
        ...
