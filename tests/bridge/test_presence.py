"""What counts as a sign of the person at a terminal: their keys, and answers of the terminal itself; not what only looks like either."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.operator import keys
from bridge.operator.controls import Keyboard
from bridge.operator.terminal import Clients
from tests.bridge_helpers import wait_for
from tests.make_policy import go1_spec
from tests.terminals import at_terminal, notices, polled

UP = b"\x1b[A"
ANSWERS = {"plain": b"\x1b[0n", "eight bits": b"\x9b0n", "not well": b"\x1b[3n"}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_in_any_form_is_a_sign_of_the_terminal_and_no_key(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    with at_terminal(monkeypatch) as (someone, file):
        someone.answer = answer
        keyboard = Keyboard(go1_spec(), file, hold_s=1.2)
        polled(keyboard, lambda said: keyboard._presence.proves)  # pyright: ignore[reportPrivateUsage]
        os.write(someone.fd, UP * 5)
        polled(keyboard, lambda said: bool(np.any(said.command)))
        said = polled(keyboard, lambda said: not np.any(said.command))  # although answers go on
        assert "halt: no key" in notices(said)
        keyboard.close()


REPORTS = {
    "attributes": b"\x1b[?1;2c",
    "cursor": b"\x1b[12;40R",
    "an echo": b"\x1b[5n",
    "colour": b"\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\",
    "focus": b"\x1b[O\x1b[I",
    "mouse": b"\x1b[<35;10;20M",
    "noise": b"\xff\xfe\x80",
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_what_no_hand_has_typed_renews_no_command(monkeypatch: pytest.MonkeyPatch, report: bytes) -> None:
    with at_terminal(monkeypatch) as (someone, file):
        someone.there = False
        keyboard = Keyboard(go1_spec(), file, hold_s=0.8, silence_s=2.0)
        os.write(someone.fd, UP * 5 + b"h")
        polled(keyboard, lambda said: bool(np.any(said.command)))
        end = time.monotonic() + 6.0

        def aged(said: Any) -> bool:
            os.write(someone.fd, report)
            return said.age_s > 2.0 or time.monotonic() > end

        assert "no key" in polled(keyboard, aged)[-1].hint
        keyboard.close()


def test_keys_are_typed_by_hand_and_reports_are_not() -> None:
    for key in (
        b"\x1b[A",
        b"\x1bOA",
        b"\x1b[1;5A",
        b"\x1b[32u",
        b"\x1b[97;1:3u",
        b"\x1b[3~",
        b"\x1b2",
        "ä".encode(),
        b"x",
        b"\r",
        b"\x1bOP",
    ):
        assert keys.by_hand(key), key
    for report in REPORTS.values():
        found, rest = keys.split(report)
        assert rest == b""
        assert not any(keys.by_hand(key) for key in found), report


def test_an_answer_that_takes_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop key would take as long. Two and a half seconds after the question is lost, however steadily answers come."""
    with at_terminal(monkeypatch) as (someone, file):
        someone.after_s = 2.5
        keyboard = Keyboard(go1_spec(), file)
        said = polled(keyboard, lambda said: said.lost)
        assert said[-1].age_s > 2.0
        assert "answers only after 2.5 s" in notices(said)
        end = time.monotonic() + 7.0
        said = polled(keyboard, lambda said: time.monotonic() > end)
        assert all(one.lost for one in said)
        someone.after_s = 0.0
        polled(keyboard, lambda said: not said.lost and said.age_s == 0)
        keyboard.close()


def test_a_question_that_gets_lost_makes_no_later_answer_late(monkeypatch: pytest.MonkeyPatch) -> None:
    with at_terminal(monkeypatch) as (_, file):
        keyboard = Keyboard(go1_spec(), file)
        presence = keyboard._presence  # pyright: ignore[reportPrivateUsage]
        polled(keyboard, lambda said: presence.proves)
        presence._open.extend([time.monotonic_ns() - 3_000_000_000] * 3)  # pyright: ignore[reportPrivateUsage] # never answered
        polled(keyboard, lambda said: said.lost)
        polled(keyboard, lambda said: not said.lost and said.age_s == 0)
        end = time.monotonic() + 2.0
        assert not any(one.lost for one in polled(keyboard, lambda said: time.monotonic() > end))
        keyboard.close()


@pytest.mark.parametrize(("term", "name", "called"), [("xterm", b"\x1b[>84;0;0c", "tmux"), ("xterm", b"\x1b[>83;40500;0c", "screen")])
def test_tmux_at_the_far_end_of_a_connection_is_no_person(monkeypatch: pytest.MonkeyPatch, term: str, name: bytes, called: str) -> None:
    """Somebody sits in tmux on a laptop, runs ssh to the robot there, and detaches: tmux goes on to answer."""
    with at_terminal(monkeypatch, term) as (someone, file):
        someone.name = name
        keyboard = Keyboard(go1_spec(), file, silence_s=2.0)
        os.write(someone.fd, UP + b"h")
        said = polled(keyboard, lambda said: said.age_s > 2.0)
        assert not said[-1].lost
        assert f"this terminal is {called}'s" in notices(said)
        assert np.any([one.command for one in said])
        someone.there = False  # and the connection to it may break all the same
        said = polled(keyboard, lambda said: said.lost)
        assert "no longer answers" in notices(said)
        keyboard.close()


def test_the_name_of_such_a_terminal_tells_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with at_terminal(monkeypatch, "screen-256color") as (_, file):
        keyboard = Keyboard(go1_spec(), file, silence_s=1.0)
        polled(keyboard, lambda said: keyboard._presence.answers)  # pyright: ignore[reportPrivateUsage]
        assert "no key" in polled(keyboard, lambda said: said.age_s > 0)[-1].hint
        keyboard.close()


@pytest.mark.slow
def test_who_looks_at_a_pane_by_another_session_of_its_group_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux, whose sessions it is about (Debian: apt-get install tmux)")
    socket = str(tmp_path / "socket")
    tmux = ["tmux", "-S", socket, "-f", "/dev/null"]
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("TMUX", None)

    def ask(*words: str) -> str:
        return subprocess.run([*tmux, *words], env=environment, capture_output=True, text=True, check=True).stdout.strip()

    ask("new-session", "-d", "-s", "robot", "sleep 600")
    ask("new-session", "-d", "-t", "robot", "-s", "grouped")
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    attach = [*tmux, "attach", "-t", "grouped"]
    client = subprocess.Popen(attach, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True)
    clients = None
    try:
        assert wait_for(lambda: ask("list-clients") != "", 20)
        assert ask("display-message", "-p", "-t", "robot", "#{session_attached}") == "0"
        monkeypatch.setenv("TMUX", f"{socket},{ask('display-message', '-p', '#{pid}')},0")
        monkeypatch.setenv("TMUX_PANE", ask("list-panes", "-t", "robot", "-F", "#{pane_id}"))
        clients = Clients()
        end = time.monotonic() + 3.0
        assert not wait_for(lambda: clients.gone_ns is not None, end - time.monotonic())
        ask("detach-client", "-s", "grouped")
        assert wait_for(lambda: clients.gone_ns is not None, 20)
    finally:
        if clients is not None:
            clients.close()
        subprocess.run([*tmux, "kill-server"], env=environment, check=False)
        client.kill()
        client.wait()
        os.close(theirs)
        os.close(mine)
