"""Detects whether a terminal is ours, and whether its other end still answers.

A terminal survives the loss of the connection behind it: ssh notices after minutes, tmux never. So it is queried twice per second with a
question that every terminal answers itself (ECMA-48's device status report); the answer travels the whole way. An answer that takes longer
than `LOST_S` counts as missing, since an emergency stop key would take as long. Programs that keep a detached session alive (`RELAYS`)
answer in the terminal's place, so there only keys show that an operator is present, and for tmux whether any client is attached. One of
them at the far end of a connection (tmux on the laptop that ssh runs on) is known by its name, which is asked for once, or by TERM: then
answers show that the connection lives, and keys that somebody is there.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import sys
import termios
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from bridge.control.priority import lower_priority

QUESTION = b"\x1b[5n"
NAME = b"\x1b[>c"  # secondary device attributes: what a terminal is
NAMELESS = ("linux", "linux-16color", "cons25", "vt52", "emacs")  # terminals that might show that question
ASK_NS = 500_000_000
SLOW_S = 1.0  # two answers that are missing; from here on the last one counts as long ago
LOST_S = 2.0  # without a sign of a terminal that gave some
MOST_OPEN = 64  # questions without an answer
PATIENCE_S = 3.0  # for the first answer
FAREWELL_S = 0.2  # for the last one, which else would be typed into the shell
RELAYS = {
    "tmux": "tmux",
    "screen": "screen",
    "mosh-server": "mosh",
    "dtach": "dtach",
    "abduco": "abduco",
    "zellij": "zellij",
    "etterminal": "Eternal Terminal",
    "shpool": "shpool",
}
"""Programs that keep a detached terminal alive, by process name."""
VARIABLES = {"TMUX": "tmux", "STY": "screen", "ZELLIJ": "zellij"}


def is_ours(file: Any) -> bool:
    """Whether a file is a terminal that this program may read and set, i.e. not from its background."""
    try:
        return file is not None and file.isatty() and in_foreground(file.fileno())
    except (OSError, ValueError):  # closed
        return False


def in_foreground(fd: int) -> bool:
    """Whether job control lets this process use a terminal; one that is not its controlling terminal has none."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True


def on_terminal() -> bool:
    """Whether a person can see the output and type."""
    return is_ours(sys.stdin) and is_ours(sys.stdout)


def in_background() -> str:
    """What to say where this program has a terminal and runs in its background; empty elsewhere."""
    try:
        behind = sys.stdin.isatty() and not in_foreground(sys.stdin.fileno())
    except (OSError, ValueError, AttributeError):
        return ""
    return (
        "in the background of this terminal: no keys and no screen here, not even a stop; Ctrl-C does not reach it either" if behind else ""
    )


def relay() -> str:
    """The program that keeps this terminal alive when detached; empty if none is known."""
    for variable, called in VARIABLES.items():
        if os.environ.get(variable):
            return called
    pid = os.getppid()
    for _ in range(32):
        try:
            comm = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip().lower()
            after = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return ""
        for process, called in RELAYS.items():
            if comm == process or comm.startswith(f"{process}:"):
                return called
        pid = int(after[1])
        if pid <= 1:
            return ""
    return ""


