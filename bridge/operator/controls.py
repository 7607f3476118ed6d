"""The operator's keyboard, read without waiting once per control step, so that the stop key acts within one.

It gives requests (`stand`, `start`, `stop`, `estop`, `reset`) and, for velocity policies, a command. A command is as old as the last sign
of an operator (`bridge.operator.terminal`), and is set to zero some seconds after the last key unless it is held (`h`), since an operator
who is cut off cannot press a key.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from typing import Any, Self

import numpy as np

from bridge.control.safety import Event
from bridge.operator import keys
from bridge.operator.gamepad import JS_EVENT, Gamepad
from bridge.operator.said import HOLD_S, SILENCE_S, Device, Said
from bridge.operator.terminal import LOST_S, SLOW_S, Presence, in_foreground
from policies.contract.spec import PolicySpec

__all__ = ["HARMLESS", "JS_EVENT", "KEYS", "KEY_HELP", "Device", "Gamepad", "Keyboard", "Said"]

KEYS: dict[str, Event] = {
    "space": Event.ESTOP,
    "1": Event.STAND,
    "2": Event.START,
    "3": Event.STOP,
    "r": Event.RESET,
}
STEER: dict[str, tuple[int, int]] = {
    "up": (0, +1),
    "down": (0, -1),
    "a": (1, +1),
    "d": (1, -1),
    "left": (2, +1),
    "right": (2, -1),
}
QUIT, ZERO, HOLD = "quit", "0", "h"
STEPS = 10  # key presses from rest to full speed
KEY_HELP = "space EMERGENCY STOP   1 stand   2 start   3 stop   r reset   q quit"
STEER_HELP, HALT_HELP = "   arrows, a, d steer   0 halt   h hold", "   0 halt"
PATIENCE_NS = 500_000_000
HARMLESS = (b"3", b"q")


class Keyboard:
    """Single keys of a terminal; see `KEY_HELP`.

    Attributes:
        holds, counts: see `Device`.
        begins: notice at the start on whether a lost operator is detected; empty for none.
    """

    def __init__(
        self, spec: PolicySpec, file: Any = None, steers: bool = True, hold_s: float = HOLD_S, silence_s: float = SILENCE_S
    ) -> None:
        """Read a terminal (standard input) key by key until `close`; it steers only if requested, and only velocity policies.

        Args:
            spec: the contract.
            file: the terminal; None for standard input.
            steers: whether its keys may give a command.
            hold_s: how long a command lasts after the last key [s].
            silence_s: time without a key after which the operator counts as gone, if there is no other sign [s].
        """
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
        self._hold_s, self._silence_s = hold_s, silence_s
        self._key_ns = time.monotonic_ns()
        self._held = self._told = self._away = self._lost = self._warned = False
        self._presence = Presence(self._fd)
        self.begins = self._presence.begins
        self.holds, self.counts = False, True

    @property
    def help(self) -> str:
        """The keys that have an effect."""
        return KEY_HELP + (STEER_HELP if self._steers else HALT_HELP if self._walks else self._others)

    def poll(self) -> Said:
        now_ns = time.monotonic_ns()
        if not in_foreground(self._fd):
            return self._in_background(now_ns)
        if self._away:  # the shell has changed the terminal's settings
            self._away = False
            with contextlib.suppress(OSError, termios.error):
                tty.setcbreak(self._fd)
        self._presence.poll(now_ns)
        try:
            waiting = bool(select.select([self._fd], [], [], 0)[0])
            typed = os.read(self._fd, 1024) if waiting else None
        except (OSError, ValueError):
            typed = b""
        if typed == b"":  # the terminal is gone
            return Said((Event.STOP,), None, True)
        raw = self._split(typed or b"", now_ns)
        for key in raw:
            self._presence.sign(now_ns, keys.ANSWER.fullmatch(key) is not None)
            if keeper := keys.keeper(key):
                self._presence.called(keeper)
        pressed = list(keys.names(raw))
        notices: list[str] = []
        if any(keys.by_hand(key) for key in raw):
            self._key_ns, self._warned = now_ns, False
        requests: list[Event] = []
        leave = steered = False
        if b" " in (typed or b""):  # whatever else it may be part of
            requests.append(Event.ESTOP)
        for key in pressed:
            if key == "space" and Event.ESTOP in requests:
                continue
            if key in KEYS:
                requests.append(KEYS[key])
            elif key in STEER and self._steers:
                axis, sign = STEER[key]
                self._steps[axis] = np.clip(self._steps[axis] + sign, -STEPS, STEPS)
            elif key == HOLD and self._steers:
                self._held = not self._held
                notices.append(
                    f"the keys' command is held{self._until()}" if self._held else f"a command ends {self._hold_s:g} s after a key"
                )
            steered |= (self._steers and key in STEER) or (self._walks and key == ZERO)
            leave |= key == QUIT
            if key == ZERO or key in KEYS:  # every start begins with a zero command
                self._steps[:] = 0
                self._held &= key == ZERO and self._held
        if Event.ESTOP in requests:
            self._steps[:] = 0
        said = Said(tuple(requests), None, leave, steered)
        self._look(said, notices, now_ns)
        share = self._steps / STEPS
        if self._steers or self.holds or steered:
            said.command = np.where(share >= 0, share * self._upper, -share * self._lower)
        said.notices = tuple(notices)
        return said

    def _until(self) -> str:
        """What ends a held command."""
        if self._presence.proves:
            return ": it ends with a key, or when this terminal is lost (h releases it)"
        return f": it ends {self._silence_s:g} s after the last key, since nothing else shows that you are there (h releases it)"

    def _look(self, said: Said, notices: list[str], now_ns: int) -> None:
        """Judge whether an operator is there, and end a command that is not renewed."""
        if not self._told and not self._presence.undecided(now_ns):
            self._told = True
            if not self._presence.proves:
                beyond = self._presence.beyond
                notices.append(
                    (f"this terminal is {beyond}'s, which answers even when detached: " if beyond else "")
                    + f"only keys show that you are there: if this terminal is lost, the robot halts {self._hold_s:g} s after the"
                    f" last key, and the policy ends after {self._silence_s:g} s"
                )
        keyless_s, silent_s = (now_ns - self._key_ns) * 1e-9, self._presence.silent_s(now_ns)
        lost = silent_s > LOST_S
        if lost and not self._lost:
            notices.append(f"warning: {self._presence.gone}: the operator is lost")
        elif self._lost and not lost:
            notices.append("the terminal is there again")
        self._lost = said.lost = lost
        if silent_s > SLOW_S:
            said.age_s, said.hint = silent_s, self._presence.gone
        elif not self._presence.proves and keyless_s > self._silence_s:
            said.age_s, said.hint = keyless_s, "no key for too long, and no other sign of an operator"
        elif not self._presence.proves and keyless_s > self._silence_s / 2 and self._steers and self.counts and not self._warned:
            self._warned = True
            notices.append(f"warning: no key for {keyless_s:.0f} s: the policy ends after {self._silence_s:g} s without one")
        moving = bool(np.any(self._steps))
        if lost or said.age_s > 0:
            self._steps[:] = 0  # a returning operator begins with a zero command
            self._held = False
        elif moving and not self._held and keyless_s > self._hold_s:
            self._steps[:] = 0
            notices.append(f"halt: no key for {self._hold_s:g} s (h holds a command)")
        if not self._steers:
            return
        if self._held:
            said.state = "command held" + ("" if self._presence.proves else f", {max(0.0, self._silence_s - keyless_s):.0f} s left")
        elif np.any(self._steps):
            said.state = f"halt in {max(0.0, self._hold_s - keyless_s):.0f} s without a key (h holds)"
        elif not self._presence.proves and keyless_s > self._silence_s / 2 and self.counts:
            said.state = f"press a key within {max(0.0, self._silence_s - keyless_s):.0f} s, or a running policy ends"

    def _in_background(self, now_ns: int) -> Said:
        """The program was moved to the background: the keys are not ours."""
        first, self._away = not self._away, True
        self._steps[:] = 0
        self._held, self._key_ns = False, now_ns
        self._presence.sign(now_ns)
        said = "in the background: the keys are the shell's, so the robot is damped (fg brings them back)"
        return Said((Event.STOP,) if first else (), None, notices=(said,) if first else (), age_s=LOST_S, hint="in the background")

    def _split(self, typed: bytes, now_ns: int) -> list[bytes]:
        """The complete keys. Incomplete input is dropped after half a second, except keys that can do no harm."""
        before = self._rest
        found, self._rest = keys.split(before + typed)
        if found or not before:
            self._rest_ns = now_ns
        if self._rest and now_ns - self._rest_ns >= PATIENCE_NS:
            found += [bytes([byte]) for byte in self._rest if bytes([byte]) in HARMLESS]
            self._rest = b""
        return found

    def close(self) -> None:
        if not in_foreground(self._fd):
            return  # the shell sets it
        self._presence.close(self._fd)
        with contextlib.suppress(OSError, termios.error):  # a terminal that is gone needs nothing
            termios.tcsetattr(self._fd, termios.TCSANOW, self._before)  # not after the output: a paused terminal takes none

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
