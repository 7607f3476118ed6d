"""Every guard by injecting its fault; and whatever comes in, no transition off the table and no command beyond the limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.command import JointCommand
from bridge.guards import ACTION_GUARDS, INPUT_GUARDS
from bridge.reading import Inputs
from bridge.safety import ACTIVE, TRANSITIONS, UNARMED, Event, Mode, SafetyLimitError, SafetyLimits
from policies.file import GoldenMismatchError, PolicyFile, PolicyFileError
from tests.bridge_helpers import MS, Driver
from tests.make_policy import go1_spec, make_policy


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_policy(tmp_path_factory.mktemp("policy") / "linear.onnx")


def put(field: str, index: int, value: float) -> Callable[[Inputs], None]:
    def change(inputs: Inputs) -> None:
        getattr(inputs.reading, field)[index] = value

    return change


def age(milliseconds: int) -> Callable[[Inputs], None]:
    def change(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.received_ns -= milliseconds * MS

    return change


def tilted(angle: float) -> Callable[[Inputs], None]:
    def change(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.imu_quat_wxyz = np.array([math.cos(angle / 2), math.sin(angle / 2), 0, 0])

    return change


def assign(name: str, value: Any) -> Callable[[Inputs], None]:
    return lambda inputs: setattr(inputs, name, value)


def old_stamp(inputs: Inputs) -> None:
    assert inputs.reading is not None
    inputs.reading.stamps_ns = (1, 1)


FAULTS: list[tuple[str, Callable[[Inputs], None] | None, dict[str, Any], Mode]] = [
    ("joint_set", assign("wire_fault", "joint set differs"), {}, Mode.FAULT),
    ("stale_sensor", age(61), {}, Mode.DAMPING),
    ("stale_sensor", assign("reading", None), {}, Mode.DAMPING),
    ("sensor_stamps", old_stamp, {}, Mode.DAMPING),
    ("finite_sensor", put("position", 3, math.nan), {}, Mode.FAULT),
    ("finite_sensor", put("velocity", 3, math.inf), {}, Mode.FAULT),
    ("finite_sensor", put("imu_quat_wxyz", 0, math.nan), {}, Mode.FAULT),
    ("finite_sensor", put("imu_quat_wxyz", 0, 0.0), {}, Mode.FAULT),
    ("finite_sensor", put("imu_angular_velocity_b", 1, -math.inf), {}, Mode.FAULT),
    ("tilt", tilted(1.1), {}, Mode.FAULT),
    ("tilt", tilted(3.1), {}, Mode.FAULT),
    ("joint_position", put("position", 0, 1.0), {}, Mode.FAULT),
    ("joint_position", put("position", 2, -3.0), {}, Mode.FAULT),
    ("joint_velocity", put("velocity", 5, 31.0), {}, Mode.FAULT),
    ("joint_effort", put("effort", 1, -27.0), {}, Mode.FAULT),
    ("deadline_overrun", None, {"late_s": 0.041}, Mode.DAMPING),
    ("deadline_overrun", None, {"overruns": 4}, Mode.DAMPING),
    ("second_publisher", assign("rivals", 1), {}, Mode.DAMPING),
    ("second_publisher", assign("rivals", None), {}, Mode.DAMPING),
    ("operator_heartbeat", assign("command_ns", -2000 * MS), {}, Mode.DAMPING),
    ("operator_heartbeat", assign("command", None), {}, Mode.DAMPING),
    ("finite_command", assign("command", np.array([0, math.nan, 0])), {}, Mode.DAMPING),
]
POLICY_ONLY = {guard.name for guard in INPUT_GUARDS if guard.modes == {Mode.POLICY}}


@pytest.mark.parametrize("mode", sorted(ACTIVE))
@pytest.mark.parametrize(("name", "change", "timing", "expected"), FAULTS)
def test_each_guard_damps_within_the_tick(
    path: Path, name: str, change: Callable[[Inputs], None] | None, timing: dict[str, Any], expected: Mode, mode: Mode
) -> None:
    driver = Driver(path)
    driver.reach(mode)
    command = driver.tick(change, **timing)
    if mode is Mode.STAND and name in POLICY_ONLY:
        assert driver.controller.mode is Mode.STAND
        return
    assert driver.controller.mode is expected
    assert name in str(driver.events[-1]["cause"])
    assert not command.drives
    assert (command.kd > 0).all()


def test_every_guard_has_a_fault_here() -> None:
    grows = {"late_sensor"}  # a delay that grows takes more than a tick; below
    assert {guard.name for guard in INPUT_GUARDS} == {name for name, *_ in FAULTS} | grows
    assert {guard.name for guard in ACTION_GUARDS} == {"finite_action", "jumping_action"}


def test_frozen_stamps_trip_while_messages_keep_coming(path: Path) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    stamps = (driver.now_ns + 2,) * 2

    def frozen(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.stamps_ns = stamps

    ticks = next(tick for tick in range(10) if (driver.tick(frozen), driver.controller.mode)[1] is Mode.DAMPING)
    assert ticks * 20 <= 100
    assert "stands still" in driver.events[-1]["cause"]


@pytest.mark.parametrize("late_ms", [50, 70])
def test_a_growing_delay_trips_while_stamps_advance_and_messages_keep_coming(path: Path, late_ms: int) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    for tick in range(1, 51):

        def late(inputs: Inputs, tick: int = tick) -> None:
            assert inputs.reading is not None
            inputs.reading.stamps_ns = tuple(stamp - min(5 * tick, late_ms) * MS for stamp in inputs.reading.stamps_ns)

        driver.tick(late)
        if driver.controller.mode is Mode.DAMPING:
            assert 60 < 5 * tick <= 70
            assert "late_sensor" in driver.events[-1]["cause"]
            break
    assert (driver.controller.mode is Mode.DAMPING) is (late_ms > 60)


@pytest.mark.parametrize(("name", "value"), [("finite_action", math.nan), ("finite_action", -math.inf), ("jumping_action", 90.0)])
def test_action_guards(path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    action = np.zeros(12, np.float32)
    action[8] = value
    monkeypatch.setattr(driver.controller.policy, "act", lambda observation: action)
    command = driver.tick()
    assert driver.controller.mode is Mode.FAULT
    assert name in driver.events[-1]["cause"]
    assert not command.drives


def test_an_old_command_counts_as_zero_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    seen: list[list[float]] = []
    observe = driver.controller.policy.observe
    monkeypatch.setattr(driver.controller.policy, "observe", lambda sensors: (seen.append(sensors.command.tolist()), observe(sensors))[1])

    def commanded(age_s: float) -> Callable[[Inputs], None]:
        def change(inputs: Inputs) -> None:
            inputs.command, inputs.command_ns = np.array([5.0, 0.25, 0.0]), driver.now_ns - round(age_s * 1e9)

        return change

    for age_s in (0.4, 0.6, 1.9, 2.1):
        driver.tick(commanded(age_s))
    assert seen == [[1.0, 0.25, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]  # the first is clipped to the trained range
    assert driver.controller.mode is Mode.DAMPING


def test_emergency_stop_latches_from_anywhere(path: Path) -> None:
    for mode in (Mode.DAMPING, Mode.STAND, Mode.POLICY):
        driver = Driver(path)
        if mode is not Mode.DAMPING:
            driver.reach(mode)
        assert not driver.tick(None, Event.STAND, Event.ESTOP).drives
        assert driver.controller.mode is Mode.FAULT
        for event in (Event.STAND, Event.START, Event.STOP):
            driver.tick(None, event)
        assert driver.controller.mode is Mode.FAULT
        driver.tick(None, Event.RESET)
        assert driver.controller.mode is Mode.DAMPING


def test_stand_ramps_gains_and_pose(path: Path) -> None:
    driver = Driver(path)
    driver.tick()
    start = np.array(driver.controller.joints.default_pose) + 0.5 * np.array([1, -1, 1] * 4)

    def lying(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.position = start.copy()

    first = driver.tick(lying, Event.STAND)
    assert not first.kp.any()
    second = driver.tick(lying)
    np.testing.assert_allclose(second.position, start, atol=0.01)
    assert (second.kp < 0.1 * driver.controller.joints.kp).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("position", 4, 1.4), "default pose"),
        (put("velocity", 4, 1.5), "moves"),
        (tilted(0.4), "tilted"),
        (age(80), "stale_sensor"),
        (assign("command", None), "operator_heartbeat"),
    ],
)
def test_policy_entry_is_refused(path: Path, change: Callable[[Inputs], None], reason: str) -> None:
    driver = Driver(path)
    driver.reach(Mode.STAND)
    driver.tick(None, Event.START)
    assert "still standing up" in driver.events[-1]["cause"]
    for _ in range(101):
        driver.tick()
    driver.tick(change, Event.START)
    assert driver.controller.mode is not Mode.POLICY
    assert any(reason in event["cause"] for event in driver.events[-2:])


def test_nothing_leaves_zero_torque_before_arming(path: Path) -> None:
    driver = Driver(path, armed=False)
    command = driver.tick(None, Event.STAND)
    assert driver.controller.mode is Mode.ZERO_TORQUE
    assert not command.drives
    assert not command.kd.any()
    asked = ((Event.ESTOP, Mode.FAULT), (Event.STAND, Mode.FAULT), *((event, Mode.ZERO_TORQUE) for event in (Event.RESET, *OPERATOR[:3])))
    for event, mode in asked:
        assert not driver.tick(None, event).drives  # an emergency stop and its reset are no way around the golden run
        assert driver.controller.mode is mode
    assert driver.controller.refusal(Event.STAND) == "the policy file is not verified"
    driver.controller.fail(RuntimeError("x"))  # nor is a latched fault, whatever comes in one tick
    driver.tick(None, Event.ESTOP, Event.RESET, Event.STAND, Event.START)
    assert driver.controller.mode is Mode.FAULT
    driver.tick(None, Event.RESET, Event.STAND, Event.START)
    assert driver.controller.mode is Mode.ZERO_TORQUE
    driver.controller.arm()
    driver.reach(Mode.POLICY)


@pytest.mark.parametrize("order", [(Event.RESET, Event.ESTOP), (Event.ESTOP, Event.RESET), (Event.RESET, Event.STAND, Event.ESTOP)])
def test_nothing_undoes_an_emergency_stop_in_its_own_step(path: Path, order: tuple[Event, ...]) -> None:
    """Requests of one step come from several sources, so their order says nothing."""
    driver = Driver(path)
    driver.reach(Mode.STAND)
    assert not driver.tick(None, *order).drives
    assert driver.controller.mode is Mode.FAULT
    refused = [event for event in driver.events if event["event"] == "refused"]
    assert {event["cause"] for event in refused} == {"estop in the same step"}
    driver.tick(None, Event.RESET)
    assert driver.controller.mode is Mode.DAMPING
    driver.tick(None, Event.STOP, Event.STAND)
    assert driver.controller.mode is Mode.DAMPING


def test_a_stop_cancels_an_automatic_start_that_waits(path: Path) -> None:
    driver = Driver(path)
    driver.controller.auto_start()
    driver.tick(assign("rivals", None))  # it waits for the graph
    assert driver.controller.refusal(Event.STOP) is None
    driver.tick(assign("rivals", None), Event.STOP)
    for _ in range(10):
        assert not driver.tick().drives
    assert driver.controller.mode is Mode.DAMPING


def test_sources_that_take_turns_are_not_frozen(path: Path) -> None:
    """Two sensors at half the rate, a step apart: each tick brings news of one."""
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    for tick in range(20):

        def half(inputs: Inputs, tick: int = tick) -> None:
            assert inputs.reading is not None
            old, new = driver.now_ns - 20 * MS + 1, driver.now_ns + 1
            inputs.reading.stamps_ns = (new, old) if tick % 2 else (old, new)

        driver.tick(half)
    assert driver.controller.mode is Mode.POLICY, driver.events[-1]


def test_damping_for_a_while_does_not_make_a_delay_acceptable(path: Path) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    lag = 0

    def late(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.stamps_ns = tuple(stamp - lag * MS for stamp in inputs.reading.stamps_ns)

    for _ in range(200):
        lag = min(300, lag + 5)
        driver.tick(late)
    assert driver.controller.mode is Mode.DAMPING
    assert "late_sensor" in str(driver.controller.refusal(Event.STAND))


def test_a_fault_before_arming_is_reset_to_damping_once_armed(path: Path) -> None:
    driver = Driver(path, armed=False)
    driver.tick(None, Event.ESTOP)
    driver.controller.arm()
    assert driver.controller.mode is Mode.FAULT
    driver.tick(None, Event.RESET)
    assert driver.controller.mode is Mode.DAMPING


def test_golden_mismatch_and_bad_files_never_arm(path: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(PolicyFileError):
        PolicyFile(broken)
    driver = Driver(path)
    driver.controller.mode = Mode.ZERO_TORQUE
    driver.controller.policy.golden.action[5, 3] += 1e-3
    with pytest.raises(GoldenMismatchError):
        driver.controller.arm()
    assert driver.controller.mode is Mode.ZERO_TORQUE


def test_unknown_limits_are_refused() -> None:
    with pytest.raises(SafetyLimitError, match="unknown safety limit 'tilt'"):
        SafetyLimits.of(go1_spec(), {"tilt": 1.0})
    with pytest.raises(SafetyLimitError, match="above zero"):
        SafetyLimits.of(go1_spec(), {"max_tilt": math.nan})


def test_the_table_leaves_policy_only_to_damping_or_fault() -> None:
    assert {after for (mode, _), after in TRANSITIONS.items() if mode is Mode.POLICY} == {Mode.DAMPING, Mode.FAULT}
    assert {after for (mode, _), after in TRANSITIONS.items() if mode is Mode.FAULT} == {Mode.DAMPING, Mode.FAULT}
    assert all(table[mode, Event.ESTOP] is Mode.FAULT for mode in Mode for table in (TRANSITIONS, UNARMED))
    assert set(UNARMED.values()) == {Mode.ZERO_TORQUE, Mode.FAULT}


def assert_within_limits(driver: Driver, command: JointCommand, inputs: Inputs) -> None:
    joints = driver.controller.joints
    for field in (command.position, command.velocity, command.effort, command.kp, command.kd):
        assert np.isfinite(field).all()
    assert (command.kp >= 0).all()
    assert (command.kp <= joints.kp).all()
    assert (command.kd >= 0).all()
    assert (command.kd <= joints.kd).all()
    if driver.controller.mode not in ACTIVE:
        assert not command.drives
    if command.drives:
        assert (command.position >= joints.lower).all()
        assert (command.position <= joints.upper).all()
    reading = inputs.reading
    if reading is not None and np.isfinite(reading.position).all() and np.isfinite(reading.velocity).all():
        torque = command.kp * (command.position - reading.position) - command.kd * reading.velocity
        assert (np.abs(torque) <= joints.effort * (1 + 1e-9)).all()


NUMBERS = st.one_of(st.floats(width=32), st.floats(-3, 3, width=32))
FIELDS = st.sampled_from(["position", "velocity", "effort", "imu_quat_wxyz", "imu_angular_velocity_b"])
DAMAGE = st.one_of(
    st.builds(put, FIELDS, st.integers(0, 2), NUMBERS),
    st.builds(age, st.integers(0, 90)),
    st.builds(tilted, st.floats(-3, 3)),
    st.sampled_from([assign("reading", None), assign("wire_fault", "x"), assign("rivals", 1), assign("command", None), old_stamp]),
    st.builds(lambda v: assign("command", np.array([v, 0.0, -v])), NUMBERS),
)
STEP = st.tuples(
    st.lists(st.sampled_from(list(Event)), max_size=2),
    st.one_of(st.none(), st.none(), st.none(), DAMAGE),
    st.one_of(st.none(), st.none(), NUMBERS),
    st.floats(0, 0.05),
    st.integers(1, 60),
)
OPERATOR = (Event.STAND, Event.START, Event.STOP, Event.ESTOP, Event.RESET)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, min_size=1, max_size=30))
def test_no_input_moves_a_robot_before_arming(path: Path, steps: list[Any]) -> None:
    driver = Driver(path, {"stand_s": 0.02, "gain_ramp_s": 0.02}, armed=False)
    for requests, change, _, late_s, _ in steps:
        assert not driver.tick(change, *(event for event in requests if event in OPERATOR), late_s=late_s).drives
        assert driver.controller.mode in (Mode.ZERO_TORQUE, Mode.FAULT)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, min_size=1, max_size=30), st.booleans())
def test_no_input_leaves_the_table_or_the_limits(path: Path, steps: list[Any], standing: bool) -> None:
    driver = Driver(path, {"stand_s": 0.02, "gain_ramp_s": 0.02})
    act = driver.controller.policy.act
    if standing:
        driver.reach(Mode.POLICY)
    for requests, change, action, late_s, repeat in steps:
        asked = [event for event in requests if event in OPERATOR]
        if action is not None:
            driver.controller.policy.act = lambda observation, value=action: np.full(12, value, np.float32)  # type: ignore[method-assign]
        for _ in range(min(repeat, 4)):
            seen: list[Inputs] = []
            previous = driver.controller.limiter._previous

            def record(inputs: Inputs, change: Any = change, seen: list[Inputs] = seen) -> None:
                if change is not None:
                    change(inputs)
                seen.append(inputs)

            command = driver.tick(record, *asked, late_s=late_s)
            assert_within_limits(driver, command, seen[0])
            target = driver.controller.limiter._previous
            if previous is not None and target is not None and Event.STAND not in asked:
                assert (np.abs(target - previous) <= driver.controller.limiter.step + 1e-12).all()
            if Event.ESTOP in asked and Event.RESET not in asked:
                assert driver.controller.mode is Mode.FAULT
            asked = []
        driver.controller.policy.act = act  # type: ignore[method-assign]
    allowed = {(str(before), str(after)) for (before, _), after in TRANSITIONS.items()}
    assert {(event["from"], event["to"]) for event in driver.events if event["event"] == "transition"} <= allowed


def test_the_policy_takes_over_from_the_pose_that_was_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(path)
    driver.reach(Mode.STAND)
    ramp_s, held = driver.controller.limits.entry_ramp_s, driver.controller.joints.default_pose
    for _ in range(round(driver.controller.limits.stand_s / 0.02) + 1):
        before = driver.tick()
    action = np.full(12, 0.2, np.float32)
    monkeypatch.setattr(driver.controller.policy, "act", lambda observation: action)
    np.testing.assert_allclose(before.position, held, atol=1e-9)
    asked = [driver.tick(None, Event.START).position]
    asked += [driver.tick().position for _ in range(round(ramp_s / 0.02) + 1)]
    assert driver.controller.mode is Mode.POLICY
    np.testing.assert_allclose(asked[0], held, atol=1e-9)
    steps = np.abs(np.diff(asked, axis=0)).max(axis=1)
    total = np.abs(asked[-1] - held).max()
    assert total > 0.03
    assert steps.max() < 0.2 * total
    np.testing.assert_allclose(asked[-1], asked[-2])
    np.testing.assert_allclose(asked[-1], driver.controller.target)
