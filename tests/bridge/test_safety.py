"""The safety states: what leads into them and what does not; whatever comes in, no way off the table and no command beyond the limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.control.reading import Inputs
from bridge.control.safety import TRANSITIONS, UNARMED, Event, Mode, SafetyLimitError, SafetyLimits
from policies.contract.file import GoldenMismatchError, PolicyFile, PolicyFileError
from tests.bridge_damage import OPERATOR, age, assert_within_limits, assign, old_stamp, put, tilted
from tests.bridge_helpers import Driver
from tests.make_policy import go1_spec, make_policy


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_policy(tmp_path_factory.mktemp("policy") / "linear.onnx")


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
    start = np.array(driver.controller.joints.default_pose) + 0.5 * np.array([1, -1, 1] * 4)

    def lying(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.position = start.copy()

    driver.tick(lying)
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
    driver = Driver(path, {"contradiction": 10.0})  # the robot is moved at once, as none can be
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


def test_a_stop_in_fault_is_answered(path: Path) -> None:
    driver = Driver(path)
    driver.tick(None, Event.ESTOP)
    driver.tick(None, Event.STOP)
    assert driver.controller.mode is Mode.FAULT
    assert [event["cause"] for event in driver.events if event["event"] == "refused"] == ["nothing is driven in fault"]


def test_a_stop_cancels_an_automatic_start_that_waits(path: Path) -> None:
    driver = Driver(path)
    driver.controller.auto_start()
    driver.tick(assign("rivals", None))  # it waits for the graph
    assert driver.controller.refusal(Event.STOP) is None
    driver.tick(assign("rivals", None), Event.STOP)
    for _ in range(10):
        assert not driver.tick().drives
    assert driver.controller.mode is Mode.DAMPING


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
            assert_within_limits(driver.controller, command, seen[0].reading)
            target = driver.controller.limiter._previous
            if previous is not None and target is not None and Event.STAND not in asked:
                assert (np.abs(target - previous) <= driver.controller.limiter.step + 1e-12).all()
            if Event.ESTOP in asked and Event.RESET not in asked:
                assert driver.controller.mode is Mode.FAULT
            asked = []
        driver.controller.policy.act = act  # type: ignore[method-assign]
    allowed = {(str(before), str(after)) for (before, _), after in TRANSITIONS.items()}
    assert {(event["from"], event["to"]) for event in driver.events if event["event"] == "transition"} <= allowed


def test_of_requests_in_one_step_the_most_cautious_is_done_and_the_others_are_told_no(path: Path) -> None:
    driver = Driver(path)
    driver.tick(None, Event.ESTOP)
    assert driver.controller.mode is Mode.FAULT
    driver.tick(None, Event.START, Event.STAND, Event.RESET)
    assert driver.controller.mode is Mode.DAMPING, "a reset never leads to driving in its own step"
    refused = [(event["request"], event["cause"]) for event in driver.events if event["event"] == "refused"]
    assert refused == [("start", "reset in the same step"), ("stand", "reset in the same step")]
    driver.tick(None, Event.START, Event.STAND)
    assert driver.controller.mode is Mode.STAND


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
