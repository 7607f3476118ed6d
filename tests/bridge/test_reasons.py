"""Every reason that a person should know reaches every way of looking at a run, while it lasts and at the end.

`CASES` lists the reasons, `FRONTS` the ways: the lines of a terminal, the screen, the file of events, the flight recorder's log, ROS's
diagnostics and the topic `~/why`. A reason or a way that is added belongs into its list.
"""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from bridge import deploy
from bridge.control.reading import Inputs
from bridge.control.safety import Event
from bridge.logs.reader import read_log
from bridge.logs.writer import LogWriter
from bridge.operator.controls import Said
from bridge.operator.dashboard import render
from bridge.operator.notices import AGAIN_NS, FLAPPING_NS, Notice
from bridge.options import configure
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from tests import model_variants as variants
from tests.bridge_helpers import HAS_ROS, REPOSITORY, FakeTransport, Process, processes, ros_environment, wait_for
from tests.make_policy import make_policy

MJCF = REPOSITORY / "envs" / "robots" / "go1" / "go1.xml"
SECONDS = 6.0
Change = Callable[["Wire", Inputs], None]


class Wire(FakeTransport):
    """A robot with something wrong."""

    def __init__(self, spec: PolicySpec, change: Change) -> None:
        super().__init__(spec)
        self.change, self.ticks, self.told = change, 0, list[dict[str, Any]]()
        self.temperature = np.full(spec.robot.num_joints, 30.0)
        self.on_reading: Callable[[Any], None] | None = None
        self.on_shutdown: Callable[[], None] | None = None

    def read(self) -> Inputs:
        self.ticks += 1
        inputs = super().read()
        self.change(self, inputs)
        return inputs

    def report(self, status: Mapping[str, Any]) -> None:
        self.told.append(dict(status))


def far(wire: Wire, inputs: Inputs) -> None:
    assert inputs.reading is not None
    inputs.reading.position[4] += 0.5


def fast(wire: Wire, inputs: Inputs) -> None:
    assert inputs.reading is not None
    inputs.reading.velocity[7] = 2.0 * (-1) ** wire.ticks  # to and fro, as its position says


def give(**values: Any) -> Change:
    def change(wire: Wire, inputs: Inputs) -> None:
        for name, value in values.items():
            setattr(inputs, name, value)

    return change


def at(tick: int, what: Change) -> Change:
    """From one tick on."""
    return lambda wire, inputs: what(wire, inputs) if wire.ticks >= tick else None


def once(tick: int, what: Change) -> Change:
    return lambda wire, inputs: what(wire, inputs) if wire.ticks == tick else None


def speak(wire: Wire, inputs: Inputs) -> None:
    assert wire.on_line is not None
    wire.on_line("warning: /imu: incompatible QoS, RELIABILITY")


def heat(wire: Wire, inputs: Inputs) -> None:
    wire.temperature[3] = 91.0


@dataclass(frozen=True)
class Case:
    """A reason: what is wrong, and words that name it; whether the policy cannot run for it."""

    change: Change
    words: str
    prevents: bool = True
    options: tuple[str, ...] = ("--auto-start",)
    patch: Mapping[str, Any] = field(default_factory=dict[str, Any])


def full(*given: Any, **named: Any) -> None:
    raise OSError(28, "No space left on device")


CASES = {
    "motors do not follow": Case(far, "FL_thigh_joint is 0.50 rad from the default pose, allowed 0.35"),
    "a joint swings": Case(fast, "RR_thigh_joint moves at 2.00 rad/s, allowed 1.00"),
    "no sensors": Case(give(reading=None), "no sensor message yet"),
    "a wrong joint set": Case(give(wire_fault="joint set differs: missing ['x']"), "joint set differs"),
    "a rival": Case(give(rivals=2), "2 other publishers on the robot's command topic"),
    "nobody steers": Case(give(command=None), "no operator command yet"),
    "sensors end in stand": Case(at(60, give(reading=None)), "no sensor message yet"),
    "a refusal": Case(once(10, give(requests=(Event.START,))), "not possible in damping (stand first)", False, ()),
    "a trip of the policy": Case(at(200, give(rivals=1)), "1 other publishers on the robot's command topic", False),
    "a wire's warning": Case(once(10, speak), "/imu: incompatible QoS, RELIABILITY", False),
    "a hot motor": Case(at(10, heat), "the motor of FL_hip_joint has 91 C", False),
    "a log that ends": Case(at(0, lambda wire, inputs: None), "the log ends here: OSError", False, patch={"tick": full}),
    "a changed threshold": Case(give(), "safety limit overridden: max_tilt=0.9", False, ("--auto-start", "--limit", "max_tilt=0.9")),
    "a dry run that infers nothing": Case(give(rivals=0, command=None), "no operator command yet", False, ("--dry-run",)),
}


