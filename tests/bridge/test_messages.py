"""Every command interface carries a command to a robot whose joints stand in another order; damping on each; names, stamps, time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")

from bridge.control.command import JointCommand, damping
from bridge.control.joints import JointError
from bridge.transports.ros2.clock import SimulatedClock
from bridge.transports.ros2.messages import INTERFACES, CommandDecoder, CommandEncoder, JointStateDecoder, decode_imu, encode_sensors
from bridge.transports.ros2.newest import MAX_BACK_NS, MAX_IN_A_ROW, NewestFilter
from bridge.transports.ros2.options import UNNAMED, wire_names
from tests.make_policy import go1_spec

SPEC = go1_spec()
NAMES = SPEC.robot.joint_names
ORDER = tuple(NAMES[i] for i in np.random.default_rng(5).permutation(12))
POSE = np.array(SPEC.robot.default_pose)


def command() -> JointCommand:
    return JointCommand(POSE + 0.1, *(np.arange(12.0) + offset for offset in (1, 2, 3, 4)))


@pytest.mark.parametrize("interface", INTERFACES)
def test_commands_arrive_by_name(interface: str) -> None:
    encode = CommandEncoder(SPEC, interface, ORDER if interface in UNNAMED else None)
    gains = np.ones(12), np.ones(12)
    got = CommandDecoder(ORDER, interface, *gains)(encode(command(), POSE, np.full(12, 0.5)))
    index = [NAMES.index(name) for name in ORDER]
    sent = command()
    if interface == "forward_velocity":
        speed = np.minimum(sent.kp / sent.kd * 0.1 + sent.velocity, SPEC.robot.velocity_limit)
        np.testing.assert_allclose(got.velocity, speed[index])
        assert not got.drives
    elif interface == "forward_effort":
        torque = np.minimum(sent.kp * 0.1 + sent.kd * (sent.velocity - 0.5) + sent.effort, SPEC.robot.effort_limit)
        np.testing.assert_allclose(got.effort, torque[index])
        assert not got.kp.any()
        assert not got.kd.any()
    else:
        np.testing.assert_array_equal(got.position, sent.position[index])
    if interface == "impedance":
        np.testing.assert_array_equal(got.kp, sent.kp[index])
        np.testing.assert_array_equal(got.kd, sent.kd[index])


@pytest.mark.parametrize("interface", ["forward_velocity", "forward_effort"])
def test_damping_on_a_velocity_or_torque_robot(interface: str) -> None:
    encode = CommandEncoder(SPEC, interface, NAMES)
    speed, kd = np.linspace(-1, 1, 12), np.full(12, 3.0)
    damp = damping(kd)
    assert encode(damp, POSE, speed) is None  # nothing was ever asked of this robot
    for factor in (1.0, 1e6):  # inside the limits whatever is asked
        encode(JointCommand(POSE + factor, *(np.full(12, 5.0),) * 4), POSE, speed)
        limit = SPEC.robot.velocity_limit if interface == "forward_velocity" else SPEC.robot.effort_limit
        big = np.array(encode(JointCommand(POSE + factor, *(np.full(12, 5.0),) * 4), POSE, speed).data)
        assert (np.abs(big) <= np.array(limit) + 1e-9).all()
    want = np.zeros(12) if interface == "forward_velocity" else -kd * speed
    np.testing.assert_allclose(encode(damp, POSE, speed).data, want)
    for broken in (None, np.full(12, np.nan)):
        assert not any(encode(damp, broken, speed).data)
        assert not any(encode(command(), broken, speed).data)
    if interface == "forward_effort":
        assert not any(encode(command(), POSE, np.full(12, np.nan)).data)


def test_numpy_numbers_become_plain_floats() -> None:
    """Fields are not checked by default: a float32 would arrive as garbage."""
    narrow = JointCommand(*(np.full(12, 0.5, np.float32) for _ in range(5)))
    assert set(CommandEncoder(SPEC, "impedance")(narrow, POSE).data) == {0.5}
    from bridge.simulated.physics import Sample

    quat = np.array([1, 0, 0, 0], np.float32)
    sample = Sample(*(np.full(12, 0.5, np.float32),) * 3, quat, np.full(3, 0.25, np.float32), 1)
    joints, imu = encode_sensors(sample, NAMES, 1, "imu")
    assert type(imu.orientation.w) is float
    assert (set(joints.position), imu.angular_velocity.x) == ({0.5}, 0.25)


def test_all_joints_go_into_every_trajectory() -> None:
    """A joint_trajectory_controller refuses goals for some of its joints."""
    message = CommandEncoder(SPEC, "trajectory", names=tuple(f"left_{name}" for name in NAMES))(command(), POSE)
    assert list(message.joint_names) == [f"left_{name}" for name in NAMES]
    assert len(message.points) == 1
    assert len(message.points[0].positions) == 12
    assert message.points[0].time_from_start.nanosec == 20_000_000


@pytest.mark.parametrize(
    ("pairs", "prefix", "names"),
    [
        ((), None, ("arm_1", "arm_2")),
        ((), "left_", ("left_arm_1", "left_arm_2")),
        ((), "arm_=", ("1", "2")),
        ((), "arm_=fr3_joint", ("fr3_joint1", "fr3_joint2")),
        (("arm_1=a",), None, ("a", "arm_2")),
        (("arm_1=arm_2", "arm_2=arm_1"), None, ("arm_2", "arm_1")),
    ],
)
def test_names_on_the_wire(pairs: tuple[str, ...], prefix: str | None, names: tuple[str, ...]) -> None:
    assert wire_names(("arm_1", "arm_2"), pairs, prefix) == names


@pytest.mark.parametrize(
    ("pairs", "prefix", "why"),
    [
        (("arm_1=a",), "x_", "not by both"),
        (("arm_3=a",), None, "no joint of the policy"),
        (("arm_1=a", "arm_1=b"), None, "given twice"),
        (("arm_1=arm_2",), None, "a name of its own"),
        (("arm_1",), None, "POLICY=WIRE"),
        (("arm_1=a=b",), None, "POLICY=WIRE"),
        ((), "leg_=x", "do not begin with"),
        ((), "arm_1=", "do not begin with"),
    ],
)
def test_ambiguous_names_are_refused(pairs: tuple[str, ...], prefix: str | None, why: str) -> None:
    with pytest.raises(JointError, match=why):
        wire_names(("arm_1", "arm_2"), pairs, prefix)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=100))
def test_the_filter_never_passes_an_old_message_among_new_ones(jumps: list[int]) -> None:
    newest, base, in_a_row = NewestFilter(), 10_000_000_000, 0
    highest = base
    for index, jump in enumerate(jumps):
        stamp = base + (index + jump) * 2_000_000
        old = index > 0 and stamp < highest
        in_a_row = in_a_row + 1 if old else 0
        accepted = newest.accepts(stamp)
        assert accepted == (not old or in_a_row > MAX_IN_A_ROW)
        if accepted:
            highest, in_a_row = stamp, 0
    assert newest.received == len(jumps)


def test_the_filter_believes_a_clock_that_went_back() -> None:
    newest = NewestFilter()
    assert [newest.accepts(stamp) for stamp in (10, 12, 11, 14, 13, 14, 16)] == [True, True, False, True, False, True, True]
    assert (newest.reordered, newest.repeated, newest.backward) == (2, 1, 0)
    assert [newest.accepts(stamp) for stamp in (1, 2, 3, 4, 5)] == [False, False, False, True, True]
    assert newest.accepts(5 + MAX_BACK_NS)
    assert newest.accepts(4)  # at once
    assert newest.backward == 2


MS = 1_000_000


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(-50, 300)), min_size=1, max_size=60))
def test_simulated_time_never_goes_back(steps: list[tuple[int, int]]) -> None:
    """Whatever `/clock` does: stand still, leap, go back, come late."""
    clock, steady, time_ns = SimulatedClock(0.3, 0), 0, 1_000 * MS
    before = clock.now_ns(steady)
    for wall, step in steps:
        steady += wall * MS
        assert clock.now_ns(steady) >= before
        before = clock.now_ns(steady)
        time_ns = max(1, time_ns + step * MS)
        clock.update(time_ns, steady)
        assert clock.now_ns(steady) >= before
        before = clock.now_ns(steady)


def test_simulated_time_follows_the_clock_and_outlives_it() -> None:
    clock = SimulatedClock(0.3, 0)
    assert clock.dead(0)
    assert clock.now_ns(50 * MS) == 50 * MS  # before the first clock, the steady one
    clock.update(7_000 * MS, 50 * MS)
    clock.update(7_010 * MS, 100 * MS)
    assert clock.now_ns(100 * MS) == 60 * MS  # ten of the simulator's milliseconds
    assert clock.now_ns(400 * MS) == 60 * MS
    assert clock.dead(401 * MS)
    assert clock.now_ns(420 * MS) == 80 * MS
    clock.update(7_020 * MS, 420 * MS)
    assert not clock.dead(420 * MS)
    clock.update(7_030 * MS, 421 * MS)
    assert clock.now_ns(421 * MS) == 90 * MS
    clock.update(1 * MS, 422 * MS)
    assert (clock.now_ns(422 * MS), clock.jumps_back) == (90 * MS, 1)


@pytest.mark.parametrize("interface", ["trajectory", "forward"])
def test_a_position_robot_holds_the_pose_measured_when_damping_began(interface: str) -> None:
    encode = CommandEncoder(SPEC, interface, NAMES)
    decode = CommandDecoder(NAMES, interface, np.ones(12), np.ones(12))
    damp = damping(np.ones(12))
    assert encode(damp, POSE) is None  # nothing was ever asked of this robot
    encode(command(), POSE)
    for measured in (POSE - 0.05, POSE + 0.3, np.full(12, np.nan)):
        np.testing.assert_allclose(decode(encode(damp, measured)).position, POSE - 0.05)
    encode(command(), POSE)
    np.testing.assert_allclose(decode(encode(damp, np.full(12, np.nan))).position, command().position)


def test_forward_needs_an_order_and_the_right_joints() -> None:
    with pytest.raises(JointError, match="--joint-order"):
        CommandEncoder(SPEC, "forward")
    with pytest.raises(JointError, match="missing"):
        CommandEncoder(SPEC, "forward", ORDER[:-1])


def test_a_robot_refuses_commands_that_are_not_finite_or_not_its_own() -> None:
    message = CommandEncoder(SPEC, "impedance")(command(), POSE)
    message.data[7] = float("nan")
    with pytest.raises(JointError, match="finite"):
        CommandDecoder(NAMES, "impedance", POSE, POSE)(message)
    message.layout.dim[0].label = "a,b"
    with pytest.raises(JointError, match="joint set"):
        CommandDecoder(NAMES, "impedance", POSE, POSE)(message)


def test_sensors_by_name_and_the_quaternion_in_the_right_order() -> None:
    from bridge.simulated.physics import Sample

    quat, gyro = np.array([0.5, 0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0])
    sample = Sample(np.arange(12.0), np.arange(12.0) + 20, np.arange(12.0) + 40, quat, gyro, 1)
    joints, imu = encode_sensors(sample, ORDER, 3_000_000_005, "imu")
    assert (imu.orientation.x, imu.orientation.w) == (0.1, 0.5)
    assert (joints.header.stamp.sec, joints.header.stamp.nanosec) == (3, 5)
    for got, want in zip(decode_imu(imu), (quat, gyro), strict=True):
        np.testing.assert_array_equal(got, want)
    decode = JointStateDecoder(NAMES)
    position, velocity, effort = decode(joints)
    assert position.tolist() == [ORDER.index(name) for name in NAMES]
    assert velocity.tolist() == [ORDER.index(name) + 20 for name in NAMES]
    assert effort.tolist() == [ORDER.index(name) + 40 for name in NAMES]
    joints.effort = []
    assert np.isnan(decode(joints)[2]).all()
    joints.velocity = []
    with pytest.raises(JointError, match="velocity has 0 values"):
        decode(joints)
