"""A gamepad, read without waiting once per control step.

Pads only report changes, and a receiver whose pad is out of range reports none: the last position of the sticks would hold for ever. So the
dead man's button must be pressed again after some seconds without any change. A pad that vanishes requests `stop`, and is searched for once
per second; when it is back it does not steer until its dead man's button is pressed.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bridge.control.joints import FloatArray
from bridge.control.safety import Event
from bridge.operator.pads import Layout, PadError, read_layout
from bridge.operator.said import HOLD_S, SILENCE_S, Said
from policies.contract.spec import PolicySpec

JS_EVENT = struct.Struct("IhBB")  # Linux joystick API: time [ms], value, type, number
JS_BUTTON, JS_AXIS, JS_INIT = 0x01, 0x02, 0x80
ENDING = (Event.ESTOP, Event.STOP)
DEADZONE = 0.1
LOOK_NS = 1_000_000_000  # between searches for a pad that has vanished


class Gamepad:
    """A gamepad on Linux's joystick interface.

    A stand, Y start, X stop, B emergency stop, Start reset, by the kernel's codes (`bridge.operator.pads`); the sticks steer while L1 is
    held, and releasing it halts.

    Attributes:
        holds, counts: see `Device`.
        layout: functions of its buttons.
    """

    def __init__(
        self,
        spec: PolicySpec,
        path: Path = Path("/dev/input/js0"),
        steers: bool = True,
        hold_s: float = HOLD_S,
        silence_s: float = SILENCE_S,
        read: Callable[[int, Path], Layout] = read_layout,
    ) -> None:
        """Open the device; it steers only if requested, and only velocity policies.

        Args:
            spec: the contract.
            path: of the device.
            steers: whether its sticks may give a command.
            hold_s: how long a command lasts without a change [s].
            silence_s: time without a change after which the operator counts as gone [s].
            read: returns the layout of an open device.

        Raises:
            OSError: no such device. PadError: its layout is not known.
        """
        self._steers = steers and spec.command.kind == "velocity"
        self.holds, self.counts = False, True
        self._lower, self._upper = np.array(spec.command.lower), np.array(spec.command.upper)
        self._path, self._read_layout, self._hold_s, self._silence_s = path, read, hold_s, silence_s
        self._fd: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self.layout = read(self._fd, path)
        except BaseException:
            os.close(self._fd)
            raise
        self._looked_ns = self._heard_ns = time.monotonic_ns()
        self._closed = self._refused = False
        self._forget()

    @property
    def begins(self) -> str:
        """Notice at the start."""
        silent = f"a pad tells changes only: after {self._hold_s:g} s without any the robot halts until L1 is pressed anew"
        return f"gamepad {self.layout.words}; {silent}, and after {self._silence_s:g} s the policy ends"

    @property
    def _gone(self) -> str:
        return f"the gamepad {self._path} has vanished"

    def _forget(self) -> None:
        self._sticks, self._held, self._rest = np.zeros(len(self._lower)), False, b""
        self._rested: set[int] = set()
        self._stale = self._warned = False

    def poll(self) -> Said:
        now_ns = time.monotonic_ns()
        if self._fd is None:
            return self._look(now_ns)
        try:
            data = os.read(self._fd, 64 * JS_EVENT.size)
        except BlockingIOError:
            return self._judged(Said(), now_ns)
        except OSError:
            data = b""
        if not data:  # unplugged
            self._leave()
            self._looked_ns = now_ns
            return Said(
                (Event.STOP,), hint=self._gone, notices=(f"warning: the gamepad {self._path} has vanished; it is looked for once a second",)
            )
        return self._judged(self._take(data), now_ns, heard=True)

    def _take(self, data: bytes) -> Said:
        data = self._rest + data
        whole = len(data) - len(data) % JS_EVENT.size
        self._rest = data[whole:]
        requests: list[Event] = []
        steered = False
        buttons, axes = self.layout.buttons, self.layout.axes
        for _, value, kind, number in JS_EVENT.iter_unpack(data[:whole]):
            told = kind & JS_INIT  # the present state, at first and after events were lost
            if kind & ~JS_INIT == JS_AXIS and number in axes and self._steers:  # other commands may have no such entry
                axis, sign = axes[number]
                share = sign * value / 32767
                rests = abs(share) < DEADZONE
                if told and not rests and number not in self._rested:
                    continue  # a trigger, or a stick that somebody holds: it counts once it has moved
                self._rested.add(number)
                self._sticks[axis] = 0.0 if rests else float(np.clip(share, -1.0, 1.0))
                steered |= not told
            elif kind & ~JS_INIT == JS_BUTTON and number == self.layout.deadman:
                self._held = bool(value) and not told  # only a press that was seen counts
                self._stale = False
                steered |= self._held
            elif kind & ~JS_INIT == JS_BUTTON and value and number in buttons and (not told or buttons[number] in ENDING):
                requests.append(buttons[number])
        return Said(tuple(requests), steered=self._steers and self._held and steered)

    def _judged(self, said: Said, now_ns: int, heard: bool = False) -> Said:
        """End a command that is not renewed."""
        if heard:
            self._heard_ns, self._warned = now_ns, False
        silent_s = (now_ns - self._heard_ns) * 1e-9
        notices: list[str] = []
        if self._held and silent_s > self._hold_s:
            self._held, self._stale = False, True
            notices.append(f"halt: no word from the gamepad for {self._hold_s:g} s; press L1 anew")
        if silent_s > self._silence_s:
            said.age_s, said.hint = silent_s, "no word from the gamepad"
        elif silent_s > self._silence_s / 2 and self._steers and self.counts and not self._warned:
            self._warned = True
            notices.append(
                f"warning: no word from the gamepad for {silent_s:.0f} s: the policy ends after {self._silence_s:g} s without one"
            )
        if self._steers:
            said.state = (
                "press L1 anew"
                if self._stale
                else f"halt in {max(0.0, self._hold_s - silent_s):.0f} s without a change"
                if self._held
                else ""
            )
        said.command, said.notices = self._command(), tuple(notices)
        return said

    def _look(self, now_ns: int) -> Said:
        """Search for a pad that has vanished."""
        if self._closed or now_ns - self._looked_ns < LOOK_NS:
            return Said(hint="" if self._closed else self._gone)
        self._looked_ns = now_ns
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return Said(hint=self._gone)
        try:
            found = self._read_layout(fd, self._path)
            data = os.read(fd, 64 * JS_EVENT.size)
            if not data:  # a pipe without a writer
                os.close(fd)
                return Said(hint=self._gone)
        except BlockingIOError:
            data = b""
        except PadError as error:
            os.close(fd)
            told, self._refused = self._refused, True
            return Said(hint=self._gone, notices=() if told else (f"warning: {error}; it is not used",))
        except OSError:
            os.close(fd)
            return Said(hint=self._gone)
        self._forget()
        self._fd, self.layout, self._refused, self._heard_ns = fd, found, False, now_ns
        said = self._take(_as_it_stands(data)) if data else Said()
        said.command = self._command()
        said.notices = (f"the gamepad is back: {found.words}; press L1 anew to steer",)
        return said

    def _command(self) -> FloatArray | None:
        if not self._steers:
            return None
        share = self._sticks if self._held else np.zeros_like(self._sticks)
        return np.where(share >= 0, share * self._upper, -share * self._lower)

    def _leave(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._forget()

    def close(self) -> None:
        self._closed = True
        self._leave()


def _as_it_stands(data: bytes) -> bytes:
    """Events treated as the present state, not as presses: those from before the pad was known to be back."""
    whole = len(data) - len(data) % JS_EVENT.size
    told = b"".join(
        JS_EVENT.pack(time_ms, value, kind | JS_INIT, number) for time_ms, value, kind, number in JS_EVENT.iter_unpack(data[:whole])
    )
    return told + data[whole:]
