"""Every guard by injecting its fault, and what looks like one and is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.control.guards import ACTION_GUARDS, INPUT_GUARDS
from bridge.control.reading import Inputs
from bridge.control.safety import ACTIVE, Event, Mode
from tests.bridge_damage import age, assign, old_stamp, put, tilted
from tests.bridge_helpers import MS, Driver
from tests.make_policy import make_policy


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_policy(tmp_path_factory.mktemp("policy") / "linear.onnx")


FAULTS: list[tuple[str, Callable[[Inputs], None] | None, dict[str, Any], Mode]] = [
    ("joint_set", assign("wire_fault", "joint set differs"), {}, Mode.FAULT),
    ("stale_sensor", age(61), {}, Mode.DAMPING),
    ("stale_sensor", assign("reading", None), {}, Mode.DAMPING),
    ("sensor_stamps", old_stamp, {}, Mode.DAMPING),
    ("finite_sensor", put("position", 3, math.nan), {}, Mode.FAULT),
    ("finite_sensor", put("velocity", 3, math.inf), {}, Mode.FAULT),
    ("finite_sensor", put("imu_quat_wxyz", 0, math.nan), {}, Mode.FAULT),
    ("finite_sensor", put("imu_quat_wxyz", 0, 0.0), {}, Mode.FAULT),
    ("finite_sensor", put("imu_quat_wxyz", 0, 1.05), {}, Mode.FAULT),
    ("finite_sensor", put("imu_angular_velocity_b", 1, -math.inf), {}, Mode.FAULT),
    ("tilt", tilted(1.1), {}, Mode.FAULT),
    ("tilt", tilted(3.1), {}, Mode.FAULT),
    ("joint_position", put("position", 0, 1.0), {}, Mode.FAULT),
    ("joint_position", put("position", 2, -3.0), {}, Mode.FAULT),
    ("joint_velocity", put("velocity", 5, 31.0), {}, Mode.FAULT),
    ("joint_effort", put("effort", 1, -27.0), {}, Mode.FAULT),
    ("sensor_jump", put("position", 2, -2.6), {}, Mode.DAMPING),
    ("sensor_contradiction", put("position", 2, -1.3), {}, Mode.DAMPING),
    ("sensor_contradiction", tilted(0.6), {}, Mode.DAMPING),
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


def told(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """What the policy is told of the operator's command, from now on."""
    seen: list[list[float]] = []
    observe = driver.controller.policy.observe
    monkeypatch.setattr(driver.controller.policy, "observe", lambda sensors: (seen.append(sensors.command.tolist()), observe(sensors))[1])
    return seen


def test_an_old_command_counts_as_zero_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(path, {"command_ramp_s": 1e-3})
    driver.reach(Mode.POLICY)
    seen = told(driver, monkeypatch)

    def commanded(age_s: float) -> Callable[[Inputs], None]:
        def change(inputs: Inputs) -> None:
            inputs.command, inputs.command_ns = np.array([5.0, 0.25, 0.0]), driver.now_ns - round(age_s * 1e9)

        return change

    for age_s in (0.4, 0.6, 1.9, 2.1):
        driver.tick(commanded(age_s))
    assert seen == [[1.0, 0.25, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]  # the first is clipped to the trained range
    assert driver.controller.mode is Mode.DAMPING


def test_a_velocity_command_takes_its_time_and_starts_at_rest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    seen = told(driver, monkeypatch)
    lower, upper = (np.array(bound) for bound in (driver.controller.spec.command.lower, driver.controller.spec.command.upper))

    def tick(command: np.ndarray, times: int) -> np.ndarray:
        seen.clear()
        for _ in range(times):
            driver.tick(lambda inputs: setattr(inputs, "command", command))
        return np.array(seen)

    rise = tick(upper, 26)
    np.testing.assert_allclose(np.diff(rise[:24], axis=0), np.tile((upper - lower) * 0.02, (23, 1)), rtol=1e-4)
    np.testing.assert_allclose(rise[-1], upper, rtol=1e-6)
    turn = tick(lower, 51)
    assert np.abs(np.diff(turn, axis=0)).max() <= (upper - lower).max() * 0.0201
    np.testing.assert_allclose(turn[-1], lower, rtol=1e-6)
    driver.tick(None, Event.STOP)
    driver.reach(Mode.POLICY)
    assert np.abs(tick(upper, 1)).max() <= (upper - lower).max() * 0.041  # not from where it ended


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
