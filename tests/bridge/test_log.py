"""The flight recorder: nothing of a run is missing, others can read it, a killed process loses little, and it replays bit for bit."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from rosbags.typesys import Stores, get_typestore

from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.reading import Inputs
from bridge.control.safety import Event, Mode, SafetyLimits
from bridge.control.ticks import INFERRED, MODES, Ring
from bridge.logs.reader import Log, newest_run, read_log
from bridge.logs.repair import repair
from bridge.logs.replay import replay
from bridge.logs.writer import LogError, LogWriter
from bridge.simulated.physics import PhysicsRobot, physics_dt
from bridge.transports.sim import SimTransport
from policies.contract.file import PolicyFile
from robolearn.cli import main
from tests.bridge_helpers import REPOSITORY, Process, good_reading, processes, wait_for
from tests.make_policy import make_policy

ZOO = REPOSITORY / "policies" / "zoo"
ROBOTS = REPOSITORY / "envs" / "robots"
SECONDS = {"go1-velocity": 4.0, "panda-reach": 4.0, "g1-velocity": 4.0}


def run_logged(
    name: str, path: Path, seconds: float, sensors: str = "tick", requests: dict[int, Event] | None = None, pause_s: float = 0.0
) -> Controller:
    """A shipped policy on its simulated robot, in lock-step, with a permuted wire and a command that changes."""
    policy = PolicyFile(ZOO / f"{name}.onnx")
    spec = policy.spec
    controller = Controller(policy)
    controller.arm()
    if requests is None:
        controller.auto_start()
    robot = PhysicsRobot(spec.robot, ROBOTS / spec.robot.name / f"{spec.robot.name}.xml", physics_dt(spec, 500.0), 3)
    wire = SimTransport(robot, spec.robot.joint_names, np.array(spec.command.lower) * 0.2)
    recorder = LogWriter(path, controller, transport="sim", patient=True, auto_start=requests is None, sensors=sensors)  # type: ignore[arg-type]
    controller.on_event = recorder.event
    wire.on_reading = recorder.reading if sensors == "all" else None
    ticks = 0

    def change(status: Any) -> None:
        nonlocal ticks
        ticks += 1
        time.sleep(pause_s)
        wire.command = np.array(spec.command.upper) * 0.3 * np.sin(0.1 * ticks)
        if requests and ticks in requests:
            wire.requests.append(requests[ticks])

    wire.on_tick = change
    try:
        ControlLoop(controller, wire, recorder).run(seconds)
    finally:
        recorder.close()
    assert recorder.failure is None
    return controller


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    path = tmp_path_factory.mktemp("log") / "go1.mcap"
    run_logged("go1-velocity", path, 4.0, pause_s=0.005)  # so that the log has several chunks
    return read_log(path)


@pytest.mark.parametrize("name", sorted(SECONDS))
def test_every_shipped_policy_replays_bit_for_bit(name: str, tmp_path: Path) -> None:
    run_logged(name, tmp_path / "run.mcap", SECONDS[name])
    log = read_log(tmp_path / "run.mcap")
    result = replay(log)
    assert log.complete
    assert result.inferred.sum() > 50
    assert result.worst == 0.0
    assert result.command_difference.max() == 0.0
    assert result.same(0.0)
    assert not result.states


def test_requests_refusals_and_faults_replay_too(tmp_path: Path) -> None:
    wishes = {3: Event.START, 5: Event.STAND, 110: Event.START, 150: Event.ESTOP, 160: Event.STAND, 165: Event.RESET, 170: Event.STAND}
    run_logged("go1-velocity", tmp_path / "run.mcap", 4.0, requests=wishes)
    log = read_log(tmp_path / "run.mcap")
    went = [(event["from"], event["to"]) for event in log.events if event["event"] == "transition"]
    assert ("stand", "policy") in went
    assert ("policy", "fault") in went
    assert ("fault", "damping") in went
    assert sum(event["event"] == "refused" for event in log.events) == 2
    assert replay(log).same(0.0)


def test_an_exception_replays_as_the_fault_that_it_was(tmp_path: Path) -> None:
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    controller = Controller(policy)
    controller.arm()
    recorder = LogWriter(tmp_path / "run.mcap", controller, transport="test")
    controller.on_event = recorder.event
    for tick in range(5):
        now = (tick + 1) * 20_000_000
        inputs = Inputs(good_reading(policy.spec, now), np.zeros(3), now, (Event.STAND,) if tick == 1 else ())
        inputs.wire_fault = "joint set differs" if tick == 4 else None
        sent = controller.fail(RuntimeError("broken")) if tick == 3 else controller.tick(now, inputs)
        recorder.tick(now, inputs, controller, sent, 0, 0, 0)
    recorder.close()
    log = read_log(tmp_path / "run.mcap")
    assert [MODES[mode] for mode in log.ticks["mode"]] == [Mode.DAMPING, Mode.STAND, Mode.STAND, Mode.FAULT, Mode.FAULT]
    result = replay(log)
    assert result.same(0.0), result.states


@pytest.mark.parametrize("phase", ["wait_until", "read", "write", "report"])
def test_an_exception_of_the_wire_replays_where_it_came(phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = PolicyFile(ZOO / "go1-velocity.onnx")
    spec = policy.spec
    controller = Controller(policy)
    controller.arm()
    controller.auto_start()
    robot = PhysicsRobot(spec.robot, ROBOTS / "go1" / "go1.xml", physics_dt(spec, 500.0))
    wire = SimTransport(robot, spec.robot.joint_names, np.zeros(3))
    recorder = LogWriter(tmp_path / "run.mcap", controller, transport="sim", patient=True, auto_start=True)
    controller.on_event = recorder.event
    calls, method = 0, getattr(wire, phase)

    def breaks(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 130:
            wire.requests.append(Event.RESET)
            raise OSError("cable")
        return method(*arguments)

    monkeypatch.setattr(wire, phase, breaks)
    with pytest.raises(OSError, match="cable"):
        ControlLoop(controller, wire, recorder).run(3.0)
    recorder.close()
    log = read_log(tmp_path / "run.mcap")
    modes = [MODES[mode] for mode in log.ticks["mode"]]
    assert Mode.POLICY in modes
    assert Mode.FAULT in modes or Mode.DAMPING in modes[-10:]
    assert replay(log).same(0.0), replay(log).states


def test_a_log_holds_the_policy_that_ran_and_no_other(tmp_path: Path) -> None:
    path = make_policy(tmp_path / "linear.onnx")
    controller = Controller(PolicyFile(path))
    controller.arm()
    make_policy(path, seed=5)  # somebody exports a new one meanwhile
    recorder = LogWriter(tmp_path / "run.mcap", controller, transport="test")
    recorder.close()
    assert read_log(tmp_path / "run.mcap").policy.sha256 == controller.policy.sha256 != PolicyFile(path).sha256


def test_a_recorder_that_breaks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    controller = Controller(policy)
    controller.arm()
    recorder = LogWriter(tmp_path / "run.mcap", controller, transport="test")
    now = 20_000_000
    inputs = Inputs(good_reading(policy.spec, now), np.zeros(3), now)
    assert inputs.reading is not None
    inputs.reading.stamps_ns = (1 << 62, 1 << 62)  # no ROS message holds this time
    recorder.tick(now, inputs, controller, controller.tick(now, inputs), 0, 0, 0)
    recorder.close()
    assert recorder.failure
    assert "error" in recorder.failure


def test_an_event_before_the_first_tick_leaves_the_time_of_the_log_alone(tmp_path: Path) -> None:
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    controller = Controller(policy)
    recorder = LogWriter(tmp_path / "run.mcap", controller, transport="test")
    recorder.event({"event": "limits", "t_ns": 0, "values": {}})  # parameters given at start, before the loop has a time
    time.sleep(0.3)
    now = 5_000_000_000_000
    for step in range(3):
        inputs = Inputs(good_reading(policy.spec, now + step), np.zeros(3), now)
        recorder.tick(now + step, inputs, controller, controller.tick(now + step, inputs), 0, 0, 0)
    recorder.close()
    with (tmp_path / "run.mcap").open("rb") as file:
        times = [message.log_time for _, channel, message in make_reader(file).iter_messages()]
    assert len(times) > 10
    assert max(abs(time.time_ns() - stamp) for stamp in times) < 60e9


def test_a_changed_action_is_found(log: Log) -> None:
    tick = int(np.flatnonzero(log.ticks["flags"] & INFERRED)[40])
    before = log.ticks["action"][tick, 5]
    log.ticks["action"][tick, 5] += 1e-3
    try:
        result = replay(log)
        assert result.first() == tick
        assert result.worst == pytest.approx(1e-3, rel=1e-3)
        assert not result.same()
    finally:
        log.ticks["action"][tick, 5] = before


def test_another_policy_shows_what_it_would_have_asked_for(log: Log) -> None:
    result = replay(log, PolicyFile(ZOO / "go1-velocity-flat.onnx"))
    assert result.worst > 0.05
    with pytest.raises(LogError, match="joints"):
        replay(log, PolicyFile(ZOO / "panda-reach.onnx"))


def test_another_policy_goes_on_where_thresholds_changed_below_it(tmp_path: Path) -> None:
    """Logged in damping; the other policy is still driving there."""
    path = tmp_path / "run.mcap"
    tame, wild = PolicyFile(make_policy(tmp_path / "tame.onnx", kind="stand")), PolicyFile(make_policy(tmp_path / "wild.onnx"))
    controller = Controller(wild, SafetyLimits.of(wild.spec, {"jump_factor": 1e-4}))
    controller.arm()
    recorder = LogWriter(path, controller, transport="test")
    controller.on_event = recorder.event
    asked, seen = {1: Event.STAND, 130: Event.START}, set()
    for tick in range(300):
        now = (tick + 1) * 20_000_000
        inputs = Inputs(good_reading(wild.spec, now), np.zeros(3), now, (asked[tick],) if tick in asked else ())
        recorder.tick(now, inputs, controller, controller.tick(now, inputs), 0, 0, 0)
        seen.add(controller.mode)
        if tick == 290:
            assert controller.mode not in (Mode.STAND, Mode.POLICY)
            controller.set_limits(SafetyLimits.of(wild.spec, {"sensor_timeout_s": 0.09}))
    recorder.close()
    assert Mode.FAULT in seen
    result = replay(read_log(path), tame)
    assert "policy" in {other for _, _, other in result.states}


def test_other_programs_can_read_it(log: Log) -> None:
    """With MCAP's own reader and the definitions inside the file alone."""
    store = get_typestore(Stores.EMPTY)
    counts: Counter[str] = Counter()
    seen: dict[str, Any] = {}
    with log.path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == "ros2"
        assert reader.get_summary() is not None
        for schema, channel, message in reader.iter_messages():
            assert schema is not None
            if schema.name not in store.types:
                from rosbags.typesys import get_types_from_msg

                for part in schema.data.decode().split("=" * 80 + "\n"):
                    first, _, rest = part.partition("\n")
                    name, text = (first.removeprefix("MSG: "), rest) if first.startswith("MSG: ") else (schema.name, part)
                    name = name if "/msg/" in name else name.replace("/", "/msg/")
                    if name not in store.types:
                        store.register(get_types_from_msg(text, name))
            counts[channel.topic] += 1
            seen[channel.topic] = store.deserialize_cdr(message.data, schema.name)
    inferred = int((log.ticks["flags"] & INFERRED).astype(bool).sum())
    assert counts["/joint_states"] == counts["/imu"] == counts["/impedance_command"] == counts["/policy/tick"] == len(log.ticks)
    assert counts["/policy/action"] == counts["/policy/observation/joint_velocity"] == inferred
    names = {term.name for term in log.policy.spec.terms}
    assert {topic.rpartition("/")[2] for topic in counts if "/observation/" in topic} == names
    assert list(seen["/joint_states"].name) == list(log.policy.spec.robot.joint_names)
    np.testing.assert_array_equal(seen["/joint_states"].position, log.ticks["measured_position"][-1])
    quat = seen["/imu"].orientation
    np.testing.assert_array_equal([quat.w, quat.x, quat.y, quat.z], log.ticks["imu_quat_wxyz"][-1])
    assert seen["/policy/observation/joint_velocity"].layout.dim[0].label.startswith("FR_hip_joint,")


