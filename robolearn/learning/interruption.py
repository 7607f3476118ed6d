"""Work that is not to be torn in the middle: signals that ask for an end are noted, and the loop ends where nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Generator
from types import FrameType

from bridge.program import INTERRUPTED, heeded


class Interrupted(Exception):
    """Somebody asked a training to end: a person by Ctrl-C, or the system by another signal; the checkpoint is written.

    Attributes:
        code: the exit code that says so: 130 after Ctrl-C, 0 for a signal of the system's, since what was asked for was done.
    """

    def __init__(self, folder: str, number: int = signal.SIGINT) -> None:
        super().__init__(folder)
        self.code = INTERRUPTED if number == signal.SIGINT else 0


class Request:
    """Whether an end was asked for.

    Attributes:
        number: of the first signal that did, None for none.
    """

    number: int | None = None


@contextlib.contextmanager
def noted(what: str, insist: bool = True) -> Generator[Request]:
    """Note signals that ask for an end while the body runs, instead of ending it.

    Signals that are ignored (`nohup`) or that the surrounding program handles stay as they are, but for Ctrl-C. Outside the main thread
    nothing can be noted, and everything stays as it is.

    Args:
        what: what is finished before the end, for the line that says so.
        insist: whether a second Ctrl-C raises KeyboardInterrupt at once.

    Yields:
        What was asked for so far.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        first, request.number = request.number is None, request.number or number
        if first:
            again = "; Ctrl-C again stops at once" if number == signal.SIGINT and insist else ""
            name = "" if number == signal.SIGINT else f"{signal.Signals(number).name}: "
            with contextlib.suppress(OSError):  # not by print: the signal may have come in the middle of one
                os.write(2, f"\n{name}stopping after this {what}{again}\n".encode())
        elif number == signal.SIGINT and insist:
            raise KeyboardInterrupt

    previous = {number: signal.getsignal(number) for number in {signal.SIGINT, *heeded()}}
    for number in previous:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
