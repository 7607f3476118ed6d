"""An operator who is lost without a sign: a terminal that stays while nobody is at it, a gamepad out of range, one that comes back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.safety import Event, Mode
from bridge.logs.reader import read_log
from bridge.operator import pads
from bridge.operator.attended import Attended
from bridge.operator.controls import JS_EVENT, Gamepad, Keyboard, Said
from bridge.operator.pads import PadError, layout
from policies.contract.file import PolicyFile
from tests.bridge_helpers import REPOSITORY, Driver, FakeTransport, events, wait_for
from tests.make_policy import go1_spec, make_policy
from tests.terminals import Person, at_terminal, notices, polled

UP = b"\x1b[A"


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Person, Any]]:
    with at_terminal(monkeypatch) as both:
        yield both


def test_a_terminal_that_does_not_answer_any_more_makes_the_command_old(person: tuple[Person, Any]) -> None:
    someone, file = person
    keyboard = Keyboard(go1_spec(), file, hold_s=30.0)
    polled(keyboard, lambda said: bool(keyboard._presence.answers))
    os.write(someone.fd, UP * 10)
    said = polled(keyboard, lambda said: said.command is not None and said.command[0] > 0.9)
    assert said[-1].age_s == 0.0
    someone.there = False
    said = polled(keyboard, lambda said: said.lost)
    assert said[-1].age_s > 1.9
    assert "no longer answers" in said[-1].hint
    assert "lost" in notices(said)
    someone.there = True
    os.write(someone.fd, b"\x1b[0n")
    said = polled(keyboard, lambda said: not said.lost)
    np.testing.assert_array_equal(said[-1].command, 0.0)  # type: ignore[arg-type] # who comes back begins at rest
    assert "there again" in notices(said)
    keyboard.close()


def test_a_command_from_keys_ends_some_seconds_after_the_last_key_unless_it_is_held(person: tuple[Person, Any]) -> None:
    someone, file = person
    keyboard = Keyboard(go1_spec(), file, hold_s=0.3)
    os.write(someone.fd, UP * 10)
    polled(keyboard, lambda said: bool(np.any(said.command)))
    said = polled(keyboard, lambda said: not np.any(said.command))
    assert "halt: no key for 0.3 s" in notices(said)
    os.write(someone.fd, UP * 5 + b"h")
    said = polled(keyboard, lambda said: bool(np.any(said.command)))
    assert "held" in notices(said)
    end = time.monotonic() + 1.0
    said = polled(keyboard, lambda said: time.monotonic() > end)
    assert all(np.any(one.command) for one in said)
    assert said[-1].state.startswith("command held")
    os.write(someone.fd, b"h")
    polled(keyboard, lambda said: not np.any(said.command))
    keyboard.close()


def test_where_the_terminal_cannot_tell_that_is_said_and_keys_alone_count(
    person: tuple[Person, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    someone, file = person
    someone.there = False
    monkeypatch.setattr("bridge.operator.terminal.PATIENCE_S", 0.2)
    keyboard = Keyboard(go1_spec(), file, hold_s=0.3, silence_s=2.0)
    said = polled(keyboard, lambda said: bool(said.notices))
    assert "only keys show that you are there" in notices(said)
    os.write(someone.fd, UP + b"h")
    polled(keyboard, lambda said: bool(np.any(said.command)))
    said = polled(keyboard, lambda said: said.age_s > 0)
    assert "no key" in said[-1].hint
    assert "the policy ends after 2 s without one" in notices(said)
    assert not said[-1].lost
    keyboard.close()


def test_a_keyboard_that_does_not_count_asks_for_no_key(person: tuple[Person, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody operates over the wire: the policy does not end for want of a key, so nothing says that it will."""
    someone, file = person
    someone.there = False
    monkeypatch.setattr("bridge.operator.terminal.PATIENCE_S", 0.1)
    keyboard = Keyboard(go1_spec(), file, hold_s=0.3, silence_s=1.0)
    wire = FakeTransport(go1_spec())
    attended = Attended(wire, [keyboard], None, dry_run=False)  # type: ignore[list-item, arg-type]
    lines: list[str] = []
    attended.on_line = attended.tell = lines.append
    said = []

    def tick() -> None:
        attended.read()
        said.append(attended.shown["operator"])

    assert not wait_for(lambda: any("press a key" in text for text in said), 1.5, tick)
    assert not keyboard.counts
    assert not [line for line in lines if "no key for" in line]
    keyboard.close()