def test_all_readings_are_logged_where_asked_for(tmp_path: Path) -> None:
    run_logged("go1-velocity", tmp_path / "run.mcap", 2.0, sensors="all")
    log = read_log(tmp_path / "run.mcap")
    assert len(log.samples) >= 1000  # and what arrived while the loop said farewell
    steps = np.diff(log.samples["stamp_0"])
    assert (steps == 2_000_000).all()
    at_ticks = np.searchsorted(log.samples["received_ns"], log.ticks["received_ns"])
    np.testing.assert_array_equal(log.samples["measured_position"][at_ticks], log.ticks["measured_position"])
    np.testing.assert_array_equal(log.samples["imu_quat_wxyz"][at_ticks], log.ticks["imu_quat_wxyz"])


@pytest.mark.parametrize("share", [0.99, 0.9])
def test_a_torn_log_is_read_up_to_its_end_and_repaired(log: Log, tmp_path: Path, share: float) -> None:
    data = log.path.read_bytes()
    torn = tmp_path / "torn.mcap"
    torn.write_bytes(data[: int(share * len(data))])
    found = read_log(torn)
    assert not found.complete
    assert 0 < len(found.ticks) < len(log.ticks) + 1
    np.testing.assert_array_equal(found.ticks, log.ticks[: len(found.ticks)])
    assert replay(found).same(0.0)
    repair(torn, tmp_path / "whole.mcap")
    whole = read_log(tmp_path / "whole.mcap")
    assert whole.complete
    np.testing.assert_array_equal(whole.ticks, found.ticks)
    with (tmp_path / "whole.mcap").open("rb") as file:
        assert make_reader(file).get_summary() is not None
    with pytest.raises(LogError, match="already"):
        repair(torn, tmp_path / "whole.mcap")


