"""Simulators of Unitree's robots that others have made: found on loopback, known by what they leave empty, walked; on a cable refused."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("unitree_sdk2py")

from bridge.simulated.unitree import LowStateEncoder
from bridge.transports.unitree.dds import LOW_STATE, Wire, interface_config
from bridge.transports.unitree.layout import Frame, Layout
from bridge.transports.unitree.messages import LowState, LowStateDecoder, UnitreeMessageError
from bridge.transports.unitree.robots import robot_of
from bridge.transports.unitree.sender import LOOKED, MOVED, Sender
from bridge.transports.unitree.transport import BAD_IN_A_ROW, UnitreeOptions, UnitreeTransport
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from tests.bridge_helpers import REPOSITORY, Process, processes, wait_for
from tests.bridge_unitree import MS, Player, connected, exchange
from tests.make_policy import go1_spec

ZOO, ROBOTS = REPOSITORY / "policies" / "zoo", REPOSITORY / "envs" / "robots"
ATTEMPTS = 3
STARVED = re.compile(r"-> damping: (deadline_overrun|stale_sensor|sensor_stamps: the robot's time stamp stands still)")
PATIENT = [f"--limit={name}=0.5" for name in ("sensor_timeout_s", "frozen_s", "max_lateness_s")]  # a busy computer is not what is tested


@pytest.fixture
def domain() -> int:
    """A domain of its own."""
    return random.SystemRandom().randrange(102)


@pytest.fixture(scope="module")
def g1() -> PolicySpec:
    return PolicyFile(ZOO / "g1-velocity.onnx").spec


def unsealed(message: bytes) -> bytes:
    """The message with no check sum, which is its last word."""
    return message[:-4] + bytes(4)


def damaged(message: bytes) -> bytes:
    broken = bytearray(message)
    broken[200] ^= 4
    return bytes(broken)


def word(spec: PolicySpec, **fields: Any) -> LowState:
    """A LowState of a robot that says everything, but for the fields that are given."""
    count = spec.robot.num_joints
    full = {"position": np.full(count, 0.1), "velocity": np.zeros(count), "effort": np.zeros(count), "temperature": np.full(count, 40.0)}
    imu = {"imu_quat_wxyz": np.array([1.0, 0, 0, 0]), "imu_angular_velocity_b": np.zeros(3)}
    return LowState(**{**full, **imu, "tick": 7, "mode_machine": 5, "remote": bytes(40), "sealed": True, **fields})


def hear(sender: Sender, spec: PolicySpec, ticks: Any, every_ms: float = 5.0, **fields: Any) -> list[int]:
    return [sender.hear(word(spec, tick=tick, **fields), 10**12 + round(n * every_ms * MS)) for n, tick in enumerate(ticks)]


# ---------------------------------------------------------------------------------------------------------------- the check sum


def test_a_message_without_a_check_sum_is_taken_on_loopback_alone_and_a_wrong_one_nowhere() -> None:
    spec = go1_spec()
    robot, joints = robot_of(spec)
    message = bytes(LowStateEncoder(robot)(np.ones((3, 12)), [1, 0, 0, 0], [0, 0, 0], 7))
    cable, loopback = LowStateDecoder(robot, joints), LowStateDecoder(robot, joints, unsealed=True)
    with pytest.raises(UnitreeMessageError, match=r"check sum of LowState is wrong: there is none"):
        cable(unsealed(message))
    assert not loopback(unsealed(message)).sealed
    for decode in (cable, loopback):
        with pytest.raises(UnitreeMessageError, match=r"check sum of LowState is wrong$"):
            decode(damaged(message))
    assert loopback(message).sealed
    with pytest.raises(UnitreeMessageError, match="there is none"):  # the sender fills it in, so this one is damaged
        loopback(unsealed(message))


@pytest.mark.parametrize("cable", [False, True])
def test_a_transport_that_may_meet_a_robot_takes_none_of_it(
    cable: bool, domain: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "cyclone.xml"
    config.write_text(interface_config("lo"))
    if cable:
        monkeypatch.setenv("CYCLONEDDS_URI", f"file://{config}")  # what is in it is not known, so it may be a cable
    with silent(domain) as (player, transport):
        empty = lambda: unsealed(player.state())  # noqa: E731
        assert wait_for(lambda: transport.messages + transport.damaged > 40, 20, lambda: exchange(player, transport, empty(), 0.02))
        assert (transport.messages == 0) is cable
        inputs = transport.read()
        if cable:
            assert "check sum of LowState is wrong: there is none" in str(inputs.wire_fault)
        else:
            assert inputs.wire_fault is None
            assert inputs.reading is not None
            assert inputs.reading.free_clock
            assert "without check sum" in " ".join(inputs.remarks)


@contextmanager
def silent(domain: int) -> Iterator[tuple[Player, UnitreeTransport]]:
    """A player that has said nothing yet, and an open transport."""
    spec = go1_spec()
    transport, player = UnitreeTransport(spec, UnitreeOptions(domain=domain), [0.0, 0.0, 0.0]), Player(spec, domain)
    transport.open(lambda event: None)
    try:
        yield player, transport
    finally:
        transport.close()
        player.close()


# ---------------------------------------------------------------------------------------------------- what the messages leave empty


def test_what_a_simulator_leaves_empty_is_said_once_and_its_clock_is_the_arrival(g1: PolicySpec) -> None:
    sender = Sender(robot_of(g1)[0], g1.robot.joint_names, loopback=True)
    empty = {"mode_machine": 0, "temperature": np.zeros(29), "sealed": False}
    stamps = hear(sender, g1, [0] * 100, **empty)
    assert np.diff(stamps).tolist() == [5 * MS] * 99
    left = "check sum, tick, motor temperatures, remote, mode_machine"
    assert sender.remarks == [f"a simulator sends LowState without {left}; accepted, since it is on this computer"]
    assert sender.temperature is None
    assert sender.fault is None


def test_a_robot_without_a_remote_is_no_simulator(g1: PolicySpec) -> None:
    sender = Sender(robot_of(g1)[0], g1.robot.joint_names, loopback=True)
    stamps = hear(sender, g1, range(1000, 1500, 5))
    assert np.diff(stamps).tolist() == [5 * MS] * 99
    assert stamps[0] == 1000 * MS
    assert sender.remarks == []
    assert sender.temperature is not None


def test_a_clock_that_begins_to_run_goes_on_from_the_arrivals(g1: PolicySpec) -> None:
    sender = Sender(robot_of(g1)[0], g1.robot.joint_names, loopback=True)
    steps = np.diff(hear(sender, g1, [*[0] * 40, *range(5, 400, 5)]))
    assert (steps == 5 * MS).all()


def test_a_tick_that_counts_messages_is_no_clock(g1: PolicySpec) -> None:
    sender = Sender(robot_of(g1)[0], g1.robot.joint_names, loopback=True)
    stamps = hear(sender, g1, [*range(1, 61), 60, 60, 61, 3], every_ms=10)
    steps = np.diff(stamps)[LOOKED:]
    assert steps[:34].tolist() == [10 * MS] * 34
    assert steps[34:36].tolist() == [0, 0]  # it stood still
    assert steps[36] == 30 * MS
    assert steps[37] < 0  # and went back
    assert any("counts messages" in text for text in sender.remarks)


@pytest.mark.parametrize("loopback", [False, True])
def test_on_a_cable_an_empty_field_is_a_robot_that_is_not_ready(g1: PolicySpec, loopback: bool) -> None:
    sender = Sender(robot_of(g1)[0], g1.robot.joint_names, loopback=loopback)
    assert set(hear(sender, g1, [0] * 50)) == {0} or loopback  # it stands still, and the guard on stamps says so
    assert sender.fault is None
    knee = g1.robot.joint_names.index("left_knee_joint")
    dead = {"position": np.where(np.arange(29) == knee, 0, 0.1), "temperature": np.where(np.arange(29) == knee, 0, 40.0)}
    hear(sender, g1, [9], **dead)
    assert sender.fault is None if loopback else "no word from the motors of left_knee_joint" in str(sender.fault)
    hear(sender, g1, [11], mode_machine=0)
    assert sender.fault is None if loopback else "mode_machine is 0" in str(sender.fault)
    hear(sender, g1, [13])
    assert sender.fault is None


def test_motors_that_never_say_anything_are_named_on_loopback(g1: PolicySpec) -> None:
    sender = Sender(robot_of(g1)[0], g1.robot.joint_names, loopback=True)
    wrists = np.array(["wrist" in name for name in g1.robot.joint_names])
    hear(sender, g1, range(1, 5 * MOVED + 1, 5), position=np.where(wrists, 0, 0.1), temperature=np.zeros(29))
    assert any("left_wrist_roll_joint" in text and "fewer joints" in text for text in sender.remarks)


@pytest.mark.parametrize("loopback", [False, True])
def test_a_robot_with_other_motors_is_refused_by_name(g1: PolicySpec, loopback: bool) -> None:
    sender = Sender(robot_of(g1)[0], g1.robot.joint_names, loopback=loopback)
    hear(sender, g1, [5], mode_machine=4)
    assert sender.fault == "mode_machine 4 is a G1 of 23 joints, the policy drives 29"


def test_the_fault_of_a_message_reaches_the_guards(domain: int) -> None:
    with connected(go1_spec(), domain) as (player, transport):
        transport._sender = Sender(player.robot, go1_spec().robot.joint_names, loopback=False)
        frame = Frame(Layout(player.robot.family.low_state))
        frame.load(player.state())
        for name in ("q", "dq", "tau_est", "temperature"):
            frame.view(f"motor_state.{name}")[frame.layout.index(f"motor_state.{name}")[0]] = 0
        exchange(player, transport, bytes(frame.seal()))
        assert "no word from the motors of FR_hip_joint" in str(transport.read().wire_fault)


def empty(name: str, player: Player) -> bytes:
    """A whole message with its check sum: `name` is a motor's, or the whole robot's `mode_machine`, which is left at 0."""
    frame = Frame(Layout(player.robot.family.low_state))
    frame.load(player.state())
    if name == "mode_machine":
        frame.set(name, 0)
    else:
        for part in ("q", "dq", "tau_est", "temperature"):
            frame.view(f"motor_state.{part}")[frame.layout.index(f"motor_state.{part}")[0]] = 0
    return bytes(frame.seal())


@pytest.mark.parametrize("what", ["mode_machine", "motor"])
def test_one_empty_message_latches_nobody_who_is_driven_and_many_in_a_row_do(domain: int, what: str, g1: PolicySpec) -> None:
    spec = g1 if what == "mode_machine" else go1_spec()
    with connected(spec, domain) as (player, transport):
        transport._sender = Sender(player.robot, spec.robot.joint_names, loopback=False)
        transport.report({"mode": "damping"})
        assert exchange(player, transport, empty(what, player))
        assert transport.read().wire_fault is not None  # before it stands, at once
        for mode in ("stand", "policy"):
            transport.report({"mode": mode})
            assert exchange(player, transport)
            before = transport.read().reading
            for _ in range(3):
                for _ in range(BAD_IN_A_ROW - 1):
                    assert exchange(player, transport, empty(what, player))
                    inputs = transport.read()
                    assert inputs.wire_fault is None
                    assert inputs.reading is before  # what it says is not believed either
                assert exchange(player, transport)
                before = transport.read().reading
            for _ in range(BAD_IN_A_ROW):
                assert exchange(player, transport, empty(what, player))
            said = str(transport.read().wire_fault)
            assert said.startswith(f"{BAD_IN_A_ROW} messages in a row: ")
            assert ("mode_machine is 0" if what == "mode_machine" else "no word from the motors of FR_hip_joint") in said


# --------------------------------------------------------------------------------------------------------- who publishes, and what


def test_nobody_another_robot_and_two_robots_are_named(domain: int, g1: PolicySpec) -> None:
    transport = UnitreeTransport(go1_spec(), UnitreeOptions(domain=domain), [0.0, 0.0, 0.0])
    transport.on_line = lambda line: pytest.fail(f"the guard says it: {line}")
    transport.open(lambda event: None)
    others: list[Player] = []

    def hint() -> str:
        transport.wait_until(transport.now_ns() + 20 * MS)
        transport.report({"mode": "damping"})
        return transport.read().sensor_hint

    try:
        transport._opened_ns -= 10**10
        assert f"nobody publishes {LOW_STATE} in DDS domain {domain}" in hint()
        assert "--dds-domain 1" in hint()
        others.append(Player(g1, domain))
        assert wait_for(lambda: "unitree_hg" in hint(), 10)
        assert "is it another robot?" in hint()
        robot = Player(go1_spec(), domain)
        others.append(robot)
        assert wait_for(lambda: transport.messages > 0, 10, lambda: exchange(robot, transport, None, 0.02))
        assert hint() == ""
        assert transport.read().rivals == 0  # what another robot says is not heard, and no rival
        second = Wire("unitree_go", domain)
        writer = second.writer(LOW_STATE, second.types.LowState_)
        assert wait_for(lambda: (hint(), transport.read().rivals)[1] == 1, 10)
        assert transport.read().rival_names[0].startswith(f"2 publishers on {LOW_STATE}")
        del writer
        second.close()
        assert wait_for(lambda: (hint(), transport.read().rivals)[1] == 0, 10)
    finally:
        transport.close()
        for player in others:
            player.close()


# -------------------------------------------------------------------------------------------------------------------- the whole way


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pace", "filled"), [("go1", 0.95, False), ("go1", 0.8, True), ("g1", 0.95, False)])
def test_a_simulator_made_with_the_sdk_is_found_and_walks(name: str, pace: float, filled: bool, tmp_path: Path) -> None:
    reports = []
    for attempt in range(ATTEMPTS):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        report = walk(name, pace, filled, folder)
        if report is None:
            return
        reports.append(report)
    pytest.fail("starved of processor time in every attempt:\n" + "\n".join(reports))


def walk(name: str, pace: float, filled: bool, folder: Path) -> str | None:
    """Run both. Returns what went wrong, if the computer was too slow; anything else fails."""
    path, domain = ZOO / f"{name}-velocity.onnx", str(random.SystemRandom().randrange(102))
    simulator = ["tests.unitree_simulator", "--policy", str(path), "--mjcf", str(ROBOTS / name / f"{name}.xml"), "--domain", domain]
    robot = Process([*simulator, "--pace", str(pace), *(["--filled"] if filled else [])], folder / "robot.log")
    options = ["--transport", "unitree", "--dds-domain", domain, "--auto-start", "--command", "0.5", "0", "0", "--no-log", *PATIENT]
    deploy = Process(["bridge.deploy", str(path), *options, "--events", str(folder / "events.jsonl")], folder / "deploy.log")
    with processes(robot, deploy):
        stopped = lambda: any(text in deploy.text() for text in ("stand -> damping", "policy -> "))  # noqa: E731
        started = wait_for(lambda: "-> policy" in deploy.text() or stopped(), 30)
        begin = len(lines(robot)) + 3  # it gets up to speed, and out of the gantry
        wait_for(lambda: len(lines(robot)) > begin + 5 or stopped(), 40)
        track, said = np.array(lines(robot)[begin:]), deploy.text() + robot.text()
        walked = started and not stopped() and len(track) > 5
    if not walked:
        assert STARVED.search(said) or slowest(robot) < 0.8 * pace, said
        return said
    told = [event["text"] for event in map(json.loads, (folder / "events.jsonl").read_text().splitlines()) if event["event"] == "remark"]
    simulated, wall = track[-1, :2] - track[0, :2]
    speed = (track[-1, 2] - track[0, 2]) / simulated
    print(f"{name}: {speed:.2f} m/s of 0.50 in its own time, which ran at {simulated / wall:.2f}; {told}")
    assert 0.3 < speed < 0.7
    assert all(text in said for text in told)
    assert any("a simulator sends LowState without" in text for text in told)
    assert any("check sum" in text for text in told) is not filled
    rates = [float(found[1]) for text in told if (found := re.search(r"clock runs at ([0-9.]+) of this", text))]
    assert bool(rates) is filled
    if filled:
        assert all(0.3 * pace < rate < 1.1 * pace for rate in rates)  # less than its pace where the computer cannot keep up
    return None


def slowest(robot: Process) -> float:
    """The least simulated time that passed in a second."""
    times = np.array(lines(robot)[1:])  # the first takes until all channels are open
    return float(np.min(np.diff(times[:, 0]) / np.diff(times[:, 1]))) if len(times) > 1 else 0.0


def lines(robot: Process) -> list[list[float]]:
    """What the simulator has printed: simulated time, wall time, x, height."""
    return [[float(number) for number in line.split()] for line in robot.text().splitlines() if re.fullmatch(r"[-0-9. ]+", line)]
