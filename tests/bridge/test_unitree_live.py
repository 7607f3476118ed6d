"""The Unitree transport over DDS on loopback: against a player in this process, and against a simulated robot in another one."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("unitree_sdk2py")

from bridge.control.command import damping
from bridge.control.loop import ControlLoop
from bridge.control.safety import Event, Mode
from bridge.simulated.unitree import MODE_MACHINE
from bridge.transports.unitree.dds import LOW_COMMAND, LOW_STATE, Wire
from bridge.transports.unitree.remote import DEAD_ZONE, Remote
from bridge.transports.unitree.transport import BAD_IN_A_ROW, UnitreeOptions, UnitreeTransport
from policies.contract.file import PolicyFile
from tests.bridge.test_parity import check, wide_open
from tests.bridge_helpers import REPOSITORY, Process, processes, wait_for
from tests.bridge_unitree import MS, Player, Session, Starved, connected, drive, exchange
from tests.make_policy import go1_spec

ZOO, ROBOTS = REPOSITORY / "policies" / "zoo", REPOSITORY / "envs" / "robots"
ATTEMPTS = 3


@pytest.fixture
def domain() -> int:
    """A domain of its own: what a test before has left behind is still announced for a while."""
    return random.SystemRandom().randrange(102)


@pytest.mark.parametrize("name", ["go1", "g1"])
def test_a_recorded_episode_gives_the_recorded_actions(name: str, domain: int) -> None:
    policy = PolicyFile(ZOO / f"{name}-velocity.onnx")
    controller, golden, actions = wide_open(policy), policy.golden.sensors, []
    with connected(policy.spec, domain) as (player, transport):
        loop = ControlLoop(controller, transport)
        transport._opened_ns = -(10**12)  # nobody else is on this domain
        transport.report(loop.status())
        for tick in range(len(policy.golden.action) + 1):  # the first tick stands, the second is golden step 0
            at = {key: values[max(0, tick - 1)] for key, values in golden.items()}
            transport._fixed = at["command"].astype(np.float64)
            state = player.state(at["joint_position"], at["joint_velocity"], at["imu_quat_wxyz"], at["imu_angular_velocity_b"])
            assert exchange(player, transport, state)
            loop.tick(transport.now_ns())
            if controller.mode is Mode.POLICY:
                actions.append(controller.action.copy())
    check(policy, actions)
    worst = float(np.max(np.abs(np.array(actions) - policy.golden.action)))
    print(f"{name}: largest difference of an action over DDS {worst:.1e}")


@pytest.mark.parametrize("name", ["go1", "g1"])
def test_nothing_is_sent_before_a_command_drives_and_damping_at_the_end(name: str, domain: int) -> None:
    spec = PolicyFile(ZOO / f"{name}-velocity.onnx").spec
    with connected(spec, domain) as (player, transport):
        kd = np.array(spec.robot.kd)
        for _ in range(20):
            transport.write(damping(kd))
            exchange(player, transport)
        assert transport.stream is None
        assert player.publishers == 0
        assert player.heard() == []
        transport.write(drive(spec))
        assert wait_for(lambda: any(command.drives for command in player.heard()), 5, lambda: transport.write(drive(spec)))
        begin, ticks = time.monotonic(), transport.stream.timing.ticks
        while time.monotonic() - begin < 0.5:
            transport.write(drive(spec))
            time.sleep(0.02)
        rate = (transport.stream.timing.ticks - ticks) / (time.monotonic() - begin)
        print(f"{name}: {rate:.0f} commands a second, {transport.stream.timing.summary()}")
        assert rate > 250
        assert any(command.drives for command in player.heard())
        time.sleep(0.3)  # the loop stalls
        stalled = player.heard()[-1]
        assert not stalled.drives
        assert stalled.kd.all()
        transport.write(drive(spec))
        assert wait_for(lambda: any(command.drives for command in player.heard()), 5, lambda: transport.write(drive(spec)))
        transport.close()
        last = player.heard()
        assert last
        assert not any(command.drives for command in last[-3:])
        assert wait_for(lambda: player.publishers == 0, 5)


def test_a_fault_sends_damping_even_if_nothing_ever_drove(domain: int) -> None:
    spec = go1_spec()
    with connected(spec, domain) as (player, transport):
        transport.report({"mode": "fault"})
        transport.write(damping(np.array(spec.robot.kd)))
        assert wait_for(lambda: bool(heard := player.heard()) and not heard[-1].drives, 5)


def test_a_stalled_stream_damps_as_strongly_as_it_was_told(domain: int) -> None:
    spec = go1_spec()
    player = Player(spec, domain)
    transport = UnitreeTransport(spec, UnitreeOptions(domain=domain, damping_factor=0.5), [0, 0, 0])
    transport.open(lambda event: None)
    try:
        assert wait_for(lambda: transport.messages > 0, 10, lambda: exchange(player, transport, None, 0.02))
        transport.write(drive(spec))
        assert wait_for(lambda: any(command.drives for command in player.heard()), 5, lambda: transport.write(drive(spec)))
        time.sleep(0.3)  # the loop stalls
        stalled = player.heard()[-1]
        assert not stalled.drives
        np.testing.assert_allclose(stalled.kd, 0.5 * np.array(spec.robot.kd), rtol=1e-5)
    finally:
        transport.close()
        player.close()


def test_a_stream_that_has_ended_is_told_and_damping_goes_out(domain: int) -> None:
    spec = go1_spec()
    transport = UnitreeTransport(spec, UnitreeOptions(domain=domain), [0, 0, 0])
    player = Player(spec, domain)
    transport.open(lambda event: None)
    assert wait_for(lambda: transport.messages > 0, 10, lambda: exchange(player, transport, None, 0.02))
    transport.write(drive(spec))
    assert wait_for(lambda: any(command.drives for command in player.heard()), 5)
    broken = drive(spec)
    broken.position[0] = np.nan  # what the limits would never let through
    with pytest.raises(ValueError, match="not finite"):
        transport.write(broken)
    transport.write(drive(spec))
    assert transport.stream.failure is None

    def fail(command: object) -> None:
        raise OSError("cable")

    transport.stream._send = fail
    assert wait_for(lambda: transport.stream.failure is not None, 5)
    player.heard()
    with pytest.raises(RuntimeError, match="the command stream has ended"):
        transport.write(drive(spec))
    assert wait_for(lambda: bool(heard := player.heard()) and not heard[-1].drives, 5)
    with pytest.raises(OSError, match="cable"):
        transport.close()
    player.close()


def test_damaged_messages_are_dropped_and_many_are_a_fault(domain: int) -> None:
    with connected(go1_spec(), domain) as (player, transport):
        exchange(player, transport)
        before = transport.read().reading
        broken = bytearray(player.state(velocity=1.0))
        broken[200] ^= 4
        exchange(player, transport, bytes(broken))
        assert transport.damaged == 1
        assert transport.read().reading is before
        assert transport.read().wire_fault is None
        exchange(player, transport)
        assert transport.read().reading is not before
        for _ in range(BAD_IN_A_ROW):
            exchange(player, transport, bytes(broken))
        fault = transport.read().wire_fault
        assert fault is not None
        assert f"{BAD_IN_A_ROW} messages in a row: the check sum of LowState is wrong" in fault
        exchange(player, transport)
        assert transport.read().wire_fault is None


def test_a_wrapping_tick_goes_on_and_a_restarted_robot_goes_back(domain: int) -> None:
    with connected(go1_spec(), domain) as (player, transport):
        player.tick = 2**32 - 6
        stamps = []
        for _ in range(6):
            exchange(player, transport)
            stamps.append(transport.read().reading.stamps_ns[0])
        assert np.diff(stamps).tolist() == [2 * MS] * 5
        player.tick = 0
        exchange(player, transport)
        assert transport.read().reading.stamps_ns[0] < stamps[-1]


def test_every_reading_is_handed_out_and_the_remote_speaks(domain: int) -> None:
    with connected(go1_spec(), domain) as (player, transport):
        ticks: list[int] = []
        transport.on_reading = lambda reading: ticks.append(reading.stamps_ns[0] // MS)
        first = player.tick
        for _ in range(8):
            player.send(player.state())
        assert wait_for(lambda: len(ticks) >= 8, 5, lambda: transport.wait_until(transport.now_ns() + MS))
        assert ticks == list(range(first + 2, first + 18, 2))
        for keys in ((), ("L2", "B"), ("L2", "B")):
            exchange(player, transport, player.state(remote=Remote(keys=frozenset(keys)).encode()))
        assert transport.read().requests == (Event.ESTOP,)
        assert transport.read().requests == ()


@pytest.mark.parametrize("known", [0, 1, 2])
def test_a_second_robot_is_noticed_unless_it_is_known_to_be_silent(known: int, domain: int) -> None:
    with connected(go1_spec(), domain, known_senders=known) as (_, transport):
        transport._opened_ns -= 10**10

        def seen(count: int) -> bool:
            transport.report({"mode": "damping"})
            return transport._wire.publishers(LOW_STATE) == count

        second = Wire("unitree_go", domain)
        writer = second.writer(LOW_STATE, second.types.LowState_)
        assert wait_for(lambda: seen(2), 10)
        seen(2)
        inputs = transport.read()
        assert inputs.rivals == (0 if known else 1)
        assert ("--known-senders 1 excepts" in str(inputs.rival_names)) is (known == 0)
        del writer
        second.close()


@pytest.mark.parametrize("known", [0, 1])
def test_a_second_publisher_is_noticed_and_forgotten(known: int, domain: int) -> None:
    with connected(go1_spec(), domain, known_publishers=known) as (_, transport):
        transport.report({"mode": "damping"})
        assert transport.read().rivals is None  # too early to know
        transport._opened_ns -= 10**10
        transport.report({"mode": "damping"})
        assert transport.read().rivals == 0
        transport.write(drive(go1_spec()))
        transport.report({"mode": "stand"})
        assert transport.read().rivals == 0  # its own writer is none

        def rivals(count: int) -> bool:
            transport.report({"mode": "stand"})
            return transport.read().rivals == count

        rival = Wire("unitree_go", domain)
        writer = rival.writer(LOW_COMMAND, rival.types.LowCmd_)
        assert wait_for(lambda: rivals(1 - known), 10)
        del writer
        rival.close()
        assert wait_for(lambda: rivals(0), 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["go1", "g1"])
def test_walks_by_the_remote_and_is_damped_when_the_robot_dies(name: str, tmp_path: Path) -> None:
    reports = []
    for attempt in range(ATTEMPTS):
        try:
            return walk(name, random.SystemRandom().randrange(102), tmp_path / f"robot{attempt}.log")
        except Starved as starved:
            reports.append(str(starved))
    pytest.fail("starved of processor time in every attempt:\n" + "\n".join(reports))


def walk(name: str, domain: int, log: Path) -> None:
    path = ZOO / f"{name}-velocity.onnx"
    arguments = ["--policy", str(path), "--mjcf", str(ROBOTS / name / f"{name}.xml"), "--domain", str(domain), "--tick", str(2**32 - 8000)]
    robot = Process(["bridge.simulated.unitree", *arguments], log)
    with processes(robot), Session(PolicyFile(path), domain) as session:
        assert wait_for(lambda: session.transport.messages > 100, 20), robot.text()
        assert session.controller.mode is Mode.DAMPING
        assert session.transport.stream is None
        session.reach(Mode.STAND, "L2", "up")
        session.watch(2.2)
        session.reach(Mode.POLICY, "start")
        share = 0.5 / session.controller.spec.command.upper[0]
        session.hold(forward=DEAD_ZONE + (1 - DEAD_ZONE) * share)
        session.watch(2.5)  # it gets up to speed, and out of the gantry
        begin, start = session.watch(0.0).position[0], time.monotonic()
        end, seconds = session.watch(3.0), time.monotonic() - start
        session.fed()
        walked = (end.position[0] - begin) / seconds
        print(f"{name}: {walked:.2f} m/s of 0.50, height {end.body_height:.2f} m, loop {session.loop.timing.summary()}")
        assert session.controller.mode is Mode.POLICY, session.told()
        assert 0.3 < walked < 0.7
        assert end.body_height > 0.7 * (0.757 if name == "g1" else 0.278)
        assert session.transport.damaged == 0
        session.events.clear()
        killed_ns = time.monotonic_ns()
        robot.send(signal.SIGKILL)
        assert wait_for(lambda: session.controller.mode is Mode.DAMPING, 5), session.told()
        stop_ms = (session.events[0]["t_ns"] - killed_ns) * 1e-6
        print(f"{name}: damped {stop_ms:.0f} ms after kill -9 of the robot: {session.events[0]['cause']}")
        assert session.events[0]["cause"].startswith("stale_sensor")
        assert stop_ms < 200  # 100 on a computer that is not busy
        assert not session.transport.stream.at(time.monotonic_ns()).drives
    assert session.loop.failure is None
    assert "command refused" not in robot.text()


@pytest.mark.slow
def test_the_emergency_stop_of_the_remote_acts_from_stand(domain: int, tmp_path: Path) -> None:
    path = ZOO / "g1-velocity.onnx"
    arguments = ["--policy", str(path), "--mjcf", str(ROBOTS / "g1" / "g1.xml"), "--domain", str(domain)]
    robot = Process(["bridge.simulated.unitree", *arguments], tmp_path / "robot.log")
    with processes(robot), Session(PolicyFile(path), domain) as session:
        assert wait_for(lambda: session.transport.messages > 100, 20), robot.text()
        session.reach(Mode.STAND, "L2", "up")
        session.hold("L2", "B")
        assert wait_for(lambda: session.controller.mode is Mode.FAULT, 2), session.told()
        session.reach(Mode.DAMPING, "L1", "select")
        assert session.transport._encode.mode_machine == MODE_MACHINE
    assert "command refused" not in robot.text()