class Presence:
    """Tracks whether an operator is at a terminal.

    Attributes:
        relay: program that answers in the terminal's place; empty for none.
        answers: whether the terminal has answered, all the way.
        beyond: what answers in place of a terminal at the far end of the connection; empty for nothing.
    """

    def __init__(self, fd: int) -> None:
        """Begin to query the terminal `fd`."""
        self.relay = relay()
        term = os.environ.get("TERM", "")
        kept = next((called for called in ("tmux", "screen") if term.partition("-")[0].partition(".")[0] == called), "")
        self.beyond = "" if self.relay else kept
        self.answers = False
        self._begin_ns = self._asked_ns = self._sign_ns = self._answered_ns = time.monotonic_ns()
        self._asked_ns -= ASK_NS
        self._open: deque[int] = deque()
        self._took_s = 0.0
        self._named = term in NAMELESS
        self._ask: int | None = None
        if term not in ("", "dumb"):
            with contextlib.suppress(OSError):  # of its own, so that a terminal that is paused blocks nobody
                self._ask = os.open(os.ttyname(fd), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        self._clients = Clients() if self.relay == "tmux" and "TMUX" in os.environ else None

    @property
    def begins(self) -> str:
        """Notice at the start; empty if it depends on the answers."""
        if self.relay:
            client = " (but for whether any client is attached)" if self._clients is not None else ""
            return f"this terminal is kept alive by {self.relay}: whether somebody is there is known by keys alone{client}"
        if os.environ.get("SSH_TTY") or os.environ.get("SSH_CONNECTION"):
            return "this terminal is reached by ssh: it is asked twice a second whether it is there"
        return ""

    @property
    def proves(self) -> bool:
        """Whether its answers show that somebody may be there, and not only a program that keeps the terminal alive."""
        return self.answers and not self.beyond

    def undecided(self, now_ns: int) -> bool:
        """Whether the first answer may still come."""
        return not self.answers and not self.relay and self._ask is not None and now_ns - self._begin_ns < PATIENCE_S * 1e9

    def poll(self, now_ns: int) -> None:
        """Ask, where it is time to."""
        if self._ask is None or self.relay or now_ns - self._asked_ns < ASK_NS:
            return
        if self._took_s > LOST_S or len(self._open) >= MOST_OPEN:  # one that got lost must not make all that follow late
            if self._open and now_ns - max(self._answered_ns, self._asked_ns) < 2e9 * max(self._took_s, LOST_S):
                return  # what is under way will tell
            self._open.clear()
        self._asked_ns = now_ns
        try:
            if not self._named:
                self._named = os.write(self._ask, NAME) > 0
            if os.write(self._ask, QUESTION) > 0:
                self._open.append(now_ns)
        except BlockingIOError:
            pass
        except OSError:
            self._forget()

    def sign(self, now_ns: int, answer: bool = False) -> None:
        """Something came from the terminal: a key, or an answer to the question."""
        self._sign_ns = now_ns
        if answer:
            self.answers, self._answered_ns = not self.relay, now_ns
            self._took_s = (now_ns - self._open.popleft()) * 1e-9 if self._open else self._took_s

    def called(self, keeper: str) -> None:
        """It is no terminal that answers, but what keeps one alive."""
        self.beyond = "" if self.relay else keeper

    def silent_s(self, now_ns: int) -> float:
        """Time without a sign of an operator [s], if there should be one; otherwise 0."""
        if self._clients is not None and self._clients.gone_ns is not None:
            return (now_ns - self._clients.gone_ns) * 1e-9
        if not self.answers:
            return 0.0
        silent_s = (now_ns - self._sign_ns) * 1e-9
        return max(silent_s, self._took_s) if self._took_s > LOST_S else silent_s

    @property
    def gone(self) -> str:
        """The reason for the silence, in words."""
        if self.relay:
            return f"no client is attached to {self.relay}"
        if self._took_s > LOST_S:
            return f"the terminal answers only after {self._took_s:.1f} s, and a key would take as long"
        return "the terminal no longer answers"

    def close(self, fd: int) -> None:
        """Take the last answer off the terminal `fd`."""
        if self._clients is not None:
            self._clients.close()
        if self._ask is None:
            return
        end = time.monotonic() + FAREWELL_S
        while self._open and self.answers and time.monotonic() < end:
            time.sleep(0.01)
            if _waiting(fd):
                self._open.clear()
        if self.answers:
            with contextlib.suppress(OSError, termios.error):
                termios.tcflush(fd, termios.TCIFLUSH)
        self._forget()

    def _forget(self) -> None:
        if self._ask is not None:
            with contextlib.suppress(OSError):
                os.close(self._ask)
            self._ask = None


def _waiting(fd: int) -> bool:
    try:
        return bool(select.select([fd], [], [], 0)[0])
    except (OSError, ValueError):
        return True


class Clients:
    """Counts the clients of the tmux session that this runs in, on a thread of its own.

    Attributes:
        gone_ns: when one was last seen, as long as there is none; None while there is one, and where it is not known.
    """

    PERIOD_S = 0.5

    def __init__(self) -> None:
        self.gone_ns: int | None = None
        self._seen_ns = time.monotonic_ns()
        self._end = threading.Event()
        self._tmux = shutil.which("tmux")
        self._thread = threading.Thread(target=self._run, name="tmux", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        lower_priority()
        pane = os.environ.get("TMUX_PANE", "")  # which several sessions may show
        shown = ["list-panes", "-a", "-f", f"#{{==:#{{pane_id}},{pane}}}"] if pane else ["list-sessions"]
        command = [self._tmux or "tmux", *shown, "-F", "#{session_attached}"]
        while self._tmux is not None and not self._end.wait(self.PERIOD_S):
            try:
                told = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True, stdin=subprocess.DEVNULL)
                attached = any(int(count) > 0 for count in told.stdout.split())
            except (OSError, ValueError, subprocess.SubprocessError):
                continue  # keys alone tell
            if attached:
                self._seen_ns, self.gone_ns = time.monotonic_ns(), None
            elif self.gone_ns is None:
                self.gone_ns = self._seen_ns

    def close(self) -> None:
        """End the thread."""
        self._end.set()
