"""A terminal and the person at its other end, for tests of the operator's keys."""

from __future__ import annotations

import contextlib
import os
import pty
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bridge.operator.controls import Said
from bridge.operator.terminal import NAME, QUESTION
from tests.bridge_helpers import wait_for


class Person:
    """The other end of a terminal: it answers as terminals do, as long as it is there.

    Attributes:
        there: whether it answers.
        seen: what was written to it.
        answer: to each question.
        name: what it says that it is, where asked; empty for no word.
        after_s: how long its answers take.
    """

    def __init__(self, fd: int) -> None:
        self.fd, self.there, self.seen = fd, True, b""
        self.answer, self.name, self.after_s = b"\x1b[0n", b"", 0.0
        self._due: list[tuple[float, bytes]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.is_set():
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                os.write(self.fd, self._due.pop(0)[1])
            try:
                data = os.read(self.fd, 4096)
            except BlockingIOError:
                time.sleep(0.005)
                continue
            except OSError:
                return
            self.seen += data
            if self.there:
                told = [self.name] * data.count(NAME) + [self.answer] * data.count(QUESTION)
                self._due += [(now + self.after_s, answer) for answer in told if answer]

    def close(self) -> None:
        self._end.set()
        self._thread.join(2)


@contextmanager
def at_terminal(monkeypatch: pytest.MonkeyPatch, term: str = "xterm") -> Iterator[tuple[Person, Any]]:
    """A person, and the file of the terminal that a program reads."""
    monkeypatch.setenv("TERM", term)
    for variable in ("TMUX", "STY", "ZELLIJ", "SSH_TTY", "SSH_CONNECTION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("bridge.operator.terminal.relay", lambda: "")
    mine, theirs = pty.openpty()
    os.set_blocking(mine, False)
    someone = Person(mine)
    with os.fdopen(theirs, "r+b", buffering=0) as file:
        yield someone, file
    someone.close()
    with contextlib.suppress(OSError):
        os.close(mine)


def polled(device: Any, until: Callable[[Said], bool], timeout_s: float = 20.0) -> list[Said]:
    """Poll at 50 Hz until something holds. Returns all that was said."""
    said: list[Said] = []
    assert wait_for(lambda: bool(said.append(device.poll()) or until(said[-1])), timeout_s), said[-3:]
    return said


def notices(said: list[Said]) -> str:
    """All notices, a line each."""
    return "\n".join(line for one in said for line in one.notices)
