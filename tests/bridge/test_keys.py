"""Keys in the encodings that terminals have: the emergency stop in all of them, and nothing that moves a robot by accident."""

from __future__ import annotations

import pytest

from bridge.operator.keys import name, names, split

SPACE = {
    "plain": b" ",
    "control": b"\x00",
    "alt": b"\x1b ",
    "option, altgr": "\u00a0".encode(),
    "an input method's": "\u3000".encode(),
    "application keypad": b"\x1bO ",
    "kitty": b"\x1b[32u",
    "kitty, control": b"\x1b[32;5u",
    "kitty, locks": b"\x1b[32;193u",
    "kitty, pressed": b"\x1b[32;1:1u",
    "kitty, repeated": b"\x1b[32;1:2u",
    "kitty, released": b"\x1b[32;1:3u",
    "kitty, alternates": b"\x1b[32:32:32;2u",
    "kitty, text": b"\x1b[32;;32u",
    "kitty, another layout": b"\x1b[160::32;1u",
    "modifyOtherKeys": b"\x1b[27;5;32~",
    "modifyOtherKeys, shift": b"\x1b[27;2;32~",
    "windows": b"\x1b[32;57;32;1;0;1_",
    "windows, control": b"\x1b[32;57;0;1;8;1_",
    "eight bits": b"\x9b32;5u",
}


@pytest.mark.parametrize("key", SPACE.values(), ids=SPACE)
def test_the_space_bar_is_the_space_bar_in_every_encoding(key: bytes) -> None:
    for before in (b"", b"1", b"\x1b[1;5C", "ä".encode(), b"\xe4", b"\x1b"):
        if before == b"\xe4" and key[0] == 0x9B:
            continue  # together they may be the beginning of a character
        found, rest = split(before + key)
        assert "space" in list(names(found)), (before, found, rest)


MEANS = {
    b"\x1bOA": "up",
    b"\x1bOD": "left",
    b"\x1b[1;1B": "down",
    b"\x1b[1;129C": "right",  # Num lock
    b"\x1b[57419u": "up",
    b"\x1bOr": "2",  # the application keypad
    b"\x1b[57401u": "2",
    b"\x1b[51u": "3",
    b"\x1b[51;3u": "3",
    b"\x1b[27;3;51~": "3",
    b"\x1b[51;4;51;1;0;1_": "3",
    b"\x1b[38;72;0;1;256;1_": "up",
    "３".encode(): "3",
    b"Q": "quit",
    b"\x1bq": "quit",
    b"\x1b[99;5u": "quit",  # Ctrl-C that no terminal driver sees
    b"\x1b[122;5u": "quit",
    b"\x1b[67;46;3;1;8;1_": "quit",
}


@pytest.mark.parametrize(("key", "meaning"), MEANS.items())
def test_other_keys_mean_what_they_are(key: bytes, meaning: str) -> None:
    assert split(key) == ([key], b"")
    assert name(key) == meaning


NOTHING = (
    b"\x1b[1;5A",  # control-up
    b"\x1b[1;1:3A",  # up, released
    b"\x1b[49;5u",  # control-1
    b"\x1b[49;1:3u",  # 1, released
    b"\x1b[27;5;50~",
    b"\x1b[50;3;50;0;0;1_",  # 2, released
    b"\x1b[50;3;50;1;8;1_",
    b"\x1b2",
    b"\x1b[0n",  # an answer
    b"\x1b[12;1R",
    b"\x1b[<0;1;2M",  # mice
    b"\x1b[M#12",
    b"\x1b[I",
    "２".encode(),
    b"\xff",
)


@pytest.mark.parametrize("key", NOTHING)
def test_nothing_else_moves_anybody(key: bytes) -> None:
    found, rest = split(key)
    assert rest == b""
    assert list(names(found)) == []


def test_what_is_pasted_only_ends_things() -> None:
    found, _ = split(b"\x1b[200~12a r3\x1b[201~1")
    assert list(names(found)) == ["space", "3", "1"]
