"""Whatever is done to the controller, it stays on the table of transitions and inside every limit; and a loop never grows."""

from __future__ import annotations

import gc
import math
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bridge.command import JointCommand
from bridge.controller import Controller
from bridge.loop import FAREWELL_TICKS, ControlLoop
from bridge.reading import Inputs, Reading
from bridge.safety import ACTIVE, TRANSITIONS, UNARMED, Event, Mode, SafetyLimits
from policies.file import PolicyFile
from tests.bridge_helpers import MS, FakeTransport, good_inputs
from tests.make_policy import go1_spec, make_policy

OPERATOR = (Event.STAND, Event.START, Event.STOP, Event.ESTOP, Event.RESET)
NUMBERS = st.one_of(st.floats(-1, 1), st.floats(-1, 1), st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e30]))
REQUESTS = st.lists(st.sampled_from([*OPERATOR, Event.STAND, Event.START, Event.STAND, Event.START]), max_size=3)
FIELDS = ("position", "velocity", "effort", "imu_quat_wxyz", "imu_angular_velocity_b")
LIMITS = {"stand_s": 0.05, "gain_ramp_s": 0.03, "sensor_timeout_s": 0.1, "frozen_s": 0.1, "slew_factor": 0.1}
"""Targets so slow that not the torque limit alone holds them back."""
FILE = make_policy(Path(tempfile.mkdtemp(prefix="policy-")) / "linear.onnx", golden_steps=4)
POLICY = PolicyFile(FILE)


