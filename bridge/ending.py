"""A process that is asked to end ends with code 0, whenever it is asked: while it loads, while it works, and again while it cleans up.

Whoever starts processes takes anything else for an accident. ROS's `launch` passes a Ctrl-C on that the terminal has sent to the process
already, so it comes twice; and Python gives up handlers of its own on its way out, when the second one would kill it.
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
    """While nothing has begun yet: end at once where asked to. For a program's first line; signals that are ignored stay so."""
    for number in _heard():
        signal.signal(number, _leave)


def run(name: str, main: Callable[[], int]) -> int:
    """Run a program's `main`, which handles signals as long as it works. Returns its exit code; from then on the process ends anyway.

    Args:
        name: of the program, for messages.
        main: see `bridge.program.run_program`.
    """
    quietly()
    try:
        return run_program(name, main)
    finally:  # also where it ends by `SystemExit`
        for number in _heard():
            signal.signal(number, signal.SIG_IGN)
        _flush()


def _flush() -> None:
    """Let out what was printed, now: where the terminal is gone, Python would make an error of it on its way out."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _heard() -> list[signal.Signals]:
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(0)  # in the middle of an import nothing else is sure to get out
