"""Ticks that fall on the sensor messages: the lock's arithmetic, and a loop whose messages jitter, drift, get lost and come late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.phase_lock import PhaseLock
from bridge.control.reading import Inputs
from bridge.control.safety import Mode
from policies.contract.file import PolicyFile
from tests.bridge_helpers import FakeTransport, good_inputs
from tests.make_policy import make_policy

MS = 1_000_000
BEGIN_NS = 1_000 * MS


class Messages(FakeTransport):
    """A wire on which a message comes at each of the given times; time passes only while the loop waits and rehearses."""

    def __init__(self, controller: Controller, arrivals_ns: Iterator[int], rehearsal_ns: int) -> None:
        super().__init__(controller.spec)
        self._arrivals, self._rehearsal_ns = arrivals_ns, rehearsal_ns
        self._next, self._came, self._taken = next(arrivals_ns), 0, 0
        self.ages_ns: list[int] = []
        self.ticks_ns: list[int] = []
        self.rehearsals = 0

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        self._take()
        while fresh_ns is None or self._taken < fresh_ns:
            if self._next >= deadline_ns:
                self.now = max(self.now, deadline_ns)
                return
            self.now = max(self.now, self._next)
            self._take()

    def _take(self) -> None:
        while self._next <= self.now:
            self._came, self._taken, self._next = self._next, self.now, next(self._arrivals)

    def read(self) -> Inputs:
        self.ages_ns.append(self.now - self._came)
        self.ticks_ns.append(self.now)
        inputs = good_inputs(self.spec, self.now)
        assert inputs.reading is not None
        inputs.reading.received_ns, inputs.reading.stamps_ns = self._taken, (self._came,)
        return inputs

    def write(self, command: JointCommand) -> None:
        super().write(command)
        self.now += MS // 2

    def rehearse(self) -> None:
        self.rehearsals += 1
        self.now += self._rehearsal_ns


def arrivals(period_ns: float, jitter_ns: float, lost: float, late: float) -> Iterator[int]:
    random = np.random.default_rng(0)
    number, newest = 0, 0
    while True:
        number += 1
        if random.random() >= lost:
            delay = 9e6 if random.random() < late else abs(random.normal(0, jitter_ns))
            newest = max(newest, round(BEGIN_NS + 7.3e6 + number * period_ns + delay))
            yield newest


def run(
    path: Path, messages: Iterator[int], rehearsal_ns: int = MS, seconds: float = 20.0, on_line: Callable[[str], None] | None = None
) -> Messages:
    controller = Controller(PolicyFile(path))
    controller.arm()
    controller.auto_start()
    transport = Messages(controller, messages, rehearsal_ns)
    transport.on_line = on_line
    loop = ControlLoop(controller, transport, lock=PhaseLock(20 * MS, 20 * MS))
    deadline_ns, ticks = BEGIN_NS + 20 * MS, 0
    while transport.now < BEGIN_NS + seconds * 1e9:
        loop._wait(deadline_ns)
        assert transport.now <= deadline_ns or rehearsal_ns > 2.5 * MS, "a message or a rehearsal that holds a tick up"
        deadline_ns = loop.tick(deadline_ns)
        ticks += 1
    assert controller.mode is Mode.POLICY
    assert abs(ticks / seconds - 50) < 1
    return transport


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_policy(tmp_path / "stand.onnx", kind="stand")


def test_a_tick_starts_with_its_message(path: Path) -> None:
    transport = run(path, arrivals(20e6, 0.0, 0.0, 0.0))
    assert max(transport.ages_ns[100:]) == 0
    assert transport.rehearsals > 900


@pytest.mark.parametrize("drift", [0.999, 1.001])
def test_follows_a_clock_that_drifts_and_messages_that_jitter(path: Path, drift: float) -> None:
    transport = run(path, arrivals(drift * 20e6, 0.2e6, 0.0, 0.0))
    assert np.mean(np.array(transport.ages_ns[100:]) < MS // 10) > 0.97


def test_lost_and_late_messages_cost_their_own_ticks_only(path: Path) -> None:
    ages = np.array(run(path, arrivals(20e6, 0.1e6, 0.03, 0.03)).ages_ns[100:])
    assert 0.85 < np.mean(ages < MS // 10) < 0.97
    assert max(ages) < 65 * MS


@pytest.mark.parametrize("rehearsal_ms", [0.3, 1.0, 2.0, 2.4])
def test_a_rehearsal_is_over_when_the_message_comes(path: Path, rehearsal_ms: float) -> None:
    ages = np.array(run(path, arrivals(20e6, 0.05e6, 0.0, 0.0), round(rehearsal_ms * MS)).ages_ns[200:])
    assert np.mean(ages < MS // 10) > 0.99


def test_a_rehearsal_that_takes_too_long_is_left_out_and_tried_again_now_and_then(path: Path) -> None:
    transport = run(path, arrivals(20e6, 0.0, 0.0, 0.0), 6 * MS)
    assert 3 < transport.rehearsals < 40
    assert np.mean(np.array(transport.ages_ns) == 0) > 0.9


def test_one_slow_rehearsal_is_not_the_last(path: Path) -> None:
    lock = PhaseLock(20 * MS, 20 * MS)
    for lasted_ns in (MS, 16 * MS, MS, MS):
        assert lock.rehearsal_ns(100 * MS) is not None
        lock.rehearsed(0, lasted_ns)


def test_a_rehearsal_that_is_late_already_is_left_out(path: Path) -> None:
    """Work of 18.5 ms in 20 leaves no time for a rehearsal of 1 ms."""
    controller = Controller(PolicyFile(path))
    controller.arm()
    transport = Messages(controller, arrivals(20e6, 0.0, 0.0, 0.0), MS)
    loop = ControlLoop(controller, transport, lock=PhaseLock(20 * MS, 20 * MS))
    deadline_ns = BEGIN_NS + 20 * MS
    for _ in range(500):
        transport.work_ns = [18 * MS]
        loop._wait(deadline_ns)
        deadline_ns = loop.tick(deadline_ns)
    assert loop.timing.overruns < 10


@pytest.mark.parametrize(("policy_ms", "sensor_ms"), [(2, 10), (2, 20), (5, 10), (5, 5), (20, 20)])
def test_ticks_keep_their_distance_also_where_the_policy_is_faster_than_the_sensors(policy_ms: int, sensor_ms: int) -> None:
    lock = PhaseLock(sensor_ms * MS, policy_ms * MS)
    messages = arrivals(sensor_ms * 1e6, 0.02e6, 0.0, 0.0)
    came, following = 0, next(messages)
    deadline_ns, ticks_ns = BEGIN_NS, []
    for _ in range(4000):
        while following <= deadline_ns and not came >= lock.window_ns(deadline_ns):
            came, following = following, next(messages)
        now_ns = max(came, ticks_ns[-1] if ticks_ns else 0) if came >= lock.window_ns(deadline_ns) else deadline_ns
        ticks_ns.append(now_ns)
        deadline_ns += policy_ms * MS + (lock.correction_ns(deadline_ns, came) if came else 0)
    gaps = np.diff(ticks_ns[1000:])
    assert lock.failure is None
    assert gaps.min() > 0.6 * policy_ms * MS
    assert abs(gaps.mean() - policy_ms * MS) < 0.001 * policy_ms * MS


@pytest.mark.parametrize("sensor_period_ns", [2e6, 19.5e6, 20.5e6])
def test_a_wrong_rate_is_told_and_the_ticks_keep_their_own_time(path: Path, sensor_period_ns: float) -> None:
    lines: list[str] = []
    transport = run(path, arrivals(sensor_period_ns, 0.1e6, 0.0, 0.0), on_line=lines.append)
    assert lines == ["sensor messages do not come at 50 Hz (--align-hz): the ticks are not aligned"]
    assert np.all(np.diff(transport.ticks_ns[-100:]) == 20 * MS)


def test_a_rehearsal_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_policy(tmp_path / "linear.onnx", kind="linear")
    with_it = run(path, arrivals(20e6, 0.0, 0.0, 0.0), 0, seconds=8.0).written
    monkeypatch.setattr(ControlLoop, "_rehearse", lambda *_: None)
    without = run(path, arrivals(20e6, 0.0, 0.0, 0.0), 0, seconds=8.0).written
    ours, theirs = (np.array([(command.position, command.kp, command.kd) for command in each]) for each in (with_it, without))
    assert np.ptp(ours[:, 0], axis=0).max() > 0.01
    assert np.array_equal(ours, theirs)


def test_the_correction_is_bounded_and_takes_the_nearest_message() -> None:
    lock = PhaseLock(20 * MS, 20 * MS)
    assert lock.correction_ns(100 * MS, 98 * MS) == 0
    assert lock.correction_ns(100 * MS, 97 * MS) == -MS // 10
    assert lock.correction_ns(100 * MS, 81 * MS) == MS // 5  # it came 19 ms before: the next one will come 1 ms after
