"""Decodes keys from terminals in every encoding, by their meaning.

The same key comes as one byte, as a sequence of ECMA-48 (cursor keys in normal and application mode, the application keypad, each with
modifiers), in xterm's `modifyOtherKeys`, in kitty's protocol, as Windows' console events, and through an input method as another character
that looks the same. A crashed program may have left a terminal in any of these modes. Anything that can be read as the space bar is the
space bar, with any modifier, pressed or released: it is the emergency stop. All other keys only count without modifiers except the locks
(Caps, Num); keys that end something (`3`, `q`, Ctrl-C) also count with Alt and in capitals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

KEY = re.compile(
    rb"\x1b\[M[\s\S]{3}|(?:\x1b\[(?!M)|\x9b)[0-?]*[ -/]*[@-~]|\x1bO[0-9;]*[A-D]|\x1bO[ @-~]|\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)"
    rb"|\x1b(?=[\x1b\x80-\xff])|\x1b[^\x1b\x80-\xff\[O\]P_^X]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
    rb"|[\xc2-\xf4][\x80-\xbf]{0,2}(?=[^\x80-\xbf])|[^\x1b\x9b\xc2-\xf4]",
    re.DOTALL,
)
"""A key as terminals send it: a mouse's report, a sequence of ECMA-48, a cursor key with old modifiers, a function key, a terminal's answer
to a question, the escape key before another sequence, a key with Alt, a character of UTF-8, or a byte."""
ANSWER = re.compile(rb"(?:\x1b\[|\x9b)[03](?:;0)?n")
"""A terminal's answers to `terminal.QUESTION`: ready or not, in seven or eight bits."""
REPORT = re.compile(rb"(?:\x1b\[|\x9b)(?:[<>=?]?[0-9:;]*[nRctyxMm]|[<>=?][0-?]*[ -/]*[@-~]|[0-9;]*\$y|[IO]|M[\s\S]{3})|\x1b[\]P_^X][\s\S]*")
"""What comes from a terminal and from no key: answers, where the window's focus or the mouse is, and a question that an echo sends back."""
NAMED = re.compile(rb"(?:\x1b\[|\x9b)>(\d+)(?:;\d*)*c")
KEEPERS = {84: "tmux", 83: "screen"}
"""What keeps a terminal alive while nobody looks at it, by the number that it answers to `terminal.NAME` (device attributes)."""

SPACES = frozenset({0x00, 0x20, 0xA0, *range(0x2000, 0x200C), 0x202F, 0x205F, 0x3000})
"""Characters that a space bar gives: with Ctrl, plain, with AltGr or Option, and by an input method."""
ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
KITTY = {57417: "left", 57418: "right", 57419: "up", 57420: "down", **{57399 + digit: str(digit) for digit in range(10)}}
VIRTUAL = {0x20: "space", 0x25: "left", 0x26: "up", 0x27: "right", 0x28: "down"}
KEYPAD = {chr(ord("p") + digit): str(digit) for digit in range(10)}
SHIFT, ALT, CTRL, LOCKS = 1, 2, 4, 64 | 128
ENDING = {"3", "q", "Q"}
"""Keys that only ever end something: heard with Alt, and where they are all that is left of something else."""
LEAVE = frozenset("cCzZ\\")
"""With Ctrl these are signals where the terminal makes them; where it sends them as keys, they mean the same."""


def split(typed: bytes) -> tuple[list[bytes], bytes]:
    """Split what was typed into keys, and what may be the beginning of one. A key that means nothing here is a key all the same."""
    keys: list[bytes] = []
    while (found := KEY.match(typed)) is not None:
        keys.append(found.group())
        typed = typed[found.end() :]
    return keys, typed


def name(key: bytes) -> str:
    """The meaning of a key: `space`, `up`, `down`, `left`, `right`, `quit`, or its character; empty for none."""
    if key[:2] == b"\x1bO":
        last = chr(key[-1])
        return "space" if last == " " else KEYPAD.get(last, "") if len(key) == 3 and last in KEYPAD else _arrow(key[2:])
    if key[:2] == b"\x1b[" or (key[:1] == b"\x9b" and len(key) > 1):
        return _sequence(key.removeprefix(b"\x1b[").removeprefix(b"\x9b").decode("ascii", "replace"))
    if key[:1] == b"\x1b" and len(key) == 2:
        return _pressed(key[1], ALT)
    if key[:1] == b"\x1b":
        return ""
    try:
        return _pressed(ord(key.decode()), 0)
    except (UnicodeDecodeError, TypeError):
        return ""


