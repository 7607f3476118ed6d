"""What messages say is not there is refused by name where the robot needs it, before it stands, and damps it where it was there before."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import Imu, JointState

from bridge.control.safety import Event, Mode
from bridge.control.ticks import get_reading, put_reading, tick_dtype
from bridge.transports.ros2.absent import NotAvailableError
from bridge.transports.ros2.messages import JointStateDecoder, decode_imu
from policies.contract.spec import ObservationGroup
from tests.bridge_helpers import good_reading, ros_environment
from tests.make_policy import go1_spec, make_policy
from tests.ros2_stage import Stage

pytestmark = pytest.mark.ros
UNKNOWN = [-1.0, *[0.0] * 8]


def imu(**fields: Any) -> Imu:
    message = Imu()
    message.orientation.x, message.orientation.w = math.sin(0.1), math.cos(0.1)
    message.angular_velocity.z = 0.5
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def zero_quaternion(message: Imu) -> None:
    message.orientation.x = message.orientation.w = 0.0


def test_an_imu_that_knows_all_is_read() -> None:
    for message in (imu(), imu(orientation_covariance=[0.01, 0.0, 0.0, 0.0, 0.01, 0.0, 0.0, 0.0, 1e6])):  # without a compass
        quat, turn = decode_imu(message)
        np.testing.assert_allclose(quat, [math.cos(0.1), math.sin(0.1), 0, 0])
        assert turn is not None
        assert turn.tolist() == [0, 0, 0.5]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"orientation_covariance": UNKNOWN}, "no orientation .*covariance.0. is -1"),
        ({"orientation_covariance": [99999.0, 0.0, 0.0, 0.0, 99999.0, 0.0, 0.0, 0.0, 99999.0]}, "no orientation .*variance is 1e"),
        ({"angular_velocity_covariance": UNKNOWN}, "no angular velocity .*covariance.0. is -1"),
        ({"angular_velocity_covariance": [*[0.0] * 8, 1e9]}, "no angular velocity .*variance is 1e"),
    ],
)
def test_an_imu_that_lacks_something_is_refused_by_name(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(NotAvailableError, match=said):
        decode_imu(imu(**fields))


def test_a_gyro_that_nobody_needs_may_be_absent() -> None:
    quat, turn = decode_imu(imu(angular_velocity_covariance=UNKNOWN), needs_turn=False)
    assert quat.any()
    assert turn is None


def test_accelerations_are_not_needed() -> None:
    decode_imu(imu(linear_acceleration_covariance=UNKNOWN))


@pytest.mark.parametrize("field", ["name", "position", "velocity"])
def test_an_empty_array_is_refused_by_name(field: str) -> None:
    message = JointState(name=["a", "b"], position=[0.0, 1.0], velocity=[0.0, 0.0])
    setattr(message, field, [])
    with pytest.raises(NotAvailableError, match=field):
        JointStateDecoder(["a", "b"])(message)


def test_an_absent_effort_is_none_of_the_robots_needs() -> None:
    for effort in ([], [math.nan, math.nan]):
        message = JointState(name=["a", "b"], position=[0.0, 1.0], velocity=[0.0, 0.0], effort=effort)
        assert np.isnan(JointStateDecoder(["a", "b"])(message)[2]).all()


def test_a_reading_without_a_gyro_goes_through_the_log() -> None:
    spec = go1_spec()
    reading = dataclasses.replace(good_reading(spec, 5), imu_angular_velocity_b=None)
    row = np.zeros(1, tick_dtype(spec))[0]
    row["flags"] = put_reading(row, reading)
    back = get_reading(row)
    assert back is not None
    assert back.imu_angular_velocity_b is None
    assert back.imu_quat_wxyz is not None
    assert back.imu_quat_wxyz.tolist() == [1, 0, 0, 0]


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment()["ROS_DOMAIN_ID"])
    monkeypatch.setattr("bridge.transports.ros2.transport.DISCOVERY_NS", 0)  # nobody else is on this domain


def altered(stage: Stage, which: str, change: Callable[[Any], None]) -> None:
    """From now on the robot's messages are changed before they are sent."""
    publisher = getattr(stage, which)

    class Altered:
        def publish(self, message: Any) -> None:
            change(message)
            publisher.publish(message)

    setattr(stage, which, Altered())


