"""Unitree's messages, motor numbers and remote against the SDK's own code and constants; nothing here goes over a wire."""

from __future__ import annotations

import dataclasses
import importlib
import os
import struct
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("unitree_sdk2py")

from bridge.control.command import JointCommand
from bridge.control.joints import JointError
from bridge.control.safety import Event
from bridge.isolation import LOOPBACK_CYCLONE, LOOPBACK_MULTICAST
from bridge.simulated.unitree import MODE_MACHINE, LowCmdDecoder, LowStateEncoder
from bridge.transports.unitree.dds import InterfaceError, choose_interface, interface_config, loopback_alone
from bridge.transports.unitree.layout import Frame, Layout
from bridge.transports.unitree.messages import POSITION_STOP, VELOCITY_STOP, LowCmdEncoder, LowStateDecoder, TickClock, UnitreeMessageError
from bridge.transports.unitree.remote import KEYS, Keys, Remote, decode, velocity
from bridge.transports.unitree.robots import GO, HG, ROBOTS, robot_of
from bridge.transports.unitree.transport import UnitreeOptions, UnitreeTransport
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from tests.bridge_helpers import REPOSITORY
from tests.make_policy import arm_spec, go1_spec

ZOO = REPOSITORY / "policies" / "zoo"
INTEGERS = {"B": (0, 256), "h": (-(2**15), 2**15), "H": (0, 2**16), "i": (-(2**31), 2**31), "I": (0, 2**32)}
MESSAGES = [(family, kind) for family in (GO, HG) for kind in ("LowState_", "LowCmd_")]
COMMAND = ("q", "dq", "tau", "kp", "kd")


@pytest.fixture(params=["go1", "g1"])
def spec(request: pytest.FixtureRequest) -> PolicySpec:
    """A walking policy's contract, its joints in another order than the motors."""
    spec = PolicyFile(ZOO / f"{request.param}-velocity.onnx").spec
    order = np.random.default_rng(3).permutation(spec.robot.num_joints)
    return dataclasses.replace(spec, robot=dataclasses.replace(spec.robot, joint_names=tuple(spec.robot.joint_names[i] for i in order)))


def sdk(family: Any, name: str) -> Any:
    """The SDK's IDL type."""
    return getattr(importlib.import_module(f"unitree_sdk2py.idl.{family.name}.msg.dds_"), name)


def sdk_default(family: Any, name: str) -> Any:
    """An empty message, made by the SDK."""
    return getattr(importlib.import_module("unitree_sdk2py.idl.default"), f"{family.name}_msg_dds__{name}")()


def crc(message: Any) -> int:
    """The SDK's check sum of a message."""
    from unitree_sdk2py.utils.crc import CRC

    return CRC().Crc(message)


def randomized(family: Any, kind: str, seed: int) -> Frame:
    """A message with a random number in every field, as far as the SDK's check sum takes it: it packs temperatures and fans as signed."""
    rng = np.random.default_rng(seed)
    frame = Frame(Layout(family.low_state if kind == "LowState_" else family.low_command))
    for name in frame.layout.names():
        code, count = frame.layout.code(name), len(frame.layout.index(name))
        low, high = (0, 128) if any(word in name for word in ("temperature", "ntc", "fan")) else INTEGERS.get(code, (0, 0))
        frame.set(name, rng.normal(0, 100, count) if code == "f" else rng.integers(low, high, count))
    return frame