class Screen:
    """In place of the process that draws: what it would draw."""

    shown: list[str]

    def due(self, now_ns: int) -> bool:
        return True

    def show(self, now_ns: int, status: Mapping[str, Any]) -> None:
        from rich.console import Console

        console = Console(width=300, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        console.print(render(json.loads(json.dumps(status, default=float)), status["events"]))
        Screen.shown.append(console.export_text())

    def close(self) -> None:
        pass


@dataclass
class Run:
    lines: str
    screen: list[str]
    events: list[dict[str, Any]]
    log: Path
    told: list[dict[str, Any]]


def run(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], screen: bool) -> Run:
    """Run the whole of deploy on a wire of our own."""
    monkeypatch.chdir(folder)
    policy = make_policy(folder / "stand.onnx", kind="stand")
    wire = Wire(PolicyFile(policy).spec, case.change)
    parser = argparse.ArgumentParser()
    configure(parser)
    events, log = folder / "events.jsonl", folder / "run.mcap"
    options = parser.parse_args(
        [str(policy), "--transport", "sim", "--mjcf", str(MJCF), "--events", str(events), "--log", str(log), "--duration", str(SECONDS),
         *case.options])  # fmt: skip
    Screen.shown = []
    for name, value in case.patch.items():
        monkeypatch.setattr(LogWriter, name, value)
    monkeypatch.setattr(deploy, "wants_screen", lambda options: screen)
    monkeypatch.setattr(deploy, "open_devices", lambda *given: [])
    monkeypatch.setattr(deploy, "Screen", Screen)
    deploy.run_deploy(options, transport=wire)
    record = [json.loads(line) for line in events.read_text().splitlines()]
    return Run(capsys.readouterr().out, Screen.shown, record, log, wire.told)


