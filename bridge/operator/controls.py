"""The operator's hands: keyboard and gamepad, read without waiting once a control step, so that the stop key acts within one.

Both give requests (`stand`, `start`, `stop`, `estop`, `reset`) and, for velocity policies, a command that is fresh as long as the
device is there. A gamepad that vanishes is a lost operator: it asks for `stop`.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import struct
import sys
import termios
import time
import tty
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from bridge.control.joints import FloatArray
from bridge.control.safety import Event
from policies.contract.spec import PolicySpec

KEYS: dict[bytes, Event] = {
    b" ": Event.ESTOP,
    b"1": Event.STAND,
    b"2": Event.START,
    b"3": Event.STOP,
    b"\x1b3": Event.STOP,
    b"r": Event.RESET,
}
STEER: dict[bytes, tuple[int, int]] = {
    b"\x1b[A": (0, +1),
    b"\x1b[B": (0, -1),
    b"a": (1, +1),
    b"d": (1, -1),
    b"\x1b[D": (2, +1),
    b"\x1b[C": (2, -1),
}
QUIT, ZERO = (b"q", b"\x1bq"), b"0"
STEPS = 10  # key presses from rest to full speed
KEY_HELP = "space EMERGENCY STOP   1 stand   2 start   3 stop   r reset   q quit"
STEER_HELP, HALT_HELP = "   arrows, a, d steer   0 halt", "   0 halt"

JS_EVENT = struct.Struct("IhBB")  # Linux joystick API: time [ms], value, type, number
JS_BUTTON, JS_AXIS, JS_INIT = 0x01, 0x02, 0x80
BUTTONS: dict[int, Event] = {0: Event.STAND, 1: Event.ESTOP, 2: Event.STOP, 3: Event.START, 7: Event.RESET}
ENDING = (Event.ESTOP, Event.STOP)
DEADMAN = 4
AXES: dict[int, tuple[int, int]] = {1: (0, -1), 0: (1, -1), 3: (2, -1)}
DEADZONE = 0.1


@dataclass(slots=True)
class Said:
    """What an operator said since the tick before.

    Attributes:
        requests: state changes.
        command: velocity that the device stands at, (C,); None for no opinion.
        quit: whether to end the program.
        steered: whether a hand was on the command just now, so that this device takes it from the others.
    """

    requests: tuple[Event, ...] = ()
    command: FloatArray | None = None
    quit: bool = False
    steered: bool = False


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


class Keyboard:
    """Single keys of a terminal; see `KEY_HELP`.

    Attributes:
        holds: see `Device`.
    """

    def __init__(self, spec: PolicySpec, file: Any = None, steers: bool = True) -> None:
        """Take a terminal (standard input) key by key until `close`; it steers only where asked to, and only velocity policies."""
        self._walks = spec.command.kind == "velocity"
        self._steers = steers and self._walks
        self._others = f"   (keys give velocities, no {spec.command.kind})" if spec.command.labels else ""
        self._lower, self._upper = np.array(spec.command.lower), np.array(spec.command.upper)
        self._file = sys.stdin if file is None else file
        self._fd: int = self._file.fileno()
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd)
        self._steps = np.zeros(len(self._lower))
        self._rest, self._rest_ns = b"", 0
        self.holds = False

    @property
    def help(self) -> str:
        """The keys that do something."""
        return KEY_HELP + (STEER_HELP if self._steers else HALT_HELP if self._walks else self._others)

    def poll(self) -> Said:
        try:
            waiting = bool(select.select([self._fd], [], [], 0)[0])
            typed = os.read(self._fd, 1024) if waiting else None
        except (OSError, ValueError):
            typed = b""
        if typed == b"":  # the terminal is gone
            return Said((Event.STOP,), None, True)
        keys = self._split(typed or b"")
        requests: list[Event] = []
        leave = steered = False
        if b" " in (typed or b""):  # whatever else it may be part of
            requests.append(Event.ESTOP)
        for key in keys:
            if key == b" ":
                continue
            if key in KEYS:
                requests.append(KEYS[key])
            elif key in STEER and self._steers:
                axis, sign = STEER[key]
                self._steps[axis] = np.clip(self._steps[axis] + sign, -STEPS, STEPS)
            steered |= (self._steers and key in STEER) or (self._walks and key == ZERO)
            leave |= key in QUIT
            if key == ZERO or key in KEYS:  # every start begins at rest
                self._steps[:] = 0
        if Event.ESTOP in requests:
            self._steps[:] = 0
        share = self._steps / STEPS
        speaks = self._steers or self.holds or steered
        command = np.where(share >= 0, share * self._upper, -share * self._lower) if speaks else None
        return Said(tuple(requests), command, leave, steered)

    def _split(self, typed: bytes) -> list[bytes]:
        """The keys that are complete. What has not become one in half a second is dropped, but for the keys that can do no harm."""
        now_ns, before = time.monotonic_ns(), self._rest
        keys, self._rest = _keys(before + typed)
        if keys or not before:
            self._rest_ns = now_ns
        if self._rest and now_ns - self._rest_ns >= PATIENCE_NS:
            keys += [bytes([byte]) for byte in self._rest if bytes([byte]) in HARMLESS]
            self._rest = b""
        return keys

    def close(self) -> None:
        with contextlib.suppress(OSError, termios.error):  # a terminal that is gone needs nothing
            termios.tcsetattr(self._fd, termios.TCSANOW, self._before)  # not after the output: a paused terminal takes none

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


KEY = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[@-~]|\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b(?=\x1b)|\x1b[^\x1b\[O\]P_^X]|[^\x1b]", re.DOTALL
)
"""A key as terminals send it: a sequence of ECMA-48, a function key, a terminal's answer to a question, the escape key before another
sequence, a key with Alt, or a byte."""
PATIENCE_NS = 500_000_000
HARMLESS = (b"3", b"q")


def _keys(typed: bytes) -> tuple[list[bytes], bytes]:
    """Split what was typed into keys, and what may be the beginning of one. A key that means nothing here is a key all the same."""
    keys: list[bytes] = []
    while (found := KEY.match(typed)) is not None:
        keys.append(found.group())
        typed = typed[found.end() :]
    return keys, typed


class Gamepad:
    """A gamepad on Linux's joystick interface.

    A stand, Y start, X stop, B emergency stop, Start reset; the sticks steer while L1 is held, and letting it go halts.

    Attributes:
        holds: see `Device`.
    """

    def __init__(self, spec: PolicySpec, path: Path = Path("/dev/input/js0"), steers: bool = True) -> None:
        """Open the device; it steers only where asked to, and only velocity policies.

        Raises:
            OSError: there is none.
        """
        self._steers = steers and spec.command.kind == "velocity"
        self.holds = False
        self._lower, self._upper = np.array(spec.command.lower), np.array(spec.command.upper)
        self._fd: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._sticks, self._held, self._rest = np.zeros(len(self._lower)), False, b""

    def poll(self) -> Said:
        if self._fd is None:
            return Said()
        try:
            data = os.read(self._fd, 64 * JS_EVENT.size)
        except BlockingIOError:
            return Said((), self._command())
        except OSError:
            data = b""
        if not data:  # unplugged
            self.close()
            return Said((Event.STOP,))
        data = self._rest + data
        whole = len(data) - len(data) % JS_EVENT.size
        self._rest = data[whole:]
        requests: list[Event] = []
        steered = False
        for _, value, kind, number in JS_EVENT.iter_unpack(data[:whole]):
            told = kind & JS_INIT  # how things stand, at first and after events were lost
            if kind & ~JS_INIT == JS_AXIS and number in AXES and self._steers:  # other commands may have no such entry
                axis, sign = AXES[number]
                share = sign * value / 32767
                self._sticks[axis] = 0.0 if abs(share) < DEADZONE else float(np.clip(share, -1.0, 1.0))
                steered |= not told
            elif kind & ~JS_INIT == JS_BUTTON and number == DEADMAN:
                self._held = bool(value)
                steered |= self._held
            elif kind & ~JS_INIT == JS_BUTTON and value and number in BUTTONS and (not told or BUTTONS[number] in ENDING):
                requests.append(BUTTONS[number])
        return Said(tuple(requests), self._command(), steered=self._steers and self._held and steered)

    def _command(self) -> FloatArray | None:
        if not self._steers:
            return None
        share = self._sticks if self._held else np.zeros_like(self._sticks)
        return np.where(share >= 0, share * self._upper, -share * self._lower)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