@pytest.mark.parametrize(("family", "kind"), MESSAGES, ids=lambda value: str(getattr(value, "name", value)))
def test_every_field_and_the_check_sum_are_the_sdks(family: Any, kind: str) -> None:
    for seed in range(3):
        frame = randomized(family, kind, seed)
        data = bytes(frame.seal())
        message = sdk(family, kind).deserialize(data)
        assert message.serialize() == data
        assert crc(message) == message.crc == frame.get("crc")[0]
        for name in frame.layout.names():
            found = [message]
            for part in name.split("."):
                values = [getattr(parent, part) for parent in found]  # the SDK reads byte arrays as bytes
                found = [leaf for value in values for leaf in (value if isinstance(value, list | bytes) else [value])]
            assert np.array_equal(np.array(found, frame.view(name).dtype), frame.get(name)), name
        frame.load(data)
        assert frame.fits(data)
        assert frame.intact
        for byte in np.random.default_rng(seed).integers(4, len(data), 20):
            broken = bytearray(data)
            broken[byte] ^= 0x10
            other = sdk(family, kind).deserialize(bytes(broken))
            frame.load(bytes(broken))
            assert frame.intact == (crc(other) == other.crc)  # padding on the wire is no part of the message


def test_motor_numbers_are_the_sdks() -> None:
    from unitree_sdk2py.test.lowlevel import unitree_go2_const as go2

    parts = {"0": "hip", "1": "thigh", "2": "calf"}
    for name, motor in go2.LegID.items():
        leg, part = name.split("_")
        assert ROBOTS["go2"].motors[motor] == ROBOTS["go1"].motors[motor] == f"{leg}_{parts[part]}_joint"
    assert len(ROBOTS["go2"].motors) == len(go2.LegID)
    assert (go2.PosStopF, go2.VelStopF) == (POSITION_STOP, VELOCITY_STOP)
    assert go2.LOWLEVEL == 0xFF
    assert tuple("".join(word.capitalize() for word in joint.split("_")[:-1]) for joint in ROBOTS["g1"].motors) == G1_MOTORS


G1_MOTORS = (
    *("LeftHipPitch", "LeftHipRoll", "LeftHipYaw", "LeftKnee", "LeftAnklePitch", "LeftAnkleRoll"),
    *("RightHipPitch", "RightHipRoll", "RightHipYaw", "RightKnee", "RightAnklePitch", "RightAnkleRoll"),
    *("WaistYaw", "WaistRoll", "WaistPitch"),
    *("LeftShoulderPitch", "LeftShoulderRoll", "LeftShoulderYaw", "LeftElbow", "LeftWristRoll", "LeftWristPitch", "LeftWristYaw"),
    *("RightShoulderPitch", "RightShoulderRoll", "RightShoulderYaw", "RightElbow", "RightWristRoll", "RightWristPitch", "RightWristYaw"),
)
"""`G1JointIndex` of Unitree's low-level example for G1 (unitree_sdk2_python), by number."""


def test_a_joint_set_that_is_not_the_robots_is_refused() -> None:
    spec = go1_spec()
    assert robot_of(spec)[0].motors == spec.robot.joint_names
    names = ("FR_hip", *spec.robot.joint_names[1:])
    with pytest.raises(JointError, match=r"missing \['FR_hip'\]"):
        robot_of(dataclasses.replace(spec, robot=dataclasses.replace(spec.robot, joint_names=names)))
    with pytest.raises(JointError, match=r"is not a Unitree robot; known: g1, go1, go2"):
        robot_of(arm_spec())
    with pytest.raises(JointError, match="takes 'goal_position'"):
        UnitreeTransport(dataclasses.replace(arm_spec(), robot=spec.robot, action=spec.action))


def test_a_command_reaches_the_motors_that_it_names(spec: PolicySpec) -> None:
    robot, joints = robot_of(spec)
    rng, count = np.random.default_rng(0), spec.robot.num_joints
    encode = LowCmdEncoder(robot, joints)
    encode.mode_machine = MODE_MACHINE
    for _ in range(2):  # the message is used again
        command = JointCommand(*rng.normal(size=(5, count)).astype(np.float32).astype(np.float64))
        data = bytes(encode(command))
    message = sdk(robot.family, "LowCmd_").deserialize(data)
    assert message.crc == crc(message)
    fields = (command.position, command.velocity, command.effort, command.kp, command.kd)
    for number, motor in enumerate(message.motor_cmd):
        found = tuple(getattr(motor, name) for name in COMMAND)
        if number < count:
            joint = spec.robot.joint_names.index(robot.motors[number])
            assert (motor.mode, found) == (1, tuple(field[joint] for field in fields))
        else:
            empty = (np.float32(POSITION_STOP), VELOCITY_STOP, 0, 0, 0) if robot.family is GO else (0, 0, 0, 0, 0)
            assert (motor.mode, found) == (0, empty)
    if robot.family is GO:
        assert (list(message.head), message.level_flag) == ([0xFE, 0xEF], 0xFF)
    else:
        assert (message.mode_pr, message.mode_machine) == (0, MODE_MACHINE)
    heard = LowCmdDecoder(robot)(data)  # what the simulated robot makes of it, by motor number
    assert np.array_equal(joints.from_wire(heard.position, "position"), command.position)
    assert np.array_equal(joints.from_wire(heard.kd, "kd"), command.kd)
    command.effort[0] = np.nan
    with pytest.raises(JointError, match="not finite"):
        encode(command)


