"""An IMU that is mounted turned, and joint states that come in parts: pure, without a graph."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bridge.control.joints import JointError
from bridge.transports.ros2.mounting import Mounting, plain
from bridge.transports.ros2.options import Ros2OptionError
from bridge.transports.ros2.parts import Parts

MS = 1_000_000


@pytest.mark.parametrize("frame", ["imu", "imu_link", "/robot/imu_frame", "base_link", "pelvis", "trunk", ""])
def test_the_contracts_frame_and_bases_pass(frame: str) -> None:
    mounting = Mounting("imu", None)
    mounting.look(frame)
    assert mounting.fault == ""


def test_another_frame_is_refused_with_what_to_type_and_comes_right_again() -> None:
    mounting = Mounting("imu", None)
    mounting.look("camera_imu_optical_frame")
    assert "camera_imu_optical_frame" in mounting.fault
    assert "--imu-rotation" in mounting.fault
    mounting.look("imu")
    assert mounting.fault == ""
    told = Mounting("imu", (0.0, 0.0, 0.0))
    told.look("camera_imu_optical_frame")
    assert told.fault == ""
    assert plain("r1/IMU_link") == "imu"


def rotation(quat: Any) -> Any:
    w, x, y, z = quat
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_attitude_and_vectors_are_turned_to_the_bases_axes() -> None:
    """Against rotation matrices: R_base = R_imu R(rpy)^T, v_base = R(rpy) v_imu, R(rpy) = Rz Ry Rx as in a URDF."""
    random = np.random.default_rng(0)
    for _ in range(20):
        r, p, y = random.uniform(-math.pi, math.pi, 3)
        rx = np.array([[1, 0, 0], [0, math.cos(r), -math.sin(r)], [0, math.sin(r), math.cos(r)]])
        ry = np.array([[math.cos(p), 0, math.sin(p)], [0, 1, 0], [-math.sin(p), 0, math.cos(p)]])
        rz = np.array([[math.cos(y), -math.sin(y), 0], [math.sin(y), math.cos(y), 0], [0, 0, 1]])
        mounting, mounted = Mounting("imu", (r, p, y)), rz @ ry @ rx
        quat = random.standard_normal(4)
        quat /= np.linalg.norm(quat)
        np.testing.assert_allclose(rotation(mounting.quat(quat)), rotation(quat) @ mounted.T, atol=1e-12)
        vector = random.standard_normal(3)
        np.testing.assert_allclose(mounting.vector(vector), mounted @ vector, atol=1e-12)


@pytest.mark.parametrize("given", [(0.0,), (0.0, 0.0, math.nan), (1.0, 2.0, 3.0, 4.0), ("x", "0", "0")])
def test_a_rotation_has_three_finite_numbers(given: tuple[Any, ...]) -> None:
    with pytest.raises(Ros2OptionError, match="three finite"):
        Mounting("imu", given)


def message(**joints: float) -> Any:
    names = list(joints)
    return SimpleNamespace(name=names, position=[joints[name] for name in names], velocity=[0.1] * len(names), effort=[])


class Robot:
    """Parts with a clock that the test sets [ms]."""

    def __init__(self, extra: tuple[str, ...] = ()) -> None:
        self.now = 1000
        self.parts = Parts(("a", "b", "c"), extra, lambda: self.now * MS)

    def send(self, stamp: int, **joints: float) -> Any:
        given = message(**joints)
        key = self.parts.key(given)
        assert key is not None
        return self.parts.take(key, given, stamp * MS) if self.parts.accepts(key, stamp * MS) else None


def test_parts_are_put_together_by_name_and_as_old_as_the_oldest() -> None:
    robot = Robot(extra=("grip",))
    assert robot.send(10, c=3.0, grip=9.0) is None
    robot.now += 3
    position, velocity, effort, stamp, received = robot.send(13, b=2.0, a=1.0)
    np.testing.assert_array_equal(position, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(velocity, [0.1] * 3)
    assert np.isnan(effort).all()
    assert (stamp, received) == (10 * MS, 1000 * MS)
    robot.now += 17
    assert robot.send(30, a=1.1, b=2.1) is None  # the oldest part has not moved on
    assert robot.parts.count == 2
    assert "that of c is 20 ms old" in robot.parts.silent
    position, *_, stamp, received = robot.send(31, c=3.1)
    np.testing.assert_array_equal(position, [1.1, 2.1, 3.1])
    assert (stamp, received) == (30 * MS, 1020 * MS)


def test_parts_that_overlap_or_never_make_a_whole_are_refused_by_name() -> None:
    robot = Robot()
    robot.send(10, a=1.0)
    with pytest.raises(JointError, match="a in two of them"):
        robot.send(11, a=1.0, b=1.0)
    robot = Robot()
    robot.send(10, a=1.0)
    robot.now += 600
    with pytest.raises(JointError, match=r"missing \['b', 'c'\]"):
        robot.send(610, a=1.0)


def test_a_joint_that_is_missing_from_a_whole_robot_is_no_part() -> None:
    robot = Robot()
    assert robot.parts.key(message(a=1.0, b=1.0, c=1.0)) is None
    assert robot.parts.key(message(a=1.0, b=1.0)) is None  # judged as a whole, and refused as such
    assert robot.parts.key(message(a=1.0, x=1.0)) is None


def test_an_overtaken_part_is_no_news_and_another_parts_stamp_is_none_of_its() -> None:
    robot = Robot()
    robot.send(10, a=1.0)
    assert robot.send(4, b=2.0, c=3.0) is not None
    robot.now += 20
    robot.send(30, a=1.5)
    assert robot.send(29, a=9.0) is None
    position, *_ = robot.send(24, b=2.0, c=3.0)
    assert position[0] == 1.5
