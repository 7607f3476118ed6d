"""Identifies the buttons and axes of a gamepad by the kernel's codes, never by their numbers.

Numbers depend on the driver's order: the same pad has X as number 2 on its cable and 3 over Bluetooth. The joystick interface gives the
code of each number (`JSIOCGBTNMAP`, `JSIOCGAXMAP`), and codes have a meaning (Linux's gamepad specification). One case is ambiguous: pads
with letters report X and Y as `BTN_X` and `BTN_Y`, which are other names of north and west, while Sony's and Nintendo's report the places;
the manufacturer decides.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.control.safety import Event

SOUTH, EAST, NORTH, WEST, L1, START = 0x130, 0x131, 0x133, 0x134, 0x136, 0x13B
ABS_X, ABS_Y, ABS_Z, ABS_RX, ABS_RZ, ABS_GAS, ABS_BRAKE = 0, 1, 2, 3, 5, 9, 10
BY_PLACE = {0x054C: "Sony", 0x057E: "Nintendo"}
"""Manufacturers whose drivers report the place of a button, by USB vendor."""
XBOX_BUTTONS = {0: Event.STAND, 1: Event.ESTOP, 2: Event.STOP, 3: Event.START, 7: Event.RESET}
XBOX_AXES = {1: (0, -1), 0: (1, -1), 3: (2, -1)}
XBOX_DEADMAN = 4

_AXES, _BUTTONS, _NAME, _AXIS_MAP, _BUTTON_MAP = 0x11, 0x12, 0x13, 0x32, 0x34
_MOST_AXES, _MOST_BUTTONS = 64, 512


class PadError(ValueError):
    """A gamepad with an unknown layout, whose buttons could do anything."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The functions of a pad's numbers.

    Attributes:
        name: of the pad.
        buttons: number -> request.
        axes: number -> (entry of the command, sign).
        deadman: number of the button that must be held.
        words: its description for the operator.
    """

    name: str
    buttons: Mapping[int, Event]
    axes: Mapping[int, tuple[int, int]]
    deadman: int
    words: str


def xbox(name: str) -> Layout:
    """The numbers of an Xbox pad on its cable, for sources other than the kernel's joysticks, such as a pipe, as in the docs."""
    return Layout(
        name=name,
        buttons=XBOX_BUTTONS,
        axes=XBOX_AXES,
        deadman=XBOX_DEADMAN,
        words=f"{name} tells no layout: its numbers count as an Xbox pad's, 0 stand, 3 start, 2 stop, 1 EMERGENCY STOP, 7 reset,"
        " 4 held to steer",
    )


def layout(name: str, buttons: Sequence[int], axes: Sequence[int], vendor: int | None) -> Layout:
    """The layout of a pad.

    Args:
        name: of the pad.
        buttons: the kernel's code of each button.
        axes: the kernel's code of each axis.
        vendor: its USB vendor; None if unknown.

    Raises:
        PadError: a needed button has no known code.
    """
    place = vendor in BY_PLACE
    north, west = (Event.START, Event.STOP) if place else (Event.STOP, Event.START)  # BTN_X is 0x133, BTN_Y 0x134
    wanted = {SOUTH: Event.STAND, EAST: Event.ESTOP, NORTH: north, WEST: west, START: Event.RESET}
    lacks = [f"{code:#x}" for code in (*wanted, L1) if code not in buttons]
    if lacks:
        has = ", ".join(f"{code:#x}" for code in buttons) or "none"
        raise PadError(
            f"{name} is no gamepad by its codes: it lacks {', '.join(lacks)} (linux/input-event-codes.h) and has {has}; a pad with a switch"
            " between D and X (or DirectInput and XInput) is one in position X"
        )
    turn = ABS_RX if ABS_RX in axes else ABS_Z if {ABS_Z, ABS_RZ} <= {*axes} and {ABS_GAS, ABS_BRAKE} & {*axes} else None
    entries = {ABS_Y: (0, -1), ABS_X: (1, -1), **({} if turn is None else {turn: (2, -1)})}
    missing = [what for what, code in (("left stick", ABS_X), ("left stick", ABS_Y)) if code not in axes]
    if missing or turn is None:
        raise PadError(f"{name}: its sticks are not known by their codes {', '.join(f'{code:#x}' for code in axes)}")
    names = ("cross", "circle", "triangle", "square", "L1", "Options") if vendor == 0x054C else ("A", "B", "Y", "X", "L1 (LB)", "Start")
    if vendor == 0x057E:
        names = ("B (below)", "A (right)", "X (above)", "Y (left)", "L", "+")
    stand, estop, start, stop, held, reset = names
    return Layout(
        name=name,
        buttons={number: wanted[code] for number, code in enumerate(buttons) if code in wanted},
        axes={number: entries[code] for number, code in enumerate(axes) if code in entries},
        deadman=list(buttons).index(L1),
        words=f"{name}: {stand} stand, {start} start, {stop} stop, {estop} EMERGENCY STOP, {reset} reset, {held} held to steer"
        f" (left stick, and the right one, axis {list(axes).index(turn)}, to turn)",
    )


def read_layout(fd: int, path: Path) -> Layout:
    """The layout of an open joystick.

    Raises:
        PadError: see `layout`.
        OSError: the device is gone.
    """
    try:
        count = _byte(fd, _AXES), _byte(fd, _BUTTONS)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise
        if stat.S_ISCHR(os.fstat(fd).st_mode):
            raise PadError(f"{path} is no joystick of Linux's joystick interface: give a /dev/input/js*, not an event device") from error
        return xbox(str(path))
    raw = bytearray(128)
    fcntl.ioctl(fd, _read(_NAME, len(raw)), raw)
    called = bytes(raw).partition(b"\0")[0].decode("utf-8", "replace") or str(path)
    axis_map, button_map = bytearray(_MOST_AXES), bytearray(2 * _MOST_BUTTONS)
    fcntl.ioctl(fd, _read(_AXIS_MAP, len(axis_map)), axis_map)
    fcntl.ioctl(fd, _read(_BUTTON_MAP, len(button_map)), button_map)
    codes = struct.unpack(f"{_MOST_BUTTONS}H", button_map)
    return layout(called, codes[: count[1]], list(axis_map)[: count[0]], _vendor(fd))


def _read(number: int, size: int) -> int:
    """`_IOR('j', number, size)`."""
    return (2 << 30) | (size << 16) | (ord("j") << 8) | number


def _byte(fd: int, number: int) -> int:
    value = bytearray(1)
    fcntl.ioctl(fd, _read(number, 1), value)
    return value[0]


def _vendor(fd: int) -> int | None:
    """The vendor of a device, from sysfs."""
    number = os.fstat(fd).st_rdev
    try:
        text = Path(f"/sys/dev/char/{os.major(number)}:{os.minor(number)}/device/id/vendor").read_text(encoding="ascii")
        return int(text, 16)
    except (OSError, ValueError):
        return None