def by_hand(key: bytes) -> bool:
    """Whether a person must have typed it: not an answer or report of a terminal, and not an invalid character."""
    if REPORT.fullmatch(key) is not None:
        return False
    return key[:1] == b"\x1b" or len(key) > 1 or key[0] < 0x80


def keeper(key: bytes) -> str:
    """What keeps the terminal alive that gave this answer; empty where it is none of these, or no such answer."""
    named = NAMED.fullmatch(key)
    return "" if named is None else KEEPERS.get(int(named.group(1)), "")


def names(keys: list[bytes]) -> Iterator[str]:
    """The meanings of keys in order; of pasted text only keys that end something."""
    pasted = False
    for key in keys:
        if key in (b"\x1b[200~", b"\x1b[201~"):
            pasted = key == b"\x1b[200~"
            continue
        said = name(key)
        if said and (not pasted or said in ("space", "quit", "3")):
            yield said


def _sequence(text: str) -> str:
    """The meaning of a control sequence without its introducer."""
    last, fields = text[-1], [[_number(part) for part in field.split(":")] for field in text[:-1].split(";")]
    if text[0] in "<=>?M":
        return ""
    if last == "u":
        return _other(fields[0], fields[1] if len(fields) > 1 else [1], fields[2] if len(fields) > 2 else [])
    if last == "~" and fields[0] == [27] and len(fields) == 3:
        return _other(fields[2], fields[1], [])
    if last == "_" and len(fields) >= 4:
        return _windows([field[0] for field in fields])
    return _arrow(text.encode()) if last in ARROWS else ""


def _other(codes: list[int], modifiers: list[int], text: list[int]) -> str:
    """A key of kitty's protocol or `modifyOtherKeys`: its character and other names of it, modifiers + 1 and event, the text it gives."""
    if not SPACES.isdisjoint(code for code in (*codes, *text) if code > 0):
        return "space"
    released = len(modifiers) > 1 and modifiers[1] == 3
    if released:
        return ""
    held = max(0, modifiers[0] - 1) & ~LOCKS
    if codes[0] in KITTY:
        return KITTY[codes[0]] if held == 0 else ""
    return _pressed(codes[0], held)


def _windows(fields: list[int]) -> str:
    """A console event of Windows: virtual key, scan code, character, whether it is down, state of the modifiers."""
    virtual, _, character, down, *state = fields
    if virtual == 0x20 or character == 0x20:
        return "space"
    held = state[0] if state else 0
    if down != 1:
        return ""
    control, alt, shift = held & 0x0C, held & 0x03, held & 0x10
    if character == 3 or (control and 0x20 < virtual < 0x7F and chr(virtual) in LEAVE):
        return "quit"
    bits = (CTRL if control else 0) | (ALT if alt else 0) | (SHIFT if shift else 0)
    if virtual in VIRTUAL:
        return VIRTUAL[virtual] if bits == 0 else ""
    return _pressed(character, bits & ~SHIFT) if character > 0 else ""


def _pressed(code: int, held: int) -> str:
    """A character with modifiers."""
    if code in SPACES:
        return "space"
    if 0xFF01 <= code <= 0xFF5E and chr(code - 0xFEE0) in ENDING:  # of full width, by an input method
        code -= 0xFEE0
    if not 0x20 < code < 0x7F:
        return ""
    character = chr(code)
    if held & CTRL:
        return "quit" if character in LEAVE else ""
    if character in ("q", "Q"):
        return "quit"
    return character if held == 0 or (held & ALT and character in ENDING) else ""


def _arrow(text: bytes) -> str:
    """A cursor key, by its sequence without introducer; only without modifiers, and not where it is let go."""
    parts = text[:-1].decode("ascii", "replace").split(";")
    modifiers = [_number(part) for part in parts[-1].split(":")] if parts != [""] else [1]
    if len(parts) == 1 and parts != [""] and parts[0] != "1":
        return ""
    plain = max(0, modifiers[0] - 1) & ~LOCKS == 0
    return ARROWS.get(chr(text[-1]), "") if plain and not (len(modifiers) > 1 and modifiers[1] == 3) else ""


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 8 else -1
