"""Motors that are hot, and a battery: warned of, logged, kept from standing up, damped by a limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bridge.control.loop import ControlLoop
from bridge.control.reading import Inputs
from bridge.control.safety import Event, Mode
from bridge.logs.reader import read_log
from bridge.logs.replay import replay
from bridge.logs.writer import LogWriter
from bridge.operator.attended import Attended
from tests.bridge_helpers import Driver, FakeTransport
from tests.make_policy import make_policy


def at(celsius: float, joint: int = 3, charge: float | None = None):
    def change(inputs: Inputs) -> None:
        inputs.temperature = np.full(12, 40.0)
        inputs.temperature[joint] = celsius
        inputs.battery = charge

    return change


def test_a_hot_motor_keeps_a_robot_from_standing_and_ends_nothing_by_itself(tmp_path: Path) -> None:
    driver = Driver(make_policy(tmp_path / "linear.onnx"))
    driver.tick(at(120.0))
    refusal = driver.controller.refusal(Event.STAND)
    assert refusal is not None
    assert f"the motor of {driver.controller.joints.names[3]} has 120 C" in refusal
    driver.tick(at(90.0))
    assert driver.controller.refusal(Event.STAND) is None
    driver.reach(Mode.POLICY)
    driver.tick(at(120.0))
    assert driver.controller.mode is Mode.POLICY


def test_a_motor_that_tells_no_temperature_hides_no_other(tmp_path: Path) -> None:
    driver = Driver(make_policy(tmp_path / "linear.onnx"))

    def change(inputs: Inputs) -> None:
        inputs.temperature = np.array([np.nan, *[40.0] * 10, 120.0])

    driver.tick(change)
    assert f"the motor of {driver.controller.joints.names[11]} has 120 C" in str(driver.controller.refusal(Event.STAND))
    lines: list[str] = []
    wire = FakeTransport(driver.controller.spec)
    attended = Attended(wire, [], None, dry_run=False)  # type: ignore[arg-type]
    attended.loop, attended.on_line = ControlLoop(driver.controller, attended), lines.append
    wire.temperature = np.array([np.nan, *[40.0] * 10, 120.0])
    attended.report(attended.loop.status())
    assert lines == [f"warning: the motor of {driver.controller.joints.names[11]} has 120 C"]
    wire.temperature = np.full(12, np.nan)
    attended.report(attended.loop.status())
    assert len(lines) == 1


def test_a_limit_damps_a_robot_whose_motor_is_too_hot(tmp_path: Path) -> None:
    driver = Driver(make_policy(tmp_path / "linear.onnx"), {"max_motor_c": 100.0})
    driver.reach(Mode.POLICY)
    driver.tick(at(99.0))
    assert driver.controller.mode is Mode.POLICY
    driver.tick(at(101.0))
    assert driver.controller.mode is Mode.DAMPING
    assert "motor_limit" in driver.controller.cause


def test_the_log_has_temperatures_and_charge_and_replays_what_they_did(tmp_path: Path) -> None:
    driver = Driver(make_policy(tmp_path / "linear.onnx"), {"max_motor_c": 100.0})
    log = LogWriter(tmp_path / "run.mcap", driver.controller, transport="test", auto_start=False)
    inner, now = driver.controller.on_event, driver.now_ns
    driver.controller.on_event = lambda event: (inner(event), log.event(event))[0]
    wanted = [(None, Event.STAND), *[(None, None)] * 105, (None, Event.START), (60.0, None), (101.0, None), (50.0, None)]
    for celsius, request in [(None, None), *wanted]:
        seen: list[Inputs] = []

        def change(inputs: Inputs, celsius: float | None = celsius, seen: list[Inputs] = seen) -> None:
            if celsius is not None:
                at(celsius, charge=0.5)(inputs)
            seen.append(inputs)

        sent = driver.tick(change, *(() if request is None else (request,)))
        log.tick(driver.now_ns, seen[0], driver.controller, sent, 0, 0, 0)
    log.close()
    del now
    recorded = read_log(tmp_path / "run.mcap")
    assert list(recorded.ticks["temperature"][-3:, 3]) == [60.0, 101.0, 50.0]
    assert recorded.ticks["battery"][-1] == 0.5
    assert driver.controller.mode is Mode.DAMPING
    again = replay(recorded)
    assert again.same()
    assert not again.states
