"""Sensors' clocks that run at another rate, stand still or are set: what is said, what damps, and how `reset` begins again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.reading import Inputs
from bridge.control.safety import Event, Mode
from bridge.control.ticks import MODES, get_inputs, put_inputs, tick_dtype
from bridge.logs.reader import read_log
from bridge.logs.replay import replay
from bridge.logs.topics import Topics
from bridge.logs.writer import LogWriter
from bridge.operator.attended import Attended
from bridge.operator.dashboard import render, snapshot
from bridge.operator.events import Events
from policies.contract.file import PolicyFile
from robolearn.identify.log import from_log
from robolearn.identify.recording import RecordingError
from tests.bridge_helpers import MS, Driver, FakeTransport, good_inputs
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


def stamped(stamp_ns: int, inputs: Inputs) -> None:
    """A simulator's message of that time."""
    assert inputs.reading is not None
    inputs.reading.stamps_ns, inputs.reading.free_clock = (stamp_ns,) * len(inputs.reading.stamps_ns), True


def test_a_simulators_clock_that_keeps_up_again_is_worth_no_remark_any_longer(path: Path) -> None:
    driver, spoken = Driver(path), []
    driver.reach(Mode.POLICY)
    stamp_ns = driver.now_ns
    for rate in (0.95, 1.0, 0.9, 0.97, 1.0):
        for _ in range(300):
            stamp_ns += round(rate * 20 * MS)
            driver.tick(partial(stamped, stamp_ns))
        spoken.append([text.split(" of ")[0] for text in driver.controller.remarks])
    slow = "the robot's clock runs at"
    assert spoken == [[f"{slow} 0.95"], [], [f"{slow} 0.90"], [f"{slow} 0.97"], []]
    assert len(remarks(driver)) == 2  # 0.97 is no news after 0.90, and what is shown is right all the same


def test_reset_forgets_the_rate_that_was_said(path: Path) -> None:
    driver = Driver(path)
    driver.tick()
    change = running(0.9, driver, free=True)
    for _ in range(250):
        driver.tick(change)
    assert driver.controller.remarks
    driver.tick(change, Event.RESET)
    assert driver.controller.remarks == []
    for _ in range(250):
        driver.tick(change)
    assert "clock runs at 0.90" in driver.controller.remarks[0]


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


@pytest.mark.parametrize("first", [(), (Event.ESTOP,)], ids=["damping", "fault"])
@pytest.mark.parametrize("free", [False, True])
def test_a_clock_that_stands_still_keeps_standing_still_over_a_reset(path: Path, free: bool, first: tuple[Event, ...]) -> None:
    driver = Driver(path)
    driver.tick()
    frozen_ns = driver.now_ns + 1

    def still(inputs: Inputs) -> None:
        assert inputs.reading is not None
        inputs.reading.stamps_ns, inputs.reading.free_clock = (frozen_ns,) * len(inputs.reading.stamps_ns), free

    for _ in range(10):
        driver.tick(still)
    driver.tick(still, *first)
    driver.tick(still, Event.RESET)
    driver.controller.auto_start()
    for _ in range(10):
        driver.tick(still, Event.STAND)
        assert driver.controller.mode is Mode.DAMPING
        assert "stands still" in str(driver.controller.refusal(Event.STAND))
    for _ in range(5):
        driver.tick()
    assert driver.controller.mode is Mode.STAND  # a clock that goes on needs nobody


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
    reading = get_inputs(read).reading
    assert reading is not None
    assert reading.free_clock is free


def logged(path: Path, log: Path, rate: float, free: bool, seconds: float) -> None:
    """Log a robot whose clock runs at `rate`, that is stood up after 1 s, and whose operator asks for a reset after 2."""
    controller = Controller(PolicyFile(path))
    controller.arm()
    recorder = LogWriter(log, controller, transport="test")
    controller.on_event = recorder.event
    for tick in range(1, round(seconds / 0.02)):
        now_ns = 10**12 + tick * 20 * MS
        inputs = good_inputs(controller.spec, now_ns, *{50: [Event.STAND], 100: [Event.RESET], 102: [Event.STAND]}.get(tick, []))
        assert inputs.reading is not None
        inputs.reading.stamps_ns, inputs.reading.free_clock = (10**9 + round(tick * 20 * MS * rate),) * 2, free
        recorder.tick(now_ns, inputs, controller, controller.tick(now_ns, inputs), 0, 0, 0)
    recorder.close()


@pytest.mark.parametrize("free", [False, True])
def test_a_run_with_a_slow_clock_replays(path: Path, free: bool, tmp_path: Path) -> None:
    logged(path, tmp_path / "run.mcap", 0.8, free, 3.0)
    log = read_log(tmp_path / "run.mcap")
    modes = [MODES[mode] for mode in log.ticks["mode"]]
    assert (modes[80] is Mode.STAND) is free  # a robot's clock does not let it stand up, until the reset
    assert modes[103] is Mode.STAND
    assert (modes[-1] is Mode.STAND) is free
    assert replay(log).same(0.0)


def test_a_slow_clock_is_no_ground_for_identification(path: Path, tmp_path: Path) -> None:
    logged(path, tmp_path / "slow.mcap", 0.95, True, 4.0)
    with pytest.raises(RecordingError, match=r"clock runs at 0\.95"):
        from_log(tmp_path / "slow.mcap")
    logged(path, tmp_path / "good.mcap", 1.0, True, 4.0)
    from_log(tmp_path / "good.mcap")


def test_a_remark_is_an_event_a_line_and_on_every_screen_once_as_long_as_it_holds(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    from rich.console import Console

    class Remarking(FakeTransport):
        remarks: tuple[str, ...] = ("the sender leaves its tick empty",)

        def read(self) -> Inputs:
            inputs = super().read()
            inputs.remarks = self.remarks
            return inputs

    policy = PolicyFile(path)
    events = Events(tmp_path / "events.jsonl")
    controller = Controller(policy, on_event=events, shadow=True)
    controller.arm()
    wire = Remarking(policy.spec)
    attended, said = Attended(wire, [], None, dry_run=True), []  # type: ignore[arg-type]
    attended.tell = said.append
    loop = attended.loop = ControlLoop(controller, attended)
    deadline = wire.now
    for _ in range(60):
        attended.wait_until(deadline)
        deadline = loop.tick(deadline)
    events.close()
    told = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["text"] for event in told if event["event"] == "remark"] == list(wire.remarks)
    assert capsys.readouterr().out.count(wire.remarks[0]) == 1
    assert all(wire.remarks[0] in line for line in said)
    assert said
    assert loop.status()["remarks"] == list(wire.remarks)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(snapshot(loop, {}), []))
    assert wire.remarks[0] in console.export_text()
    wire.remarks = ()
    loop.tick(deadline)
    assert loop.status()["remarks"] == []
