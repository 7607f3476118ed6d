"""Sensors' clocks that run at another rate, stand still or are set: what is said, what damps, and how `reset` begins again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bridge.log_topics import TICK, Topics
from bridge.reading import Inputs
from bridge.safety import Event, Mode
from bridge.ticks import get_inputs, put_inputs, tick_dtype
from tests.bridge_helpers import MS, Driver, good_inputs
from tests.make_policy import go1_spec, make_policy


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_policy(tmp_path_factory.mktemp("policy") / "linear.onnx")


def running(rate: float, driver: Driver, free: bool) -> Callable[[Inputs], None]:
    """Stamps of a clock that runs at `rate` of the loop's from now on."""
    begin_ns = driver.now_ns

    def change(inputs: Inputs) -> None:
        assert inputs.reading is not None
        stamp_ns = begin_ns + round(rate * (driver.now_ns - begin_ns)) + 1
        inputs.reading.stamps_ns, inputs.reading.free_clock = (stamp_ns,) * len(inputs.reading.stamps_ns), free

    return change


def remarks(driver: Driver) -> list[str]:
    return [event["text"] for event in driver.events if event["event"] == "remark"]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8, 0.95, 1.05, 2.0])
def test_a_simulators_clock_of_another_rate_is_said_and_stops_nobody(path: Path, rate: float) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    change = running(rate, driver, free=True)
    for _ in range(250):
        driver.tick(change)
    assert driver.controller.mode is Mode.POLICY, driver.events[-1]
    assert f"clock runs at {rate:.2f} of this computer's" in remarks(driver)[-1]
    assert driver.controller.remarks == remarks(driver)[-1:]
    assert len(remarks(driver)) == 1


def test_a_simulators_clock_of_the_same_rate_is_not_worth_a_word(path: Path) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    for _ in range(250):
        driver.tick(running(0.999, driver, free=True))
    assert remarks(driver) == []


@pytest.mark.parametrize("back", [False, True])
def test_a_simulators_clock_that_stands_still_or_goes_back_still_damps(path: Path, back: bool) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    stamp_ns = driver.now_ns - (100 * MS if back else 0)

    def change(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.stamps_ns, inputs.reading.free_clock = (stamp_ns,) * len(inputs.reading.stamps_ns), True

    for _ in range(5):
        driver.tick(change)
    assert driver.controller.mode is Mode.DAMPING
    assert "sensor_stamps" in str(driver.events[-1]["cause"])


def test_a_robots_clock_of_another_rate_damps_and_the_rate_is_told(path: Path) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    change = running(0.8, driver, free=False)
    for _ in range(150):
        driver.tick(change)
    assert driver.controller.mode is Mode.DAMPING
    said = str(driver.controller.refusal(Event.STAND))
    assert "late_sensor" in said
    assert "clock runs at 0.80 of this computer's" in said
    assert "use_sim_time" in said


def stood_still(driver: Driver, lost_ms: int) -> Callable[[Inputs], None]:
    """Stamps of a clock that has lost so much."""

    def change(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.stamps_ns = tuple(stamp - lost_ms * MS for stamp in inputs.reading.stamps_ns)

    return change


def test_after_a_pause_of_the_robots_clock_reset_starts_the_measure_again(path: Path) -> None:
    driver = Driver(path)
    driver.reach(Mode.POLICY)
    frozen_ns = driver.now_ns + 1

    def pause(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.stamps_ns = (frozen_ns,) * len(inputs.reading.stamps_ns)

    for _ in range(100):
        driver.tick(pause)
    assert driver.controller.mode is Mode.DAMPING
    after = stood_still(driver, 2000)
    for _ in range(200):
        driver.tick(after)
    refused = str(driver.controller.refusal(Event.STAND))
    assert "late_sensor" in refused
    assert "reset" in refused
    assert driver.controller.refusal(Event.RESET) is None
    driver.tick(after, Event.RESET)
    assert driver.controller.mode is Mode.DAMPING
    assert "starts again" in remarks(driver)[-1]
    driver.tick(after, Event.STAND)
    assert driver.controller.mode is Mode.STAND
    for _ in range(10):
        driver.tick(after)
    lose(driver, 2000, 2100)
    assert driver.controller.mode is Mode.DAMPING  # the guard is as awake as before
    assert "late_sensor" in str(driver.events[-1]["cause"])


def lose(driver: Driver, begin_ms: int, end_ms: int) -> None:
    """Let the robot's clock fall behind, as messages do that come ever later."""
    for lost_ms in range(begin_ms, end_ms + 1, 10):
        driver.tick(stood_still(driver, lost_ms))


def test_reset_leaves_an_automatic_start_waiting(path: Path) -> None:
    driver = Driver(path)
    driver.tick()
    lose(driver, 0, 100)
    driver.controller.auto_start()
    late = stood_still(driver, 100)
    driver.tick(late)
    assert "late_sensor" in str(driver.controller.waits_for)
    driver.tick(late, Event.RESET)
    driver.tick(late)
    assert driver.controller.mode is Mode.STAND


def test_reset_out_of_a_fault_starts_the_measure_again_too(path: Path) -> None:
    driver = Driver(path)
    driver.tick()
    lose(driver, 0, 100)
    late = stood_still(driver, 100)
    driver.tick(late, Event.ESTOP)
    driver.tick(late, Event.RESET)
    driver.tick(late, Event.STAND)
    assert driver.controller.mode is Mode.STAND


@pytest.mark.parametrize("free", [False, True])
def test_a_log_keeps_whose_clock_it_was(free: bool) -> None:
    spec = go1_spec()
    inputs = good_inputs(spec, 10**12)
    assert inputs.reading is not None
    inputs.reading.free_clock = free
    row = np.zeros((), tick_dtype(spec))
    put_inputs(row, inputs)
    read, topics = np.zeros((), tick_dtype(spec)), Topics(spec)
    for topic, data in topics.tick(row, 0):
        topics.fill(read, topic, data)
    assert TICK
    reading = get_inputs(read).reading
    assert reading is not None
    assert reading.free_clock is free