CHANGES: list[tuple[str, Callable[[Any], None], str]] = [
    ("imu", lambda m: setattr(m, "orientation_covariance", UNKNOWN), "stale_sensor: .*/imu: the IMU has no orientation .*covariance"),
    ("imu", lambda m: setattr(m, "angular_velocity_covariance", UNKNOWN), "stale_sensor: .*/imu: the IMU has no angular velocity"),
    ("imu", zero_quaternion, "stale_sensor: .*/imu: the IMU has no orientation .*quaternion is .0, 0, 0, 0."),
    ("imu", lambda m: setattr(m.orientation, "w", math.nan), "finite_sensor: IMU attitude is not finite"),
    ("imu", lambda m: setattr(m.orientation, "w", 2.0), "finite_sensor: IMU attitude is not a unit quaternion, its length is 2"),
    ("imu", lambda m: setattr(m.angular_velocity, "x", math.nan), "finite_sensor: IMU angular velocity is not finite"),
    ("imu", lambda m: setattr(m.header, "stamp", type(m.header.stamp)()), "stale_sensor: .*/imu: header.stamp is 0"),
    ("joints", lambda m: setattr(m.header, "stamp", type(m.header.stamp)()), "stale_sensor: .*/joint_states: header.stamp is 0"),
    ("joints", lambda m: setattr(m, "velocity", []), "stale_sensor: .*/joint_states: velocity has 0 values for 12 joints"),
    ("joints", lambda m: setattr(m, "position", []), "stale_sensor: .*/joint_states: position has 0 values"),
    ("joints", lambda m: setattr(m, "name", []), "stale_sensor: .*/joint_states: JointState.name is empty"),
    ("joints", lambda m: setattr(m, "velocity", [math.nan] * 12), "finite_sensor: joint velocity is not finite"),
    ("joints", lambda m: setattr(m, "velocity", [0.0] * 5), "joint_set: /joint_states: JointError: velocity has 5 values for 12"),
]


@pytest.mark.parametrize(("which", "change", "said"), CHANGES)
def test_it_is_refused_before_the_robot_stands(domain: None, tmp_path: Path, which: str, change: Callable[[Any], None], said: str) -> None:
    with Stage(make_policy(tmp_path / "linear.onnx")) as stage:
        altered(stage, which, change)
        stage.tick(30)
        accepted, reason = stage.call("stand")
        assert not accepted
        assert re.search(said, reason), reason
        assert stage.controller.mode is Mode.DAMPING
        assert stage.transport._watch.said == []  # the guard says it


@pytest.mark.parametrize(("which", "change", "said"), [CHANGES[i] for i in (0, 1, 2, 7, 8)])
def test_a_robot_that_loses_it_is_damped(domain: None, tmp_path: Path, which: str, change: Callable[[Any], None], said: str) -> None:
    with Stage(make_policy(tmp_path / "stand.onnx", kind="stand"), limits={"sensor_timeout_s": 0.1}) as stage:
        stage.reach_policy()
        altered(stage, which, change)
        stage.until(lambda: stage.controller.mode is Mode.DAMPING, 3.0)
        assert re.search(said, stage.controller.cause), stage.controller.cause


def test_a_policy_without_a_gyro_runs_on_an_imu_without_one(domain: None, tmp_path: Path) -> None:
    spec = go1_spec()
    kept = tuple(term for term in spec.terms if term.name != "base_angular_velocity")
    spec = dataclasses.replace(spec, observation=(ObservationGroup(name="state", terms=kept),))
    with Stage(make_policy(tmp_path / "stand.onnx", spec=spec, kind="stand")) as stage:
        altered(stage, "imu", lambda message: setattr(message, "angular_velocity_covariance", UNKNOWN))
        stage.reach_policy()
        stage.tick(10)
        assert stage.controller.mode is Mode.POLICY
        assert any("no angular velocity; the policy needs none" in line for line in stage.transport._watch.said)
        assert stage.controller.refusal(Event.STOP) is None
