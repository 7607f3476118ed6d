"""The 500 Hz writer never sends more stiffness than it was given, fades to damping when the loop stalls, and ends with the last command."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.control.command import JointCommand, damping
from bridge.control.stream import STALL_PERIODS, CommandStream
from tests.bridge_helpers import MS, wait_for

DT, FADE_S = 0.02, 0.04
STALL_NS, FADE_NS = round(STALL_PERIODS * DT * 1e9), round(FADE_S * 1e9)
DAMPING_KD = np.array([2.0, 1.0, 0.5])
ZERO = np.zeros(3)

VECTORS = st.lists(st.floats(-50, 50), min_size=3, max_size=3).map(np.array)
GAINS = st.lists(st.floats(0, 80), min_size=3, max_size=3).map(np.array)
COMMANDS = st.builds(JointCommand, VECTORS, VECTORS, VECTORS, GAINS, GAINS)
AGES_NS = st.lists(st.integers(0, 2 * (STALL_NS + FADE_NS)), min_size=1, max_size=20).map(sorted)


def nothing(command: JointCommand) -> None:
    """A wire to nowhere."""


def stream(send: Callable[[JointCommand], None] = nothing, fade_s: float = FADE_S) -> CommandStream:
    return CommandStream(send, DAMPING_KD, DT, fade_s=fade_s)


def drive(kp: float = 30.0) -> JointCommand:
    return JointCommand(np.full(3, 0.3), ZERO, ZERO, np.full(3, kp), np.ones(3))


@given(COMMANDS, AGES_NS, st.integers(0, 2**62))
def test_stiffness_only_fades(command: JointCommand, ages_ns: list[int], put_ns: int) -> None:
    writer = stream()
    writer.put(command, put_ns)
    before = np.full(3, np.inf)
    for age_ns in ages_ns:
        sent = writer.at(put_ns + age_ns)
        assert sent is not None
        for field in fields(sent):
            assert np.isfinite(getattr(sent, field.name)).all()
        assert (sent.kp <= np.minimum(command.kp, before) + 1e-9).all()
        assert (sent.kp >= 0).all()
        assert (np.abs(sent.effort) <= np.abs(command.effort) + 1e-9).all()
        assert (sent.kd >= np.minimum(command.kd, DAMPING_KD) - 1e-9).all()
        assert (sent.kd <= np.maximum(command.kd, DAMPING_KD) + 1e-9).all()
        if command.drives and age_ns >= STALL_NS + FADE_NS:
            assert not sent.drives
            np.testing.assert_array_equal(sent.kd, DAMPING_KD)
            assert not sent.effort.any()
        if age_ns <= STALL_NS:
            assert sent is command
        before = sent.kp


@given(GAINS, AGES_NS)
def test_what_does_not_drive_never_drives(kd: np.ndarray, ages_ns: list[int]) -> None:
    writer = stream()
    writer.put(damping(kd), 0)
    for age_ns in ages_ns:
        sent = writer.at(age_ns)
        assert sent is not None
        assert not sent.drives
        np.testing.assert_array_equal(sent.kd, kd)
    assert writer.stalls == 0


@given(COMMANDS.filter(lambda command: command.drives), st.integers(1, FADE_NS - 1), st.integers(1, MS))
def test_the_torque_fades_without_a_step(command: JointCommand, over_ns: int, step_ns: int) -> None:
    writer = stream()
    writer.put(command, 0)
    q, dq = np.array([0.1, -0.2, 0.3]), np.array([1.0, -2.0, 0.5])
    torques = []
    for age_ns in (STALL_NS + over_ns - 1, STALL_NS + over_ns - 1 + step_ns):
        sent = writer.at(age_ns)
        assert sent is not None
        torques.append(sent.kp * (sent.position - q) + sent.kd * (sent.velocity - dq) + sent.effort)
    most = np.abs(command.kp * (command.position - q)) + np.abs(command.effort) + 2 * (command.kd + DAMPING_KD) * (50 + np.abs(dq))
    assert (np.abs(torques[1] - torques[0]) <= most * step_ns / FADE_NS * 2 + 1e-6).all()


def test_nothing_is_sent_before_the_first_command_and_a_new_one_ends_the_fade() -> None:
    writer = stream()
    assert writer.at(5) is None
    writer.put(drive(), 0)
    half = writer.at(STALL_NS + FADE_NS // 2)
    assert half is not None
    np.testing.assert_allclose(half.kp, 15.0)
    assert writer.stalls == 1
    writer.at(STALL_NS + FADE_NS)
    assert writer.stalls == 1  # one stall, however many writes it lasts
    writer.put(drive(), STALL_NS + FADE_NS)
    full = writer.at(STALL_NS + FADE_NS + 1)
    assert full is not None
    assert (full.kp == 30.0).all()
    writer.at(3 * (STALL_NS + FADE_NS))
    assert writer.stalls == 2


def test_five_hundred_writes_a_second() -> None:
    times: list[int] = []
    writer = stream(lambda command: times.append(time.monotonic_ns()))
    writer.put(drive(), time.monotonic_ns())
    begin = time.monotonic_ns()
    writer.start()
    while time.monotonic_ns() - begin < 1e9:
        writer.put(drive(), time.monotonic_ns())
        time.sleep(DT)
    seconds = (time.monotonic_ns() - begin) * 1e-9
    writer.stop()
    due = 500 * seconds
    assert (
        abs(writer.timing.ticks + writer.timing.missed - due) <= 10
    )  # absolute deadlines: what is late is not lost, and nothing is made up
    assert writer.timing.ticks >= 0.5 * due  # on a computer that has other work
    assert np.median(np.diff(times)) == pytest.approx(2 * MS, rel=0.2)
    assert 40 <= len(times) - writer.timing.ticks <= 51  # each new command, at once


def test_a_new_command_goes_out_at_once_and_nothing_older_follows_it() -> None:
    sent: list[tuple[int, JointCommand]] = []
    writer = stream(lambda command: sent.append((time.monotonic_ns(), command)))
    writer.put(drive(), time.monotonic_ns())
    assert not sent, "nothing is sent before the stream has begun"
    writer.start()
    order: list[int] = []
    try:
        for _ in range(300):
            command = drive()
            order.append(id(command))
            writer.put(command, time.monotonic_ns())
            assert any(one is command for _, one in sent[-3:])
            time.sleep(0.0007)
    finally:
        writer.stop()
    numbers = {identity: number for number, identity in enumerate(order)}
    seen = [numbers[id(command)] for _, command in sent if id(command) in numbers]
    assert seen == sorted(seen)


def test_a_wire_that_hangs_does_not_hold_the_loop_up() -> None:
    release = threading.Event()
    writer = stream(lambda command: release.wait(2.0))
    writer.put(drive(), time.monotonic_ns())
    writer.start()
    try:
        time.sleep(0.05)  # the stream's thread hangs in its write
        begin = time.monotonic()
        writer.put(drive(), time.monotonic_ns())
        assert time.monotonic() - begin < 0.5
    finally:
        release.set()
        writer.stop()


def test_a_stall_ends_in_damping_and_its_end_in_driving() -> None:
    sent: list[tuple[int, bool]] = []
    writer = stream(lambda command: sent.append((time.monotonic_ns(), command.drives)))
    put_ns = time.monotonic_ns()
    writer.put(drive(), put_ns)
    writer.start()
    try:
        assert wait_for(lambda: bool(sent) and not sent[-1][1], 2.0)
        damped_ns = next(at_ns for at_ns, drives in sent if not drives) - put_ns
        assert STALL_NS + FADE_NS <= damped_ns <= STALL_NS + FADE_NS + 100 * MS  # it is due at once; a busy computer may be late
        assert writer.stalls == 1
        time.sleep(0.05)
        assert not sent[-1][1]
        writer.put(drive(), time.monotonic_ns())
        count = len(sent)
        assert wait_for(lambda: len(sent) > count + 1, 2.0)
        assert any(drives for _, drives in sent[count:])
    finally:
        writer.stop()


def test_stop_sends_what_is_newest() -> None:
    sent: list[JointCommand] = []
    writer = stream(sent.append)
    writer.put(drive(), time.monotonic_ns())
    writer.start()
    assert wait_for(lambda: bool(sent), 2.0)
    writer.put(last := damping(DAMPING_KD), time.monotonic_ns())
    writer.stop()
    assert sent[-1] is last
    count = len(sent)
    writer.stop()
    time.sleep(0.01)
    assert len(sent) == count


def test_a_failure_ends_it_and_is_raised_by_stop() -> None:
    calls = []

    def fail(command: JointCommand) -> None:
        calls.append(command)
        raise OSError("cable")

    writer = stream(fail)
    writer.put(drive(), time.monotonic_ns())
    writer.start()
    assert wait_for(lambda: writer.failure is not None, 2.0)
    time.sleep(0.01)
    assert len(calls) == 1
    with pytest.raises(OSError, match="cable"):
        writer.stop()


@pytest.mark.parametrize(("dt", "rate", "fade"), [(0.0, 500.0, 0.04), (0.02, -1.0, 0.04), (0.02, 500.0, 0.0), (float("nan"), 500.0, 0.04)])
def test_what_is_not_above_zero_is_refused(dt: float, rate: float, fade: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        CommandStream(nothing, DAMPING_KD, dt, rate, fade)