@pytest.mark.slow
def test_a_killed_process_loses_at_most_half_a_second(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    arguments = ["robolearn", "deploy", str(ZOO / "go1-velocity.onnx"), "--transport", "sim", "--realtime", "--auto-start"]
    child = Process([*arguments, "--command", "0.5", "0", "0", "--log", str(path), "--events", str(tmp_path / "events")], tmp_path / "out")
    with processes(child):
        assert wait_for(lambda: "-> policy" in child.text(), 60), child.text()
        time.sleep(2.0)
        child.send(signal.SIGKILL)
        killed_ns = time.time_ns()
        child.wait()
    from bridge.logs.reader import records

    newest = max(record.log_time for record in records(path) if hasattr(record, "log_time") and hasattr(record, "channel_id"))
    lost_s = (killed_ns - newest) * 1e-9
    print(f"\nlost {lost_s:.3f} s of the log")
    assert lost_s < 0.5
    log = read_log(path)
    assert not log.complete
    assert replay(log).same(0.0)


def test_a_full_disk_stops_the_log_and_not_the_robot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    controller = Controller(policy)
    controller.arm()
    recorder = LogWriter(tmp_path / "run.mcap", controller, transport="test")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder._writer, "flush", full)
    for tick in range(1000):
        now = (tick + 1) * 20_000_000
        inputs = Inputs(good_reading(policy.spec, now), np.zeros(3), now)
        recorder.tick(now, inputs, controller, controller.tick(now, inputs), 0, 0, 0)
        if recorder.failure:
            break
        time.sleep(0.005)
    assert "No space left" in str(recorder.failure)
    recorder.close()