class ControllerMachine(RuleBasedStateMachine):
    """An operator, a robot, a policy and a computer that do as they like."""

    shadow = False

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Mapping[str, Any]] = []
        self.controller = Controller(
            POLICY.fork(), SafetyLimits.of(POLICY.spec, LIMITS), shadow=self.shadow, on_event=lambda event: self.records.append(event)
        )
        self.now_ns = 1_000 * MS
        self.mode = Mode.ZERO_TORQUE
        self.armed = False
        self.sent: tuple[JointCommand, bool] | None = None  # the newest command, and whether its torque is below every limit
        self.true_act = self.controller.policy.act

    @initialize(arm=st.sampled_from([True, True, True, False]), auto=st.booleans(), walking=st.booleans())
    def begin(self, arm: bool, auto: bool, walking: bool) -> None:
        if arm:
            self.arm()
        if auto:
            self.controller.auto_start()
        if arm and walking:
            self.start_again()

    @rule()
    def arm(self) -> None:
        self.controller.arm()
        self.armed = True
        self.judge(None, [])

    @rule()
    def start_again(self) -> None:
        for requests in ([Event.STOP], [Event.RESET], [Event.STAND], [], [], [], [Event.START]):
            self.good_ticks(1, requests)
        assert self.shadow or not self.armed or self.controller.mode is Mode.POLICY

    @rule(actions=st.lists(st.floats(-2, 2), min_size=1, max_size=4), index=st.integers(0, 11))
    def lively_actions(self, actions: list[float], index: int) -> None:
        for value in actions:
            self.odd_action(value, index, False)

    @rule(count=st.integers(1, 6), requests=REQUESTS)
    def good_ticks(self, count: int, requests: list[Event]) -> None:
        for _ in range(count):
            self.tick(lambda inputs: None, requests, 20, 0.0, 0)
            requests = []

    @rule(offset=st.floats(-0.6, 0.6), speed=st.floats(-40, 40), seed=st.integers(0, 99), requests=REQUESTS, count=st.integers(1, 4))
    def moving_ticks(self, offset: float, speed: float, seed: int, requests: list[Event], count: int) -> None:
        rng = np.random.default_rng(seed)

        def change(inputs: Inputs) -> None:
            assert inputs.reading is not None
            inputs.reading.position += offset * rng.uniform(-1, 1, 12)
            inputs.reading.velocity = speed * rng.uniform(-1, 1, 12)

        for _ in range(count):
            self.tick(change, requests, 20, 0.0, 0)

    @rule(
        field=st.sampled_from((*FIELDS, "command", "none")),
        index=st.integers(0, 11),
        value=NUMBERS,
        age_ms=st.sampled_from([0, 0, 0, 60, 150]),
        stamp=st.sampled_from([0, 0, 0, -200 * MS, 10**15]),
        other=st.sampled_from(["", "", "", "wire", "rival", "unknown rivals", "no reading", "no command", "old command"]),
        requests=REQUESTS,
        dt_ms=st.integers(1, 80),
        late_s=st.one_of(st.just(0.0), st.floats(-0.1, 0.1)),
        overruns=st.sampled_from([0, 0, 0, 2, 9]),
    )
    def bad_tick(
        self,
        field: str,
        index: int,
        value: float,
        age_ms: int,
        stamp: int,
        other: str,
        requests: list[Event],
        dt_ms: int,
        late_s: float,
        overruns: int,
    ) -> None:
        def change(inputs: Inputs) -> None:
            reading = inputs.reading
            assert reading is not None
            array = inputs.command if field == "command" else getattr(reading, field, None)
            if array is not None:
                array[index % len(array)] = value
            reading.received_ns -= age_ms * MS
            reading.stamps_ns = tuple(stamp - age_ms * MS for stamp in reading.stamps_ns)  # what is old was sent long ago
            reading.stamps_ns = tuple(max(1, number + stamp) for number in reading.stamps_ns)
            inputs.wire_fault = "wire" if other == "wire" else None
            inputs.rivals = {"rival": 1, "unknown rivals": None}.get(other, 0)
            inputs.reading = None if other == "no reading" else reading
            inputs.command = None if other == "no command" else inputs.command
            inputs.command_ns -= 3000 * MS * (other == "old command")

        self.tick(change, requests, dt_ms, late_s, overruns)

    @rule(value=NUMBERS, index=st.integers(0, 11), raises=st.sampled_from([False, False, True]))
    def odd_action(self, value: float, index: int, raises: bool) -> None:
        def act(observation: Any) -> Any:
            if raises:
                raise RuntimeError("network")
            action = self.true_act(observation)
            action[index] = np.float32(value) if abs(value) < 1e38 else value
            return action

        self.controller.policy.act = act  # type: ignore[method-assign]
        with np.errstate(over="ignore", invalid="ignore"):
            self.tick(lambda inputs: None, [], 20, 0.0, 0)
        self.controller.policy.act = self.true_act  # type: ignore[method-assign]

    @rule(error=st.sampled_from([RuntimeError("x"), KeyError(3), MemoryError(), OSError(5, "io")]))
    def exception(self, error: Exception) -> None:
        assert not self.controller.fail(error).drives
        assert self.controller.mode is Mode.FAULT
        self.judge(None, [])

    @rule()
    def end(self) -> None:
        assert not self.controller.stop().drives
        self.judge(None, [Event.STOP])

    def tick(self, change: Callable[[Inputs], None], requests: list[Event], dt_ms: int, late_s: float, overruns: int) -> None:
        self.now_ns += dt_ms * MS
        inputs = good_inputs(self.controller.spec, self.now_ns, *requests)
        change(inputs)
        with np.errstate(all="ignore"):  # what comes in may be anything
            try:
                command = self.controller.tick(self.now_ns, inputs, late_s, overruns)
            except Exception as error:  # as the loop does
                command = self.controller.fail(error)
                assert not command.drives
        self.judge((command, inputs.reading), requests)
        if Event.ESTOP in requests:
            assert self.controller.mode is Mode.FAULT

    def judge(self, sent: tuple[JointCommand, Reading | None] | None, requests: list[Event]) -> None:
        """Follow the transitions, then look at the command."""
        stood_up = False
        for record in self.records:
            if record["event"] == "transition":
                self.follow(Mode(record["from"]), Mode(record["to"]), str(record["cause"]), requests)
                stood_up |= record["to"] == Mode.STAND
        self.records.clear()
        assert self.mode is self.controller.mode
        if sent is not None:
            self.look(*sent, stood_up)

    def follow(self, before: Mode, after: Mode, cause: str, requests: list[Event]) -> None:
        assert before is self.mode, "a transition was not told"
        table = TRANSITIONS if self.armed else UNARMED
        events = [event for (mode, event), to in table.items() if mode is before and to is after]
        assert events, f"{before} -> {after} is not in the table"
        if before is Mode.POLICY:
            assert after in (Mode.DAMPING, Mode.FAULT)
        if before is Mode.FAULT:
            assert Event.RESET in requests
        if before is Mode.ZERO_TORQUE:
            assert after is Mode.FAULT or "golden run" in cause
        if after in ACTIVE:
            assert not self.shadow
            assert events[0] in requests or cause == "automatic start"
        self.mode = after

    def look(self, command: JointCommand, reading: Reading | None, stood_up: bool) -> None:
        joints, limiter = self.controller.joints, self.controller.limiter
        for values in (command.position, command.velocity, command.effort, command.kp, command.kd):
            assert np.isfinite(values).all()
        assert (command.kp >= 0).all()
        assert (command.kp <= joints.kp).all()
        assert (command.kd >= 0).all()
        assert (command.kd <= joints.kd).all()
        assert not command.velocity.any()
        assert not command.effort.any()
        below = True
        if reading is not None and np.isfinite(reading.position).all() and np.isfinite(reading.velocity).all():
            torque = np.abs(command.kp * (command.position - reading.position) - command.kd * reading.velocity)
            assert (torque <= joints.effort * (1 + 1e-9)).all()
            below = bool((torque < 0.999 * joints.effort).all())
        before, self.sent = self.sent, (command, below)
        if not command.drives:
            return
        assert self.controller.mode in ACTIVE
        assert (command.position >= joints.lower).all()
        assert (command.position <= joints.upper).all()
        if before is not None and before[0].drives and before[1] and below and not stood_up:
            # Torque limits move the target too; where they did not act, its speed is limited.
            assert (np.abs(command.position - before[0].position) <= limiter.step + 1e-9).all()

    @invariant()
    def what_is_off_stays_off(self) -> None:
        if not self.armed:
            assert self.controller.mode in (Mode.ZERO_TORQUE, Mode.FAULT)
        if self.shadow:
            assert self.controller.mode not in ACTIVE


