"""What the control loop asks of a transport. `Wire` is a beginning for one of your own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bridge.control.command import JointCommand
from bridge.control.joints import FloatArray
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Event


class Transport(Protocol):
    """A robot's wire and the clock that goes with it.

    Attributes:
        on_reading: called with every complete reading that arrives, also those between the ticks; None for nobody.
        on_shutdown: called where the wire asks the program to end; None for nobody.
        on_line: called with what a person should read, without blocking; None to print it.
    """

    on_reading: Callable[[Reading], None] | None
    on_shutdown: Callable[[], None] | None
    on_line: Callable[[str], None] | None

    @property
    def temperature(self) -> FloatArray | None:
        """Hottest sensor of each joint's motor [C], (J,) in policy order; None where the wire does not tell, or not yet."""
        ...

    def open(self, refusal: Callable[[Event], str | None]) -> None:
        """Connect; `refusal` says why an operator's request would be refused now."""
        ...

    def now_ns(self) -> int:
        """Steady clock [ns]; the one that stamps `Inputs`."""
        ...

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        """Let time pass until the deadline, or until a reading is complete that came after `fresh_ns`, receiving what arrives."""
        ...

    def read(self) -> Inputs:
        """The newest inputs; requests are handed out once."""
        ...

    def write(self, command: JointCommand) -> None:
        """Send a command to the robot."""
        ...

    def rehearse(self) -> None:
        """Do, without any effect, what receiving and sending will take, so that it is quick when it counts."""
        ...

    def report(self, status: Mapping[str, Any]) -> None:
        """Publish the status; called at each tick, thins it out itself. `status` has at least `mode` and `problems`."""
        ...

    def close(self) -> None:
        """Deliver what is under way and disconnect."""
        ...


class Wire:
    """The parts of a transport that most wires need not care about: the steady clock, waiting, and what is optional.

    What is left for a transport of your own is `open`, `read`, `write` and `close`.
    """

    on_reading: Callable[[Reading], None] | None = None
    on_shutdown: Callable[[], None] | None = None
    on_line: Callable[[str], None] | None = None
    temperature: FloatArray | None = None

    def now_ns(self) -> int:
        """Steady clock [ns]."""
        return time.monotonic_ns()

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        """Sleep until the deadline; a wire that wakes up for a fresh reading does so here."""
        if (left := deadline_ns - time.monotonic_ns()) > 0:
            time.sleep(left * 1e-9)

    def rehearse(self) -> None:
        """Nothing to rehearse."""

    def report(self, status: Mapping[str, Any]) -> None:
        """Nobody listens on the wire."""