def test_a_ring_that_is_full_drops_and_counts() -> None:
    ring = Ring.of(np.dtype([("a", np.int64)]), 3)
    for value in range(5):
        row = ring.next()
        if row is not None:
            row["a"] = value
            ring.done()
    assert ring.dropped == 2
    taken = []
    while (row := ring.take()) is not None:
        taken.append(int(row["a"]))
        ring.release()
    assert taken == [0, 1, 2]


def test_a_damaged_log_is_read_up_to_the_damage(log: Log, tmp_path: Path) -> None:
    data = bytearray(log.path.read_bytes())
    at = int(0.92 * len(data))
    data[at : at + 8192] = bytes(8192)  # more than lies between two chunks
    (tmp_path / "damaged.mcap").write_bytes(data)
    found = read_log(tmp_path / "damaged.mcap")
    assert not found.complete
    np.testing.assert_array_equal(found.ticks, log.ticks[: len(found.ticks)])
    assert replay(found).same(0.0)


def test_a_hole_in_a_log_is_told_and_not_taken_for_another_policy(log: Log) -> None:
    hole = dataclasses.replace(log, ticks=np.delete(log.ticks, slice(150, 153)))
    result = replay(hole)
    assert result.notes[0].startswith("lacks 3 ticks after tick 149")
    assert result.same(0.0)
    assert not result.whole
    assert 0 < result.judged.sum() < result.inferred.sum()


def test_bad_logs_get_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no log at"):
        read_log(tmp_path / "nothing.mcap")
    (tmp_path / "text.mcap").write_text("this is not a log")
    with pytest.raises(LogError, match="is not an MCAP log"):
        read_log(tmp_path / "text.mcap")
    controller = Controller(PolicyFile(make_policy(tmp_path / "linear.onnx")))
    (tmp_path / "there.mcap").write_text("precious")
    with pytest.raises(LogError, match="already"):
        LogWriter(tmp_path / "there.mcap", controller, transport="test")
    assert (tmp_path / "there.mcap").read_text() == "precious"


def short_log(path: Path, age_s: float, seconds: float = 0.0, motion: str = "") -> None:
    """A log of a few ticks, or of a start where it lasts; written so long ago."""
    policy = PolicyFile(make_policy(path.with_suffix(".onnx")))
    controller = Controller(policy)
    controller.arm()
    controller.auto_start()
    recorder = LogWriter(path, controller, transport="test", auto_start=True, motion=motion)
    controller.on_event = recorder.event
    for tick in range(3 + round(seconds / 0.02)):
        now = (tick + 1) * 20_000_000
        inputs = Inputs(good_reading(policy.spec, now), np.zeros(3), now)
        recorder.tick(now, inputs, controller, controller.tick(now, inputs), 0, 0, 0)
    recorder.close()
    written_s = time.time() - age_s
    os.utime(path, (written_s, written_s))


