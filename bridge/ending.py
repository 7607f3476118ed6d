"""Makes a process exit with code 0 whenever it is asked to end: while it loads, while it works, and while it cleans up.

Launchers treat any other code as a failure. ROS's `launch` forwards a Ctrl-C that the terminal has already sent to the process, so it comes
twice; and Python removes its handlers on exit, when the second one would kill it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from bridge.program import run_program

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def quietly() -> None:
    """Exit at once on a signal while nothing has started yet. For a program's first line; ignored signals stay ignored."""
    for number in _heard():
        signal.signal(number, _leave)


def run(name: str, main: Callable[[], int]) -> int:
    """Run a program's `main`, which handles signals while it works. Returns its exit code; signals after that have no effect.

    Args:
        name: name of the program, for messages.
        main: see `bridge.program.run_program`.
    """
    quietly()
    try:
        return run_program(name, main)
    finally:  # also if it ends by `SystemExit`
        for number in _heard():
            signal.signal(number, signal.SIG_IGN)
        _flush()


def _flush() -> None:
    """Flush printed text now; if the terminal is gone, Python would report an error on exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _heard() -> list[signal.Signals]:
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(0)  # in the middle of an import only this reliably exits
