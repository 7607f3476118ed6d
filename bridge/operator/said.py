"""What an operator's devices have in common: what they say at a control step, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bridge.control.joints import FloatArray
from bridge.control.safety import Event

HOLD_S, SILENCE_S = 5.0, 60.0
"""How long a command lasts without a key or a movement, and after how long without any the policy ends where nothing else shows that
somebody is there."""


@dataclass(slots=True)
class Said:
    """What an operator said since the tick before.

    Attributes:
        requests: state changes.
        command: velocity that the device stands at, (C,); None for no opinion.
        quit: whether to end the program.
        steered: whether a hand was on the command just now, so that this device takes it from the others.
        age_s: how long ago somebody was known to be there, where that is too long for the command to count as given now [s]; else 0.
        hint: why it is so old; empty where it is not.
        lost: whether this device has shown that it can tell whether somebody is there, and tells no more.
        notices: lines that everybody should know, each said once.
        state: what the screen shows of it; empty for nothing.
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
    """Something that an operator holds.

    Attributes:
        holds: whether its command counts even where the robot's own wire brings one: since it steered, until somebody else does.
    """

    holds: bool

    def poll(self) -> Said:
        """What was said since the last call; never waits."""
        ...

    def close(self) -> None:
        """Give the device back."""
        ...