def test_the_newest_log_in_which_a_policy_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the newest file: that may be of a motion, of a robot that nobody started, torn, of something else, or a folder."""
    with pytest.raises(LogError, match="no folder at"):
        newest_run(tmp_path / "nothing")
    with pytest.raises(LogError, match=r"no \.mcap file in"):
        newest_run(tmp_path)
    for name in ("older", "newer"):
        short_log(tmp_path / "elsewhere" / f"{name}.mcap", 0, 2.5)
    short_log(tmp_path / "motion.mcap", 10, 2.5, motion="sines")
    short_log(tmp_path / "idle.mcap", 20)  # begun later, whatever the file system says
    (tmp_path / "text.mcap").write_text("this is not a log")
    (tmp_path / "folder.mcap").mkdir()
    with pytest.raises(LogError, match=r"in none of the 3 logs in .* did a policy run"):
        newest_run(tmp_path)
    for name in ("newer", "older"):  # as if copied, the older one last
        os.utime((tmp_path / "elsewhere" / f"{name}.mcap").rename(tmp_path / f"{name}.mcap"))
    found, passed = newest_run(tmp_path)
    assert found == tmp_path / "newer.mcap"
    assert passed == [tmp_path / f"{name}.mcap" for name in ("text", "idle", "motion")]
    assert replay(read_log(found)).inferred.any()
    assert main(["replay", str(tmp_path), "--json", "-"]) == 0
    said = capsys.readouterr()
    assert '"log": "' + str(found) in said.out
    assert f"newest log in {tmp_path} in which a policy ran: newer.mcap; skipped 3 newer, in which no policy ran" in said.err


def test_the_newest_log_may_be_torn_where_its_policy_has_run(log: Log, tmp_path: Path) -> None:
    (tmp_path / "torn.mcap").write_bytes(log.path.read_bytes()[:-20_000])
    assert newest_run(tmp_path) == (tmp_path / "torn.mcap", [])


def test_a_log_of_another_version_says_so(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.control.ticks import COUNTERS

    monkeypatch.setattr("bridge.logs.topics.COUNTERS", (*COUNTERS, "a_counter_of_tomorrow"))
    with pytest.raises(LogError, match=f"{log.path.name} has messages that this version of robolearn cannot read"):
        read_log(log.path)


def test_the_command_line(log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, plot = tmp_path / "out.json", tmp_path / "plot.png"
    assert main(["replay", str(log.path), "--json", str(out), "--plot", str(plot)]) == 0
    assert "the same within" in capsys.readouterr().out
    assert '"same": true' in out.read_text()
    assert plot.stat().st_size > 5000
    assert main(["replay", str(log.path.parent), "--policy", "go1-velocity-flat"]) == 0
    assert "calf_joint" in capsys.readouterr().out
    assert main(["replay", str(tmp_path / "nothing")]) != 0


def test_what_is_done_between_the_ticks_replays_too(tmp_path: Path) -> None:
    """As a lifecycle manager and parameters do it: armed late, halted, thresholds changed."""
    policy = PolicyFile(make_policy(tmp_path / "linear.onnx"))
    controller = Controller(policy)
    recorder = LogWriter(tmp_path / "run.mcap", controller, transport="test")
    controller.on_event = recorder.event
    for tick in range(12):
        if tick == 2:
            controller.arm()
        if tick == 6:
            controller.stop("deactivated")
        if tick == 8:
            controller.set_limits(SafetyLimits.of(policy.spec, {"sensor_timeout_s": 0.001}))
        now = (tick + 1) * 20_000_000
        inputs = Inputs(good_reading(policy.spec, now), np.zeros(3), now, (Event.STAND,) if tick in (4, 9) else ())
        if tick == 11 and inputs.reading is not None:
            inputs.reading.received_ns -= 2_000_000
        recorder.tick(now, inputs, controller, controller.tick(now, inputs), 0, 0, 0)
    recorder.close()
    log = read_log(tmp_path / "run.mcap")
    modes = [str(MODES[mode]) for mode in log.ticks["mode"]]
    assert modes == ["zero_torque"] * 2 + ["damping"] * 2 + ["stand"] * 2 + ["damping"] * 3 + ["stand"] * 2 + ["damping"]
    result = replay(log)
    assert result.same(0.0), result.states