def test_a_program_that_keeps_a_terminal_alive_is_named(person: tuple[Person, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    someone, file = person
    monkeypatch.setattr("bridge.operator.terminal.relay", lambda: "screen")
    keyboard = Keyboard(go1_spec(), file, silence_s=0.5)
    assert "kept alive by screen" in keyboard.begins
    os.write(someone.fd, b"\x1b[0n" * 3)  # the relay's own answer proves nothing
    polled(keyboard, lambda said: said.age_s > 0)
    keyboard.close()


def test_a_robot_whose_operator_is_lost_is_damped_and_told_why(tmp_path: Path, person: tuple[Person, Any]) -> None:
    someone, file = person
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    told: list[Any] = []
    controller = Controller(policy, on_event=told.append)
    controller.arm()
    wire = Paced(policy.spec)
    keyboard = Keyboard(policy.spec, file)
    attended = Attended(wire, [keyboard], None, dry_run=False)  # type: ignore[list-item, arg-type]
    attended.tell = lambda line: told.append({"event": "line", "text": line})
    loop = attended.loop = ControlLoop(controller, attended)
    deadline = wire.now + loop.period_ns

    def run(until: Callable[[], bool]) -> None:
        nonlocal deadline

        def step() -> None:
            nonlocal deadline
            attended.wait_until(deadline)
            deadline = loop.tick(deadline)

        assert wait_for(until, 30, step), told[-5:]

    run(lambda: keyboard._presence.answers)
    os.write(someone.fd, b"1")
    run(lambda: controller.mode is Mode.STAND and controller.refusal(Event.START) is None)
    os.write(someone.fd, b"2" + UP * 10 + b"h")
    run(lambda: controller.mode is Mode.POLICY)
    someone.there = False
    run(lambda: controller.mode is Mode.DAMPING)
    cause = [event["cause"] for event in told if event["event"] == "transition"][-1]
    assert "operator_heartbeat" in cause
    assert "terminal no longer answers" in cause
    attended.close()


class Paced(FakeTransport):
    """Good inputs at the pace of the wall, without a command of the wire's own."""

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        time.sleep(0.005)
        super().wait_until(deadline_ns, fresh_ns)

    def read(self) -> Any:
        inputs = super().read()
        inputs.command = None
        return inputs


def test_a_command_that_was_fixed_ends_with_the_terminal_too(tmp_path: Path) -> None:
    class Gone:
        holds = False

        def poll(self) -> Said:
            return Said(lost=True, notices=("lost",))

        def close(self) -> None:
            pass

    lines: list[str] = []
    attended = Attended(FakeTransport(go1_spec()), [Gone()], None, dry_run=False)  # type: ignore[list-item, arg-type]
    attended.tell, attended.alone = lines.append, True
    assert attended.read().requests == (Event.STOP,)
    assert attended.read().requests == ()  # said once
    assert lines[0] == "lost"


# --- gamepads


def press(number: int, value: int = 1, init: bool = False) -> bytes:
    return JS_EVENT.pack(0, value, 0x81 if init else 1, number)


def move(axis: int, value: int, init: bool = False) -> bytes:
    return JS_EVENT.pack(0, value, 0x82 if init else 2, axis)


class Pipe:
    """A gamepad made of a pipe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plug()

    def plug(self) -> None:
        if not self.path.exists():
            os.mkfifo(self.path)
        self.writer = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def send(self, data: bytes) -> None:
        os.write(self.writer, data)

    def unplug(self) -> None:
        os.close(self.writer)
        self.path.unlink()


def test_a_pad_without_a_sign_halts_until_its_dead_man_is_pressed_anew(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "js0")
    pad = Gamepad(go1_spec(), pipe.path, hold_s=0.3, silence_s=1.5)
    pipe.send(press(4) + move(1, -32767))
    assert np.any(pad.poll().command)
    said = polled(pad, lambda said: not np.any(said.command))
    assert "press L1 anew" in notices(said)
    pipe.send(move(1, -30000))
    assert not np.any(pad.poll().command)  # a stick alone does not go on
    said = polled(pad, lambda said: said.age_s > 0)
    assert said[-1].hint
    pipe.send(press(4, 0) + press(4))
    said = [pad.poll()]
    assert np.any(said[0].command)
    assert said[0].age_s == 0
    pad.close()
    os.close(pipe.writer)


def test_a_pad_that_comes_back_is_used_again_and_drives_nobody_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.operator.gamepad.LOOK_NS", 20_000_000)
    pipe = Pipe(tmp_path / "js0")
    pad = Gamepad(go1_spec(), pipe.path)
    pipe.send(press(4) + move(1, -32767))
    assert np.any(pad.poll().command)
    pipe.unplug()
    said = pad.poll()
    assert said.requests == (Event.STOP,)
    assert "vanished" in notices([said])
    for _ in range(10):
        time.sleep(0.01)
        assert pad.poll().requests == ()
    pipe.plug()
    pipe.send(press(4, init=True) + move(1, -32767, init=True) + press(0, init=True))
    said = polled(pad, lambda said: bool(said.notices))
    assert "is back" in notices(said)
    for one in [*said, pad.poll()]:
        assert one.requests == ()
        assert not np.any(one.command if one.command is not None else 0.0)
    pipe.send(press(4, 0) + press(4) + move(1, -32767))
    said = [pad.poll()]
    assert np.any(said[0].command)
    assert said[0].steered
    pad.close()
    os.close(pipe.writer)


def test_what_a_pad_sent_before_anybody_heard_that_it_is_back_moves_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.operator.gamepad.LOOK_NS", 20_000_000)
    pipe = Pipe(tmp_path / "js0")
    pad = Gamepad(go1_spec(), pipe.path)
    pipe.unplug()
    pad.poll()
    pipe.plug()
    pipe.send(press(4) + move(1, -32767) + press(0) + press(3) + press(1))
    said = polled(pad, lambda said: "is back" in notices([said]))
    assert said[-1].requests == (Event.ESTOP,)  # a stop counts whenever it was meant
    assert not any(np.any(one.command) for one in [*said, pad.poll()] if one.command is not None)
    pipe.send(press(4, 0) + press(4) + move(1, -32767))
    assert np.any(pad.poll().command)
    pad.close()
    os.close(pipe.writer)


def test_a_pad_that_comes_back_with_another_layout_is_read_by_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.operator.gamepad.LOOK_NS", 20_000_000)
    pipe = Pipe(tmp_path / "js0")
    found = [layout("by cable", CABLE, ABS["xpad"], 0x045E), layout("by radio", RADIO, ABS["bluetooth"], 0x045E)]
    pad = Gamepad(go1_spec(), pipe.path, read=lambda fd, path: found[0])
    assert did(pad, pipe, 2) == (Event.STOP,)
    pipe.unplug()
    pad.poll()
    found.pop(0)
    pipe.plug()
    assert "by radio" in notices(polled(pad, lambda said: "is back" in notices([said])))
    assert did(pad, pipe, 2) == ()
    assert did(pad, pipe, 3) == (Event.STOP,)
    pad.close()
    os.close(pipe.writer)


ABS = {"xpad": [0, 1, 2, 3, 4, 5, 16, 17], "bluetooth": [0, 1, 2, 5, 9, 10, 16, 17]}
CABLE = [0x130, 0x131, 0x133, 0x134, 0x136, 0x137, 0x13A, 0x13B, 0x13C, 0x13D, 0x13E]
RADIO = [0x130, 0x131, 0x132, 0x133, 0x134, 0x135, 0x136, 0x137, 0x138, 0x139, 0x13A, 0x13B, 0x13C, 0x13D, 0x13E]


def did(pad: Gamepad, pipe: Pipe, number: int) -> tuple[Event, ...]:
    pipe.send(press(number) + press(number, 0))
    return pad.poll().requests


@pytest.mark.parametrize(
    ("buttons", "axes", "x", "y", "l1", "right"),
    [(CABLE, ABS["xpad"], 2, 3, 4, 3), (RADIO, ABS["bluetooth"], 3, 4, 6, 2)],
    ids=["cable", "radio"],
)
def test_buttons_are_what_the_kernel_says_they_are(
    tmp_path: Path, buttons: list[int], axes: list[int], x: int, y: int, l1: int, right: int
) -> None:
    pipe = Pipe(tmp_path / "js0")
    pad = Gamepad(go1_spec(), pipe.path, read=lambda fd, path: layout("Xbox Wireless Controller", buttons, axes, 0x045E))
    assert "X stop" in pad.begins
    assert did(pad, pipe, x) == (Event.STOP,)
    assert did(pad, pipe, y) == (Event.START,)
    assert did(pad, pipe, 0) == (Event.STAND,)
    assert did(pad, pipe, 1) == (Event.ESTOP,)
    assert did(pad, pipe, buttons.index(0x13B)) == (Event.RESET,)
    pipe.send(press(l1) + move(right, -32767))
    assert pad.poll().command[2] > 0  # type: ignore[index]
    pad.close()
    os.close(pipe.writer)


def test_a_trigger_that_rests_at_its_end_turns_nobody(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "js0")
    pad = Gamepad(go1_spec(), pipe.path)
    pipe.send(move(3, -32767, init=True) + press(4))
    np.testing.assert_array_equal(pad.poll().command, 0.0)  # type: ignore[arg-type]
    pad.close()
    os.close(pipe.writer)


def test_places_count_where_the_driver_tells_places() -> None:
    sony = layout("DualSense", CABLE, ABS["xpad"], 0x054C)
    assert sony.buttons[CABLE.index(0x133)] is Event.START  # triangle, above
    assert sony.buttons[CABLE.index(0x134)] is Event.STOP  # square, left
    assert "square stop" in sony.words


@pytest.mark.parametrize(
    ("buttons", "axes"),
    [(list(range(0x120, 0x12C)), [0, 1, 2, 5, 16, 17]), (CABLE, [0, 1]), (CABLE, [0, 1, 2, 5, 16, 17])],
    ids=["stick", "few", "z"],
)
def test_an_unknown_layout_is_refused(buttons: list[int], axes: list[int]) -> None:
    with pytest.raises(PadError, match="codes"):
        layout("DragonRise", buttons, axes, None)


def test_the_kernels_tables_are_read_as_the_joystick_interface_has_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Against `linux/joystick.h`: direction, size, type and number of each request, and the layout of what comes back."""
    asked: list[int] = []

    def ioctl(fd: int, request: int, data: bytearray) -> int:
        asked.append(request)
        number = request & 0xFF
        if number == 0x11:
            data[0] = len(ABS["bluetooth"])
        elif number == 0x12:
            data[0] = len(RADIO)
        elif number == 0x13:
            data[:5] = b"X Pad"
        elif number == 0x32:
            data[: len(ABS["bluetooth"])] = bytes(ABS["bluetooth"])
        else:
            data[: 2 * len(RADIO)] = struct.pack(f"{len(RADIO)}H", *RADIO)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    pipe = Pipe(tmp_path / "js0")
    found = pads.read_layout(pipe.writer, pipe.path)
    os.close(pipe.writer)
    assert asked == [0x80016A11, 0x80016A12, 0x80806A13, 0x80406A32, 0x84006A34]
    assert (found.name, found.buttons[3], found.deadman) == ("X Pad", Event.STOP, 6)


# --- whole runs


@pytest.mark.slow
def test_a_run_in_the_background_of_a_shell_goes_on_without_keys(tmp_path: Path) -> None:
    """`deploy ... &` where job control would stop who touches the terminal."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash, whose job control it is about")
    seen_path = tmp_path / "events.jsonl"
    options = f"--transport sim --no-log --events {seen_path} --auto-start --command 0.3 0 0 --duration 3"
    run = f"{sys.executable} -m robolearn deploy go1-velocity {options}"
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execvpe("bash", ["bash", "--norc", "-i"], {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm"})
    os.set_blocking(fd, False)
    seen: list[bytes] = []

    def shows(word: bytes) -> bool:
        with contextlib.suppress(OSError):
            seen.append(os.read(fd, 1 << 16))
        return word in b"".join(seen)

    try:
        os.write(fd, f"stty tostop; {run} &\n".encode())
        assert wait_for(lambda: shows(b"in the background"), 90), b"".join(seen)[-2000:]
        assert wait_for(lambda: any(event["event"] == "timing" for event in events(seen_path)), 90), b"".join(seen)[-2000:]
    finally:
        os.write(fd, b"kill %1; exit\n")
        os.close(fd)
        os.waitpid(pid, 0)


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_fault(tmp_path: Path, closed: str) -> None:
    options = f"--transport sim --log run.mcap --auto-start --command 0.3 0 0 --duration 3 {closed}"
    run = f"{sys.executable} -m robolearn deploy go1-velocity {options}"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    assert subprocess.run(["sh", "-c", run], cwd=tmp_path, env=environment, timeout=120, check=False).returncode == 0
    log = read_log(tmp_path / "run.mcap")
    assert log.complete
    assert (log.ticks["mode"] > 2).any()


@pytest.mark.slow
def test_who_detaches_from_tmux_is_noticed(tmp_path: Path) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux, from which somebody detaches (Debian: apt-get install tmux)")
    seen_path, socket = tmp_path / "events.jsonl", str(tmp_path / "socket")
    run = f"{sys.executable} -m robolearn deploy go1-velocity --transport sim --no-log --realtime --events {seen_path}"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm"}
    environment.pop("TMUX", None)
    tmux = ["tmux", "-S", socket, "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", "-s", "robot", "-x", "120", "-y", "40", run], env=environment, cwd=tmp_path, check=True)
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    client = subprocess.Popen(
        [*tmux, "attach", "-t", "robot"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    someone = Person(mine)
    os.set_blocking(mine, False)

    def went(word: str) -> bool:
        return any(word in str(event) for event in events(seen_path))

    try:
        assert wait_for(lambda: went("kept alive by tmux"), 90), someone.seen[-500:]
        assert wait_for(lambda: b"DAMPING" in someone.seen, 60)
        os.write(mine, b"1")
        assert wait_for(lambda: went("'to': 'stand'"), 30)
        time.sleep(3.0)
        os.write(mine, b"2")
        assert wait_for(lambda: went("'to': 'policy'"), 30)
        os.write(mine, UP * 10 + b"h")
        time.sleep(1.0)
        subprocess.run([*tmux, "detach-client", "-s", "robot"], check=True)
        assert wait_for(lambda: went("no client is attached"), 30)
        assert wait_for(lambda: went("'from': 'policy', 'to': 'damping'"), 30), events(seen_path)[-5:]
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
        client.kill()
        client.wait()
        someone.close()
        os.close(theirs)
        os.close(mine)


def test_a_device_that_is_no_joystick_is_refused() -> None:
    with pytest.raises(PadError, match="no joystick"):
        Gamepad(go1_spec(), Path("/dev/null"))


def test_a_command_that_there_was_is_missing_any_more_and_not_yet(tmp_path: Path) -> None:
    driver = Driver(make_policy(tmp_path / "linear.onnx"))
    driver.reach(Mode.STAND)

    def without(inputs: Any) -> None:
        inputs.command, inputs.command_hint = None, "the gamepad has vanished"

    driver.tick(without)
    refusal = driver.controller.refusal(Event.START)
    assert refusal is not None
    assert "the operator's command has ended: the gamepad has vanished" in refusal