@pytest.mark.parametrize("name", CASES)
def test_every_reason_reaches_every_front(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    seen = run(case, tmp_path, monkeypatch, capsys, screen=False)
    (tmp_path / "screen").mkdir()
    watched = run(case, tmp_path / "screen", monkeypatch, capsys, screen=True)
    fronts = {
        "lines": seen.lines,
        "screen": " ".join(watched.screen),
        "events": " ".join(str(event.get("cause", event.get("text", ""))) for event in seen.events),
        "status": " ".join(str(line) for status in seen.told for line in (status["waits"], status["cause"], *status["recent"])),
    }
    if "tick" not in case.patch:
        said = read_log(seen.log).events
        fronts["log"] = " ".join(str(event.get("cause", event.get("text", ""))) for event in said)
        if name == "a changed threshold":  # said before there was a log, which has the thresholds themselves
            del fronts["log"]
    if HAS_ROS:
        fronts |= on_ros(seen.told)
        if not case.prevents:
            del fronts["why"]  # it tells what holds now; the newest of the rest is on /diagnostics
    assert {front: case.words in text for front, text in fronts.items()} == dict.fromkeys(fronts, True)
    end = seen.lines.splitlines()[-3:]
    assert any(line.startswith("the policy never ran") and case.words in line for line in end) is case.prevents, end


def on_ros(told: list[dict[str, Any]]) -> dict[str, str]:
    """What the diagnostics and `~/why` make of these statuses."""
    from bridge.control.timing import Timing
    from bridge.transports.ros2.diagnostics import LimitCounter, diagnosis, why

    values: list[str] = []
    for status in told[::10]:
        named = {**status, "timing": Timing()}
        array = diagnosis("/policy", "walk", named, lifecycle="active", filters={}, odd=(), clock=None, limits=LimitCounter(("a",)))
        values += [pair.value for part in array.status for pair in part.values]
    return {"diagnostics": " ".join(values), "why": " ".join(why(status) for status in told)}


@pytest.mark.skipif(not HAS_ROS, reason="ROS's diagnostics are not installed")
def test_diagnostics_say_a_remark_once() -> None:
    from bridge.control.timing import Timing
    from bridge.transports.ros2.diagnostics import LimitCounter, diagnosis

    status = {"mode": "damping", "problems": [], "ticks": 1, "missed": 0, "overruns": 0, "timing": Timing()}
    status |= {"remarks": ("a simulator",), "recent": ["0.1 s remark: a simulator", "0.2 s stand"]}
    array = diagnosis("/policy", "walk", status, lifecycle="active", filters={}, odd=(), clock=None, limits=LimitCounter(("a",)))
    values = {pair.key: pair.value for pair in array.status[0].values}
    assert (values["remark 0"], values["said 0"]) == ("a simulator", "0.2 s stand")
    assert [value for value in values.values() if "simulator" in value] == ["a simulator"]


def test_it_is_said_at_once_and_not_at_every_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = run(CASES["motors do not follow"], tmp_path, monkeypatch, capsys, screen=False)
    waits = [event for event in seen.events if event["event"] == "waiting"]
    stood = next(event["t_ns"] for event in seen.events if event.get("to") == "stand")
    assert [event["cause"].split()[0] for event in waits] == ["FL_thigh_joint"]
    assert [(event["t_ns"] - stood) * 1e-9 for event in waits] == pytest.approx([2.0], abs=0.03)
    assert seen.lines.count("FL_thigh_joint") == 2  # at once and at the end


def test_a_good_start_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The ramp of `stand` is no reason, on no front; a run that ends on it says so."""
    good = run(Case(give(), ""), tmp_path, monkeypatch, capsys, screen=False)
    stood = next(event["t_ns"] for event in good.events if event.get("to") == "stand")
    assert [event for event in good.events if event["event"] == "waiting" and event["t_ns"] >= stood] == []
    assert "still standing up" not in good.lines
    assert {status["waits"] for status in good.told if status["mode"] == "stand"} == {None}
    (tmp_path / "short").mkdir()
    short = run(Case(give(), "", options=("--auto-start", "--duration", "1")), tmp_path / "short", monkeypatch, capsys, screen=False)
    assert "the policy never ran: waited to start: still standing up" in short.lines


def test_what_is_missing_beside_the_ramp_is_said_during_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = run(CASES["nobody steers"], tmp_path, monkeypatch, capsys, screen=False)
    stood = next(event["t_ns"] for event in seen.events if event.get("to") == "stand")
    waits = [event for event in seen.events if event["event"] == "waiting"]
    assert "no operator command yet" in waits[-1]["cause"]
    assert (waits[-1]["t_ns"] - stood) * 1e-9 < 0.1


@pytest.mark.parametrize("way", ["quit", "shutdown", "signal"])
def test_who_is_asked_to_end_before_the_policy_ran_is_no_failure(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a key, a lifecycle manager or a signal alike; that a motion could not be played is one."""

    def end(wire: Wire, inputs: Inputs) -> None:
        if way == "shutdown" and wire.on_shutdown is not None:
            wire.on_shutdown()
        elif way == "signal":
            signal.raise_signal(signal.SIGINT)

    class Hand:
        holds, help = False, ""

        def poll(self) -> Said:
            return Said(quit=way == "quit" and wire.ticks > 20)

        def close(self) -> None:
            pass

    monkeypatch.chdir(tmp_path)
    policy = make_policy(tmp_path / "stand.onnx", kind="stand")
    wire = Wire(PolicyFile(policy).spec, once(20, end))
    parser = argparse.ArgumentParser()
    configure(parser)
    monkeypatch.setattr(deploy, "wants_screen", lambda options: False)
    monkeypatch.setattr(deploy, "open_devices", lambda *given: [Hand()])
    arguments = [str(policy), "--transport", "sim", "--mjcf", str(MJCF), "--no-log", "--duration", "1", "--auto-start"]
    assert deploy.run_deploy(parser.parse_args(arguments), transport=wire) == 0
    assert wire.ticks < 30
    way = "nobody asks"
    assert deploy.run_deploy(parser.parse_args(arguments), transport=wire) == 1


def test_an_end_in_damping_says_what_damped_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen = run(CASES["a trip of the policy"], tmp_path, monkeypatch, capsys, screen=False)
    assert "ended in damping: second_publisher: 1 other publishers" in seen.lines


def test_a_dry_run_says_so_on_the_wire_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen = run(CASES["a dry run that infers nothing"], tmp_path, monkeypatch, capsys, screen=False)
    assert all(status["dry_run"] for status in seen.told)
    assert "the policy never inferred" in seen.lines
    if HAS_ROS:
        assert "nothing is sent to the robot" in on_ros(seen.told)["diagnostics"]


def test_a_notice_is_said_when_its_words_change() -> None:
    notice, second = Notice(), 1_000_000_000
    assert notice.update("a is 0.5", 0)
    assert not notice.update("a is 0.6", second)  # the same, with another number
    assert notice.update("b", 2 * second)
    assert not notice.update("a is 0.7", 3 * second)  # it flaps
    assert notice.text == "a is 0.7"
    assert notice.update("a is 0.7", FLAPPING_NS)
    assert notice.update("a is 0.1", FLAPPING_NS + AGAIN_NS)
    assert not notice.update(None, FLAPPING_NS + AGAIN_NS)
    assert notice.text is None


def test_the_end_of_a_gantry_is_known(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    policy = REPOSITORY / "policies" / "zoo" / "g1-velocity.onnx"
    mjcf = REPOSITORY / "envs" / "robots" / "g1" / "g1.xml"
    assert deploy.main([str(policy), "--transport", "sim", "--mjcf", str(mjcf), "--no-log", "--duration", "0.1"]) == 0
    assert "a gantry holds the simulated robot" in capsys.readouterr().out


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.skipif(not HAS_ROS, reason="rclpy is not installed")
def test_over_ros_too_motors_that_do_not_follow_are_named_while_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.bridge_ros import Observer

    for name, value in ros_environment().items():
        monkeypatch.setenv(name, value)
    policy = make_policy(tmp_path / "stand.onnx", kind="stand")
    robot = Process(["bridge.simulated.robot", "--policy", str(policy), "--mjcf", str(stuck(tmp_path))], tmp_path / "robot.log")
    events = tmp_path / "node.jsonl"
    arguments = ["bridge.deploy", str(policy), "--transport", "ros2", "--ungated", "--auto-start", "--events", str(events)]
    patient = [f"--limit={name}=0.5" for name in ("sensor_timeout_s", "frozen_s", "max_lateness_s")]
    node = Process([*arguments, *patient], tmp_path / "node.log")
    words = "FR_thigh_joint is"
    with processes(robot, node), Observer() as observer:
        assert wait_for(lambda: any(words in why for why in observer.why), 40, observer.spin), node.text()
        assert words in node.text()
        assert words in events.read_text()
        accepted, answer = observer.call("start")
        assert not accepted
        assert words in answer
        node.send(signal.SIGINT)
        assert node.wait(20) == 0, node.text()
    end = next(line for line in node.text().splitlines() if line.startswith("the policy never ran"))
    assert words in end


def stuck(folder: Path) -> Path:
    """A Go1 one of whose joints a spring holds far from the default pose, whatever its motor does."""

    def change(scene: mujoco.MjSpec) -> None:
        variants.without_keyframes(scene)
        joint = scene.joint("FR_thigh_joint")
        joint.stiffness, joint.springref = [1000.0, 0, 0] if np.ndim(joint.stiffness) else 1000.0, 1.6

    return variants.write(change, folder)
