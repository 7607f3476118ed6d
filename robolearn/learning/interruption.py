"""For work that must not be cut off in the middle: signals that end a process are noted, and the loop ends where nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Generator
from types import FrameType

from bridge.program import INTERRUPTED, heeded


class Interrupted(Exception):
    """The user (Ctrl-C) or the system (another signal) asked a training to end; the checkpoint is written.

    Attributes:
        code: the exit code: 130 after Ctrl-C, 0 after a signal of the system, since the request was fulfilled.
    """

    def __init__(self, folder: str, number: int = signal.SIGINT) -> None:
        super().__init__(folder)
        self.code = INTERRUPTED if number == signal.SIGINT else 0


class Request:
    """Records whether an end was requested.

    Attributes:
        number: number of the first such signal; None if there was none.
    """

    number: int | None = None


@contextlib.contextmanager
def noted(what: str, insist: bool = True) -> Generator[Request]:
    """While the body runs, record signals that ask for an end instead of ending it.

    Signals that are ignored (`nohup`) or that the surrounding program handles are left alone, except Ctrl-C. Outside the main thread
    signals cannot be recorded, and nothing changes.

    Args:
        what: what is finished before the end, for the printed line.
        insist: whether a second Ctrl-C raises KeyboardInterrupt at once.

    Yields: The request so far.
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
            with contextlib.suppress(OSError):  # not by print: the signal may have interrupted one
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