def test_a_command_without_a_velocity_target_has_no_damping_towards_it(spec: PolicySpec) -> None:
    """As with `PosStopF`: 16,000 rad/s are no target, whatever kd stands beside them."""
    robot, joints = robot_of(spec)
    encode, zero = LowCmdEncoder(robot, joints), np.zeros(spec.robot.num_joints)
    encode.mode_machine = MODE_MACHINE
    heard = LowCmdDecoder(robot)(bytes(encode(JointCommand(zero, zero + VELOCITY_STOP, zero, zero + 1, zero + 2))))
    assert not heard.kd.any()
    assert not heard.velocity.any()
    assert (heard.kp == 1).all()


def test_the_robot_obeys_no_damaged_or_foreign_command(spec: PolicySpec) -> None:
    robot, joints = robot_of(spec)
    encode, obey = LowCmdEncoder(robot, joints), LowCmdDecoder(robot)
    zero = np.zeros(spec.robot.num_joints)
    data = bytearray(encode(JointCommand(zero, zero, zero, zero, zero)))
    if robot.family is HG:
        with pytest.raises(UnitreeMessageError, match="mode_machine 0"):
            obey(bytes(data))
    data[100] ^= 1
    with pytest.raises(UnitreeMessageError, match="check sum"):
        obey(bytes(data))
    with pytest.raises(UnitreeMessageError, match="bytes"):
        obey(bytes(data[:-4]))


def test_a_state_from_the_sdk_is_read_in_policy_order(spec: PolicySpec) -> None:
    robot, joints = robot_of(spec)
    rng, count = np.random.default_rng(1), spec.robot.num_joints
    message = sdk_default(robot.family, "LowState_")
    values = rng.normal(size=(3, count)).astype(np.float32)
    for number, name in enumerate(robot.motors):
        joint, motor = spec.robot.joint_names.index(name), message.motor_state[number]
        motor.q, motor.dq, motor.tau_est = (float(value) for value in values[:, joint])
        motor.temperature = [30, 40 + joint] if robot.family is HG else 40 + joint
    message.imu_state.quaternion, message.imu_state.gyroscope = [0.5, -0.5, 0.5, 0.5], [0.25, -1.0, 2.0]
    message.tick = 2**32 - 2
    message.wireless_remote = list(Remote(keys=frozenset({"L2", "B"}), ly=0.5).encode())
    if robot.family is HG:
        message.mode_machine = 5
    message.crc = crc(message)
    data = message.serialize()
    state = LowStateDecoder(robot, joints)(data)
    assert np.array_equal(np.stack([state.position, state.velocity, state.effort]), values)
    assert state.imu_quat_wxyz.tolist() == [0.5, -0.5, 0.5, 0.5]
    assert state.imu_angular_velocity_b.tolist() == [0.25, -1.0, 2.0]
    assert (state.tick, state.mode_machine) == (2**32 - 2, 5 if robot.family is HG else 0)
    assert state.temperature.tolist() == [40 + joint for joint in range(count)]
    assert decode(state.remote) == Remote(keys=frozenset({"L2", "B"}), ly=0.5)
    broken = bytearray(data)
    broken[60] ^= 1
    with pytest.raises(UnitreeMessageError, match="check sum of LowState"):
        LowStateDecoder(robot, joints)(bytes(broken))
    LowStateDecoder(robot, joints, check_crc=False)(bytes(broken))
    with pytest.raises(UnitreeMessageError, match="0000"):  # big-endian
        LowStateDecoder(robot, joints)(b"\0\0" + data[2:])


