"""Whatever is done to the controller, it stays on the table of transitions and inside every limit."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import ACTIVE, TRANSITIONS, UNARMED, Event, Mode, SafetyLimits
from policies.contract.file import PolicyFile
from tests.bridge_damage import OPERATOR, assert_within_limits, torque
from tests.bridge_helpers import MS, good_inputs
from tests.make_policy import make_policy

NUMBERS = st.one_of(st.floats(-1, 1), st.floats(-1, 1), st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e30]))
REQUESTS = st.lists(st.sampled_from([*OPERATOR, Event.STAND, Event.START, Event.STAND, Event.START]), max_size=3)
FIELDS = ("position", "velocity", "effort", "imu_quat_wxyz", "imu_angular_velocity_b")
LIMITS = {"stand_s": 0.05, "gain_ramp_s": 0.03, "sensor_timeout_s": 0.1, "frozen_s": 0.1, "slew_factor": 0.1, "contradiction": 100.0}
"""Targets so slow that not the torque limit alone holds them back; a robot that is put elsewhere may be driven on."""
POLICY = PolicyFile(make_policy(Path(tempfile.mkdtemp(prefix="policy-")) / "linear.onnx", golden_steps=4))


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
        for requests in ([Event.STOP], [Event.RESET]):
            self.good_ticks(1, requests)
        while any(problem.guard.name == "sensor_contradiction" for problem in self.controller.problems):
            self.good_ticks(1, [])  # until what was there before is a second old
        for requests in ([Event.STAND], [], [], [], [Event.START]):
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
        assert_within_limits(self.controller, command, reading)
        effort = torque(command, reading)
        below = effort is None or bool((effort < 0.999 * self.controller.joints.effort).all())
        before, self.sent = self.sent, (command, below)
        if command.drives and before is not None and before[0].drives and before[1] and below and not stood_up:
            # Torque limits move the target too; where they did not act, its speed is limited.
            assert (np.abs(command.position - before[0].position) <= self.controller.limiter.step + 1e-9).all()

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
