"""Every command interface carries a command to a robot whose joints stand in another order; a position robot holds where it cannot damp."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from bridge.command import JointCommand, damping
from bridge.joints import JointError
from bridge.transports.ros2_messages import INTERFACES, CommandDecoder, CommandEncoder, JointStateDecoder, decode_imu, encode_sensors
from tests.make_policy import go1_spec

SPEC = go1_spec()
NAMES = SPEC.robot.joint_names
ORDER = tuple(NAMES[i] for i in np.random.default_rng(5).permutation(12))
POSE = np.array(SPEC.robot.default_pose)


def command() -> JointCommand:
    return JointCommand(POSE + 0.1, *(np.arange(12.0) + offset for offset in (1, 2, 3, 4)))


@pytest.mark.parametrize("interface", INTERFACES)
def test_commands_arrive_by_name(interface: str) -> None:
    encode = CommandEncoder(SPEC, interface, ORDER if interface == "forward" else None)
    gains = np.ones(12), np.ones(12)
    got = CommandDecoder(ORDER, interface, *gains)(encode(command(), POSE))
    index = [NAMES.index(name) for name in ORDER]
    np.testing.assert_array_equal(got.position, command().position[index])
    if interface == "impedance":
        np.testing.assert_array_equal(got.kp, command().kp[index])
        np.testing.assert_array_equal(got.kd, command().kd[index])


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
    from bridge.physics_robot import Sample

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
