"""A robot's clock that is set while its messages keep coming: said, tolerated once where it is small, and damped where it is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Mode
from bridge.transports.ros2.newest import NewestFilter
from tests.bridge_helpers import MS, Driver
from tests.make_policy import make_policy


def drive(driver: Driver, offsets_ms: list[float]) -> None:
    """A tick for each offset of the robot's clock [ms]."""

    def shifted(offset_ms: float):
        def change(inputs: Inputs) -> None:
            reading = inputs.reading
            assert isinstance(reading, Reading)
            stamps = tuple(stamp + 100_000 * MS + round(offset_ms * MS) for stamp in reading.stamps_ns)
            inputs.reading = dataclasses.replace(reading, stamps_ns=stamps)

        return change

    for offset in offsets_ms:
        driver.tick(shifted(offset))


def walking(path: Path, **limits: float) -> Driver:
    driver = Driver(make_policy(path / "linear.onnx"), limits)
    driver.reach(Mode.POLICY)
    driver.controller._watch.__init__()  # pyright: ignore[reportPrivateUsage] # the clock of `drive` is another
    drive(driver, [0.0] * 20)
    assert driver.controller.mode is Mode.POLICY
    return driver


def remarks(driver: Driver) -> str:
    return "\n".join(str(event["text"]) for event in driver.events if event["event"] == "remark")


@pytest.mark.parametrize("step_ms", [-50.0, -95.0, 300.0, 2000.0])
def test_a_small_step_back_and_any_ahead_are_said_and_the_robot_walks_on(tmp_path: Path, step_ms: float) -> None:
    driver = walking(tmp_path)
    drive(driver, [step_ms] * 100)
    assert driver.controller.mode is Mode.POLICY
    assert "clock was set" in remarks(driver)
    assert ("back by" if step_ms < 0 else "ahead by") in remarks(driver)


@pytest.mark.parametrize("offsets", [[-150.0], [-50.0, -50.0, -100.0], [-50.0, 0.0, -50.0]], ids=["far", "again", "out of order"])
def test_what_is_more_than_one_small_step_is_damped(tmp_path: Path, offsets: list[float]) -> None:
    driver = walking(tmp_path)
    drive(driver, offsets)
    assert driver.controller.mode is Mode.DAMPING
    assert "time stamp went back" in driver.controller.cause


def test_the_limit_is_its_own(tmp_path: Path) -> None:
    driver = walking(tmp_path, clock_step_s=0.03)
    drive(driver, [-50.0])
    assert driver.controller.mode is Mode.DAMPING


@pytest.mark.parametrize("period_ms", [2, 20])
def test_messages_of_a_clock_that_was_set_are_not_held_back_as_overtaken_ones(period_ms: int) -> None:
    newest, arrival = NewestFilter(), 0
    taken: list[bool] = []
    for index in range(40):
        arrival += period_ms * MS
        taken.append(newest.accepts(10_000 * MS + arrival - (50 * MS if index >= 20 else 0), arrival))
    assert taken[:20] == [True] * 20
    assert taken[20:].count(False) == (1 if period_ms == 20 else 3)  # they could have been overtaken
    assert not any(taken[20:23]) or period_ms == 20


def test_overtaken_messages_are_held_back_all_the_same() -> None:
    newest = NewestFilter()
    stamps = [10, 12, 11, 14, 13, 16, 18, 15, 17, 20]
    arrivals = [2 * index * MS for index in range(len(stamps))]
    taken = [stamp for stamp, at in zip(stamps, arrivals, strict=True) if newest.accepts(stamp * MS, at)]
    assert sorted(taken) == taken


@pytest.mark.parametrize("source", [0, 1])
@pytest.mark.parametrize("apart_s", [0, 1_000, -1_000])
def test_the_messages_of_either_source_are_late_whatever_clock_the_other_has(tmp_path: Path, source: int, apart_s: int) -> None:
    """Joint states in the time of day and an IMU that counts from its start: each is measured by its own clock."""
    driver = Driver(make_policy(tmp_path / "linear.onnx"))
    driver.reach(Mode.POLICY)
    driver.controller._watch.__init__()  # pyright: ignore[reportPrivateUsage] # clocks that are others from now on
    late = [0]

    def change(inputs: Inputs) -> None:
        reading = inputs.reading
        assert isinstance(reading, Reading)
        stamps = [reading.stamps_ns[0], reading.stamps_ns[1] + apart_s * 1_000 * MS]
        stamps[source] -= late[0] * MS
        inputs.reading = dataclasses.replace(reading, stamps_ns=tuple(5_000_000 * MS + stamp for stamp in stamps))

    for _ in range(20):
        driver.tick(change)
    for late[0] in range(0, 120, 5):  # its delay grows
        driver.tick(change)
    assert driver.controller.mode is Mode.DAMPING
    assert "late_sensor" in driver.controller.cause
