"""The operator's keys, sticks and screen: in a real terminal, against a running robot."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.safety import Event, Mode
from bridge.logs.reader import read_log
from bridge.operator.attended import Attended
from bridge.operator.controls import JS_EVENT, Gamepad, Keyboard
from bridge.operator.dashboard import render, snapshot
from policies.contract.file import PolicyFile
from tests.bridge_helpers import REPOSITORY, FakeTransport, wait_for
from tests.make_policy import POSE, asking, go1_spec, make_policy

UP, LEFT = b"\x1b[A", b"\x1b[D"
ESCAPES, FORWARD = re.compile(rb"\x1b\[[0-?]*[@-~]"), re.compile(rb"vx \+(0\.[3-9]|[1-9])")


@pytest.fixture
def terminal() -> Iterator[tuple[int, Any]]:
    """A terminal: the end that types, and the file that a program reads."""
    mine, theirs = pty.openpty()
    with os.fdopen(theirs, "r+b", buffering=0) as file:
        yield mine, file
    with contextlib.suppress(OSError):  # a test may have hung up
        os.close(mine)


def test_keys_ask_and_steer(terminal: tuple[int, Any]) -> None:
    typist, file = terminal
    spec = go1_spec()
    upper = np.array(spec.command.upper)
    with Keyboard(spec, file) as keyboard:
        assert keyboard.poll().requests == ()
        os.write(typist, b"12" + UP * 5 + LEFT)
        seen: list[Any] = []
        assert wait_for(lambda: bool(seen.append(keyboard.poll()) or seen[-1].requests), 2)
        assert seen[-1].requests == (Event.STAND, Event.START)
        np.testing.assert_allclose(seen[-1].command, [0.5 * upper[0], 0.0, 0.1 * upper[2]])
        np.testing.assert_allclose(keyboard.poll().command, seen[-1].command)  # it stays
        os.write(typist, b" ")
        assert wait_for(lambda: Event.ESTOP in keyboard.poll().requests, 2)
        np.testing.assert_allclose(keyboard.poll().command, 0.0)  # and a stop forgets it
        os.write(typist, b"q")
        assert wait_for(lambda: keyboard.poll().quit, 2)


@pytest.mark.parametrize(
    "typed",
    [b"\x1b[1;2A", b"\x1b[1;3B", b"\x1b[21~", b"\x1b[23~", b"\x1bOQ", b"\x1b[12~", b"\x1b2", b"\x1b[1;5C", b"\x1b[3~", b"\x1b[200~"],
    ids=["shift-up", "alt-down", "F10", "F11", "F2", "rxvt F2", "alt-2", "ctrl-right", "delete", "paste"],
)
def test_keys_that_send_sequences_move_nobody(terminal: tuple[int, Any], typed: bytes) -> None:
    typist, file = terminal
    with Keyboard(go1_spec(), file) as keyboard:
        for part in (typed, typed[:1], typed[1:]):  # whole, and torn in two by some steps
            os.write(typist, part)
            for _ in range(3):
                time.sleep(0.01)
                said = keyboard.poll()
                assert said.requests == ()
                assert not said.quit
                np.testing.assert_array_equal(said.command, 0.0)
        os.write(typist, b"\x1b ")  # whatever it may mean elsewhere, who hits the space bar wants to stop
        assert wait_for(lambda: Event.ESTOP in keyboard.poll().requests, 1)
        os.write(typist, UP[:1])
        keyboard.poll()
        os.write(typist, UP[1:])
        said: Any = None

        def steered() -> bool:
            nonlocal said
            said = keyboard.poll()
            return bool(np.any(said.command))

        assert wait_for(steered, 1)  # an arrow that came in two parts is an arrow
        assert said.steered


STOPS = {
    "escape twice": b"\x1b\x1b3",
    "alt-up of some terminals": b"\x1b\x1b[A3",
    "alt-3": b"\x1b3",
    "a terminal's answer": b"\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\3",
    "a terminal's name": b"\x1bP>|XTerm(312)\x1b\\3",
    "a long answer": b"\x1b[?64;1;2;6;9;15;16;17;18;21;22;28c3",
}


@pytest.mark.parametrize("typed", STOPS.values(), ids=STOPS)
def test_stop_is_heard_whatever_came_before_and_nothing_else_is(terminal: tuple[int, Any], typed: bytes) -> None:
    typist, file = terminal
    for cut in range(len(typed)):
        with Keyboard(go1_spec(), file) as keyboard:
            requests: list[Event] = []
            for part in (typed[:cut], typed[cut:]):
                if part:
                    os.write(typist, part)
                    time.sleep(0.002)
                    requests += keyboard.poll().requests
            assert requests == [Event.STOP], cut


def test_a_sequence_that_never_ends_holds_no_stop_back(terminal: tuple[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.operator.controls.PATIENCE_NS", 50_000_000)
    typist, file = terminal
    with Keyboard(go1_spec(), file) as keyboard:
        requests: list[Event] = []
        os.write(typist, b"\x1b]12r")
        for _ in range(40):  # whoever hammers on the key must not be kept waiting by each press
            os.write(typist, b"3")
            time.sleep(0.005)
            requests += keyboard.poll().requests
        assert requests
        assert set(requests) == {Event.STOP}


def test_who_steered_last_has_the_command(tmp_path: Path) -> None:
    from bridge.operator.controls import Said

    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    wire, device = FakeTransport(policy.spec), Typed()
    attended = Attended(wire, [device], None, dry_run=False)  # type: ignore[list-item, arg-type]
    mine = np.array([0.1, 0.2, 0.3])
    heard = [np.array([0.5, 0.0, 0.0])]
    read = wire.read

    def with_command() -> Any:
        inputs = read()
        inputs.command, inputs.command_ns = (heard[0], 7) if heard else (None, 0)
        return inputs

    wire.read = with_command  # type: ignore[method-assign]
    device.said, device.holds = [Said((), mine)] * 6, False
    inputs = attended.read()
    assert (inputs.command_ns, inputs.command[0]) == (7, 0.5)  # nobody touched the keys: the wire's command ages on its own
    device.holds = True
    np.testing.assert_array_equal(attended.read().command, mine)
    heard[0] = np.array([0.6, 0.0, 0.0])
    assert attended.read().command[0] == 0.6
    assert not device.holds
    heard.clear()
    np.testing.assert_array_equal(attended.read().command, mine)  # no wire steers: the keys do, also at rest


def test_a_device_that_steers_takes_the_command_from_the_others(tmp_path: Path) -> None:
    from bridge.operator.controls import Said

    keys, pad = Typed(), Typed()
    attended = Attended(FakeTransport(go1_spec()), [keys, pad], None, dry_run=False)  # type: ignore[list-item, arg-type]
    keys.holds = pad.holds = False
    ours, theirs = np.array([0.0, 0.0, 0.0]), np.array([0.5, 0.0, 0.0])
    keys.said, pad.said = [Said((), ours, steered=True)], [Said((), theirs)]
    np.testing.assert_array_equal(attended.read().command, ours)
    keys.said, pad.said = [Said((), ours)] * 3, [Said((), theirs)]
    np.testing.assert_array_equal(attended.read().command, ours)
    pad.said = [Said((), theirs, steered=True), Said((), theirs)]
    for _ in range(2):
        np.testing.assert_array_equal(attended.read().command, theirs)
    keys.said, pad.said = [Said((), ours)], [Said((Event.STOP,))]  # unplugged
    np.testing.assert_array_equal(attended.read().command, ours)


def test_keys_do_not_steer_what_is_no_velocity_and_say_so(terminal: tuple[int, Any]) -> None:
    typist, file = terminal
    with Keyboard(asking("goal_pose", POSE), file) as keyboard:
        assert "keys give velocities, no goal_pose" in keyboard.help
        assert "arrows" not in keyboard.help
        os.write(typist, UP + b"1")
        seen: list[Any] = []
        assert wait_for(lambda: bool(seen.append(keyboard.poll()) or seen[-1].requests), 2)
        assert {said.command is None and not said.steered for said in seen} == {True}


def test_a_lost_terminal_stops(terminal: tuple[int, Any]) -> None:
    typist, file = terminal
    keyboard = Keyboard(go1_spec(), file)
    os.close(typist)
    said = keyboard.poll()
    assert said.requests == (Event.STOP,)
    assert said.quit
    keyboard.close()


def press(number: int, value: int = 1) -> bytes:
    return JS_EVENT.pack(0, value, 1, number)


def move(axis: int, value: int) -> bytes:
    return JS_EVENT.pack(0, value, 2, axis)


def test_the_sticks_do_nothing_where_the_policy_takes_no_velocity(tmp_path: Path) -> None:
    """Nor do they end the loop of one whose command has fewer entries than a velocity."""
    device = tmp_path / "js0"
    os.mkfifo(device)
    writer = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    pad = Gamepad(asking("motion", ("phase",)), device)
    try:
        os.write(writer, move(3, -32767) + press(1))
        said = pad.poll()
        assert (said.requests, said.command) == ((Event.ESTOP,), None)
    finally:
        pad.close()
        os.close(writer)


def test_a_gamepad_steers_only_while_its_deadman_is_held_and_stops_when_it_vanishes(tmp_path: Path) -> None:
    assert struct.calcsize("IhBB") == 8
    device = tmp_path / "js0"
    os.mkfifo(device)
    writer = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    spec = go1_spec()
    pad = Gamepad(spec, device)
    try:
        np.testing.assert_array_equal(pad.poll().command, 0.0)
        os.write(writer, move(1, -32767) + move(0, 3000))
        np.testing.assert_array_equal(pad.poll().command, 0.0)  # nobody holds L1
        os.write(writer, press(4))
        np.testing.assert_allclose(pad.poll().command, [spec.command.upper[0], 0.0, 0.0])
        os.write(writer, press(1) + press(0))
        assert pad.poll().requests == (Event.ESTOP, Event.STAND)
        os.write(writer, press(4, 0))
        np.testing.assert_array_equal(pad.poll().command, 0.0)
        os.write(writer, press(3)[:5])
        assert pad.poll().requests == ()
        os.write(writer, press(3)[5:])
        assert pad.poll().requests == (Event.START,)
        resync = [JS_EVENT.pack(0, 1, 0x81, number) for number in (1, 3)]  # Linux, after events were lost: how things stand
        os.write(writer, b"".join(resync))
        assert pad.poll().requests == (Event.ESTOP,)
        os.write(writer, press(4) + move(1, -20000))
        assert pad.poll().steered
        assert not pad.poll().steered
    finally:
        os.close(writer)
    said = pad.poll()
    assert said.requests == (Event.STOP,)
    assert said.command is None
    assert pad.poll().requests == ()


class Typed:
    """A device that says what a test wants."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.holds = True

    def poll(self) -> Any:
        from bridge.operator.controls import Said

        return self.said.pop(0) if self.said else Said()

    def close(self) -> None:
        self.closed = True