class ShadowMachine(ControllerMachine):
    """The same as a dry run."""

    shadow = True


@pytest.mark.parametrize(("machine", "count"), [(ControllerMachine, 40), (ShadowMachine, 15)])
def test_nothing_leaves_the_table_or_the_limits(machine: type[RuleBasedStateMachine], count: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=count, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    )


def drive(loop: ControlLoop, ticks: int) -> None:
    """Tick on, as `run` does."""
    deadline_ns = loop.transport.now_ns()
    for _ in range(ticks):
        deadline_ns += loop.period_ns
        loop.transport.wait_until(deadline_ns)
        loop.tick(deadline_ns)


class ForgetfulTransport(FakeTransport):
    """Keeps nothing, so that what grows is the loop's; tells whether a tick is at work."""

    def __init__(self) -> None:
        super().__init__(go1_spec())
        self.at_work, self.drives = False, False

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        self.at_work = False
        self.on_wait()
        self.now = max(self.now, deadline_ns)
        self.at_work = True

    def write(self, command: JointCommand) -> None:
        self.drives = command.drives

    def report(self, status: Mapping[str, Any]) -> None:
        self.at_work = False  # the last thing that a tick owes anybody


@pytest.fixture
def walking() -> ControlLoop:
    controller = Controller(POLICY.fork(), SafetyLimits.of(POLICY.spec))
    controller.arm()
    controller.auto_start()
    loop = ControlLoop(controller, ForgetfulTransport())
    drive(loop, 300)
    assert controller.mode is Mode.POLICY
    return loop


@contextmanager
def no_automatic_gc() -> Iterator[None]:
    """As in `ControlLoop.run`."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_two_thousand_ticks_leave_nothing_behind(walking: ControlLoop) -> None:
    with no_automatic_gc():
        drive(walking, 200)
        before = sys.getallocatedblocks()
        drive(walking, 1000)
        middle = sys.getallocatedblocks()
        drive(walking, 1000)
        after = sys.getallocatedblocks()
    assert abs(middle - before) <= 50  # a twentieth of a block a tick
    assert abs(after - middle) <= 50
    assert walking.controller.mode is Mode.POLICY


def test_memory_is_flat(walking: ControlLoop) -> None:
    tracemalloc.start()
    try:
        with no_automatic_gc():
            drive(walking, 100)
            before = tracemalloc.get_traced_memory()[0]
            drive(walking, 500)
            after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert abs(after - before) <= 8192


def test_no_garbage_is_collected_while_a_tick_is_at_work(walking: ControlLoop) -> None:
    transport = walking.transport
    assert isinstance(transport, ForgetfulTransport)
    seen: list[bool] = []

    def watch(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(transport.at_work)

    collections = 0
    gc.callbacks.append(watch)
    try:
        transport.on_wait = lambda: seen.clear() if walking.timing.ticks == 301 else None  # what `run` does before it begins is no matter
        walking.run(duration_s=20.0)
        collections = len(seen)
    finally:
        gc.callbacks.remove(watch)
    assert collections >= 10
    assert not any(seen)


@pytest.mark.parametrize("event", ["refused", "transition", "exception"])
def test_a_listener_that_raises_ends_in_damping_on_the_wire(walking: ControlLoop, event: str) -> None:
    """A lost terminal, a full disk: printing or writing an event raises."""
    controller, transport = walking.controller, FakeTransport(go1_spec())
    walking.transport = transport
    transport.now = controller._snapshot.now_ns

    def listen(said: Mapping[str, Any]) -> None:
        if said["event"] == event or event == "refused":
            raise OSError(5, "Input/output error")

    controller.on_event = listen
    transport.requests = [Event.STAND if event == "refused" else Event.STOP]
    if event == "exception":
        transport.raises = [RuntimeError("wire")]
    with pytest.raises((OSError, RuntimeError)):  # the failure is told in the end
        walking.run(duration_s=0.5)
    assert len(transport.written) >= 20 + FAREWELL_TICKS  # until it is stopped
    assert not any(command.drives for command in transport.written)
    assert all((command.kd > 0).all() for command in transport.written)
