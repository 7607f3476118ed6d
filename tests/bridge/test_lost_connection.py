"""An operator whose connection to the robot breaks without a word: a cable between two network namespaces is pulled."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.operator.terminal import QUESTION
from tests.bridge_helpers import REPOSITORY, events, wait_for
from tests.remote_terminal import Cable, cable, why_not

UP = b"\x1b[A"


@pytest.fixture
def ends() -> Iterator[Cable]:
    if reason := why_not():
        pytest.skip(reason)
    with cable() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("command", [(), ("--command", "0.5", "0", "0")], ids=["keys", "fixed"])
def test_a_cable_that_is_pulled_ends_the_policy_and_the_robot_is_damped(tmp_path: Path, ends: Cable, command: tuple[str, ...]) -> None:
    seen = tmp_path / "events.jsonl"
    run = [sys.executable, "-m", "robolearn", "deploy", "go1-velocity", "--transport", "sim", "--no-log", "--realtime", *command]
    serving = ends.on_robot([sys.executable, "-m", "tests.remote_terminal", *run, "--events", str(seen)])
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm"}
    for variable in ("TMUX", "STY", "ZELLIJ"):
        environment.pop(variable, None)
    # a server is nobody's child, least of all that of what the tests are started in
    server = subprocess.Popen(["setsid", *serving], cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)
    laptop = ends.connect()
    laptop.setblocking(True)

    def answer() -> None:
        with contextlib.suppress(OSError):  # it was closed
            while data := laptop.recv(1 << 16):
                laptop.sendall(b"\x1b[0n" * data.count(QUESTION))

    threading.Thread(target=answer, daemon=True).start()

    def went(word: str) -> bool:
        return any(word in str(event) for event in events(seen))

    def press(key: bytes, word: str) -> bool:
        return wait_for(lambda: went(word), 60, lambda: (laptop.sendall(key), time.sleep(0.5))[1])

    try:
        assert wait_for(lambda: went("damping"), 90)
        assert press(b"1", "'to': 'stand'"), events(seen)
        assert press(b"2", "'to': 'policy'"), events(seen)
        laptop.sendall(b"" if command else UP * 10 + b"h")
        time.sleep(2.5)
        assert not went("'from': 'policy'")
        ends.pull()
        assert wait_for(lambda: went("'from': 'policy', 'to': 'damping'"), 30), events(seen)[-5:]
        assert went("no longer answers")
    finally:
        ends.plug()  # so that the end of the connection gets through
        laptop.close()
        server.kill()
        server.wait()