def test_requests_and_commands_of_devices_join_the_inputs_and_the_screen_shows_them(tmp_path: Path) -> None:
    from rich.console import Console

    from bridge.operator.controls import Said

    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    controller = Controller(policy)
    controller.arm()
    wire, device = FakeTransport(policy.spec), Typed()
    attended = Attended(wire, [device], None, dry_run=False)  # type: ignore[list-item, arg-type]
    loop = attended.loop = ControlLoop(controller, attended)
    device.said = [Said(), Said((Event.STAND,), np.array([0.1, 0.2, 0.3]), steered=True)]
    deadline = wire.now
    for _ in range(3):
        attended.wait_until(deadline)
        deadline = loop.tick(deadline)
        if controller.mode is Mode.STAND:
            np.testing.assert_array_equal(controller.inputs.command, [0.1, 0.2, 0.3])  # type: ignore[arg-type]
            break
    assert controller.mode is Mode.STAND
    device.said = [Said((Event.ESTOP,))]
    loop.tick(deadline)
    assert controller.mode is Mode.FAULT
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    temperature = {"temperature": [41.0] * 12}
    status = snapshot(loop, {"name": "linear", **temperature})
    console.print(render(status, ["1.0 s  stand -> fault: emergency stop"]))
    text = console.export_text()
    for word in ("FAULT", "since: emergency stop", "r resets", "50 Hz", "vx +0.00", "space EMERGENCY STOP"):
        assert word in text, text
    assert "41 C" not in text  # nobody asks a damped joint for anything
    console.print(render({**status, "error": [0.1] * 12}, []))
    text = console.export_text()
    assert "41 C" in text
    assert "error [rad]" in text
    attended.close()
    assert device.closed