def test_what_the_simulated_robot_says_is_what_the_sdk_reads(spec: PolicySpec) -> None:
    robot, _ = robot_of(spec)
    motors = np.random.default_rng(2).normal(size=(3, len(robot.motors))).astype(np.float32)
    data = bytes(LowStateEncoder(robot)(motors, [1, 0, 0, 0], [1, 2, 3], 7))
    message = sdk(robot.family, "LowState_").deserialize(data)
    assert message.crc == crc(message)
    assert [motor.dq for motor in message.motor_state][: len(robot.motors)] == motors[1].tolist()
    assert (list(message.imu_state.gyroscope), message.tick) == ([1, 2, 3], 7)


def test_the_tick_goes_on_when_its_32_bits_wrap() -> None:
    clock = TickClock()
    ticks = [2**32 - 4, 2**32 - 2, 0, 2, 2, 1000]
    assert [clock(tick) // 1_000_000 - 2**32 for tick in ticks] == [-4, -2, 0, 2, 2, 1000]
    assert clock(998) // 1_000_000 - 2**32 == 998  # the robot's clock went back, and the guard must see it
    assert clock(2**32 - 5) // 1_000_000 - 2**32 == -5


def test_the_remote() -> None:
    raw = struct.pack("<2xH5f16x", 1 << 5 | 1 << 12, 0.1, 0.2, 0.3, 1.0, 0.4)
    remote = decode(raw)
    assert remote is not None
    assert remote.keys == {"L2", "up"}
    assert np.allclose((remote.lx, remote.rx, remote.ry, remote.ly), (0.1, 0.2, 0.3, 0.4))
    assert decode(bytes(40)) is None
    for key in KEYS:
        assert decode(Remote(keys=frozenset({key})).encode()) == Remote(keys=frozenset({key}))
    lower, upper = (-0.5, -0.4, -1.0), (1.0, 0.6, 2.0)
    assert velocity(Remote(ly=1.0), lower, upper).tolist() == [1.0, 0.0, 0.0]
    assert velocity(Remote(ly=-1.0, lx=1.0, rx=1.0), lower, upper).tolist() == [-0.5, -0.4, -1.0]
    assert velocity(Remote(lx=-1.0, rx=-1.5, ly=0.04), lower, upper).tolist() == [0.0, 0.6, 2.0]
    assert not np.isfinite(velocity(Remote(ly=float("nan")), lower, upper)).all()


def test_keys_ask_once_and_the_emergency_stop_as_long_as_it_is_held() -> None:
    keys = Keys()

    def press(*names: str) -> Event | None:
        return keys(Remote(keys=frozenset(names)))

    assert press("start") is None  # held already when the process began
    assert press() is None
    assert [press("L2"), press("L2", "up"), press("L2", "up")] == [None, Event.STAND, None]
    assert [press("start"), press("select"), press("L1"), press("L1", "select")] == [Event.START, Event.STOP, None, Event.RESET]
    assert [press("L2", "up", "A"), press("start", "R1")] == [None, None]  # not exactly what was agreed
    assert [press("L2", "B"), press("L2", "B", "start"), press("B")] == [Event.ESTOP, Event.ESTOP, None]
    assert keys(None) is None
    assert Keys()(Remote(keys=frozenset({"L2", "B"}))) is Event.ESTOP


def test_a_network_interface_that_is_not_there_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(InterfaceError, match="no network interface 'wlan77'"):
        UnitreeTransport(go1_spec(), UnitreeOptions(interface="wlan77"))


def test_the_network_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CYCLONEDDS_URI")
    with pytest.raises(InterfaceError, match=r"no network interface 'wlan77'; this computer has .*lo"):
        choose_interface("wlan77", 0)
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    assert choose_interface(None, 0)  # ROS 2 may have the network, but a robot's commands stay here unless an interface is named
    assert os.environ["CYCLONEDDS_URI"] == LOOPBACK_MULTICAST
    assert choose_interface("lo", 0)
    monkeypatch.setenv("CYCLONEDDS_URI", LOOPBACK_CYCLONE)  # what a parent process of ours has set, and nobody has chosen
    assert choose_interface(None, 0)
    assert os.environ["CYCLONEDDS_URI"] == LOOPBACK_MULTICAST
    monkeypatch.setenv("CYCLONEDDS_URI", chosen := interface_config("eth0"))
    assert not choose_interface(None, 0)
    assert os.environ["CYCLONEDDS_URI"] == chosen


def test_only_a_configuration_that_names_lo_and_nothing_else_is_loopback() -> None:
    sdk, lo = interface_config("lo"), '<NetworkInterface name="lo"/>'
    assert all(loopback_alone(uri, 0) for uri in (LOOPBACK_CYCLONE, LOOPBACK_MULTICAST, sdk))
    assert loopback_alone(sdk.replace("<CycloneDDS>", '<CycloneDDS xmlns="https://cdds.io/config">'), 0)
    others = (
        interface_config("eth0"),
        LOOPBACK_MULTICAST.replace("</Interfaces>", '<NetworkInterface name="eth0"/></Interfaces>'),
        LOOPBACK_MULTICAST.replace("</Interfaces>", '<networkinterface name="eth0"/></Interfaces>'),
        f"<CycloneDDS>{lo}<NetworkInterface autodetermine='true'/></CycloneDDS>",
        "<CycloneDDS/>",
        "file:///etc/cyclonedds.xml",
        f"{sdk},file:///etc/cyclonedds.xml",
        "",
    )
    assert not any(loopback_alone(uri, 0) for uri in others)


def config(*domains: tuple[str, str]) -> str:
    """A Cyclone configuration of these domains, each an attribute and its interfaces."""
    said = (f"<Domain {name}><General><Interfaces>{inside}</Interfaces></General></Domain>" for name, inside in domains)
    return f"<CycloneDDS>{''.join(said)}</CycloneDDS>"


def test_what_is_said_of_another_domain_is_not_said_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lo, cable = '<NetworkInterface name="lo"/>', '<NetworkInterface name="eth0"/>'
    other = config(('Id="1"', lo), ('Id="0"', ""))
    monkeypatch.setenv("CYCLONEDDS_URI", other)
    assert [choose_interface(None, domain) for domain in (0, 1, 2)] == [False, True, False]
    assert not UnitreeTransport(go1_spec(), UnitreeOptions(domain=0), [0.0, 0.0, 0.0])._loopback
    assert UnitreeTransport(go1_spec(), UnitreeOptions(domain=1), [0.0, 0.0, 0.0])._loopback
    assert [loopback_alone(config(('Id="0"', lo), ('Id="1"', cable)), domain) for domain in (0, 1)] == [True, False]
    assert [loopback_alone(config(("", lo), ('id="1"', cable)), domain) for domain in (0, 1)] == [True, False]
    assert not loopback_alone(config(('Id="any"', lo), ('Id="0"', "")), 0)  # which of the two Cyclone takes is not known here
    assert not loopback_alone(f"<CycloneDDS>{lo}</CycloneDDS>", 0)


def test_on_loopback_others_are_found_by_unicast_and_by_multicast_and_nothing_has_another_interface() -> None:
    general, discovery = ElementTree.fromstring(LOOPBACK_MULTICAST).findall("Domain/*")
    assert [interface.attrib for interface in general.findall("Interfaces/*")] == [{"name": "lo", "multicast": "true"}]
    assert general.findtext("AllowMulticast") == "spdp"
    assert [peer.attrib for peer in discovery.findall("Peers/*")] == [{"address": "localhost"}]
