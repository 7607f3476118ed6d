"""The interface of transports for the control loop. `Wire` is a base class for your own."""

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
        on_shutdown: called if the wire asks the program to end; None for nobody.
        on_line: called with lines for the operator, without blocking; None to print them.
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
        """Steady clock [ns], which stamps `Inputs`."""
        ...

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        """Wait until the deadline, or until a reading is complete that came after `fresh_ns`, and receive messages meanwhile."""
        ...

    def read(self) -> Inputs:
        """The newest inputs; requests are returned once."""
        ...

    def write(self, command: JointCommand) -> None:
        """Send a command to the robot."""
        ...

    def rehearse(self) -> None:
        """Run the code of receiving and sending without any effect, so that it is fast when it matters."""
        ...

    def report(self, status: Mapping[str, Any]) -> None:
        """Publish the status; called at each tick, and reduces the rate itself. `status` has at least `mode` and `problems`."""
        ...

    def close(self) -> None:
        """Deliver pending messages and disconnect."""
        ...


class Wire:
    """Defaults for the parts of a transport that most wires do not need: the steady clock, waiting, and optional parts.

    Your own transport then only needs `open`, `read`, `write` and `close`.
    """

    on_reading: Callable[[Reading], None] | None = None
    on_shutdown: Callable[[], None] | None = None
    on_line: Callable[[str], None] | None = None
    temperature: FloatArray | None = None

    def now_ns(self) -> int:
        """Steady clock [ns]."""
        return time.monotonic_ns()

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        """Sleep until the deadline; a wire that can wake up for a fresh reading overrides this."""
        if (left := deadline_ns - time.monotonic_ns()) > 0:
            time.sleep(left * 1e-9)

    def rehearse(self) -> None:
        """Nothing to rehearse."""

    def report(self, status: Mapping[str, Any]) -> None:
        """Nobody listens on the wire."""