@pytest.mark.slow
def test_a_person_in_a_terminal_stands_walks_and_stops_the_robot(tmp_path: Path) -> None:
    mine, theirs = pty.openpty()
    log = tmp_path / "run.mcap"
    arguments = [sys.executable, "-m", "robolearn", "deploy", "go1-velocity", "--transport", "sim", "--log", str(log)]
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(REPOSITORY), "COLUMNS": "120", "LINES": "40"}
    child = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment, start_new_session=True)
    os.close(theirs)
    os.set_blocking(mine, False)
    seen = b""

    def shows(word: bytes, timeout_s: float) -> bool:
        def look() -> bool:
            nonlocal seen
            with contextlib.suppress(OSError):
                seen += os.read(mine, 1 << 20)
            return word in seen

        return wait_for(look, timeout_s)

    try:
        assert shows(b"DAMPING", 60), seen[-2000:]
        os.write(mine, b"1")
        assert shows(b"STAND", 30)

        def start() -> None:  # it is refused as long as the robot stands up, which a busy computer takes its time for
            os.write(mine, b"2")
            time.sleep(0.5)

        assert wait_for(lambda: shows(b"POLICY", 0.1), 60, start), seen[-2000:]
        os.write(mine, UP * 5)
        assert wait_for(lambda: shows(b"", 0.1) and FORWARD.search(ESCAPES.sub(b"", seen)) is not None, 30), seen[-2000:]
        time.sleep(0.5)  # some ticks with that command
        os.write(mine, b" ")
        assert shows(b"FAULT", 30)
        os.write(mine, b"q")
        assert wait_for(lambda: shows(b"timing:", 0.1) or child.poll() is not None, 20)
        assert child.wait(20) == 1  # it ended in fault
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(mine)
    recorded = read_log(log)
    assert recorded.complete
    went = [(event["from"], event["to"]) for event in recorded.events if event["event"] == "transition"]
    assert went == [("damping", "stand"), ("stand", "policy"), ("policy", "fault")]
    assert recorded.ticks["command"].max() > 0.3


@pytest.mark.slow
def test_a_paused_terminal_keeps_nobody_from_ending(tmp_path: Path) -> None:
    """Ctrl-S: nothing is printed any more; a signal still damps the robot and ends the program, with its log whole."""
    mine, theirs = pty.openpty()
    log = tmp_path / "run.mcap"
    arguments = [sys.executable, "-m", "robolearn", "deploy", "go1-velocity", "--transport", "sim", "--log", str(log)]
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(REPOSITORY)}
    child = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment, start_new_session=True)
    try:
        os.set_blocking(mine, False)
        seen: list[bytes] = []

        def damped() -> bool:
            with contextlib.suppress(OSError):
                seen.append(os.read(mine, 1 << 20))
            return b"DAMPING" in b"".join(seen)

        assert wait_for(damped, 60)
        termios.tcflow(theirs, termios.TCOOFF)  # as Ctrl-S does
        time.sleep(1.0)
        child.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        child.send_signal(signal.SIGTERM)  # who sees nothing happen asks again
        assert child.wait(20) == 0
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(theirs)
        os.close(mine)
    assert read_log(log).complete
