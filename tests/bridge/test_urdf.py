"""An IMU's mounting from the URDF, and a battery on a topic: pure, and by real nodes on loopback."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.transports.ros2.mounting import Mounting
from bridge.transports.ros2.urdf import UrdfError, angles, matrix, mounting, read_urdf

ROBOT = """<?xml version="1.0"?>
<robot name="dog">
  <link name="base_link"/><link name="trunk"/><link name="plate"/><link name="imu_link"/>
  <link name="back_imu"/><link name="leg"/><link name="leg_imu"/>
  <joint name="floating_base" type="fixed"><parent link="base_link"/><child link="trunk"/></joint>
  <joint name="to_plate" type="fixed"><parent link="trunk"/><child link="plate"/>
    <origin xyz="0 0 0.1" rpy="0 0 1.5707963267948966"/></joint>
  <joint name="to_imu" type="fixed"><parent link="plate"/><child link="imu_link"/><origin rpy="3.141592653589793 0 0"/></joint>
  <joint name="to_back" type="fixed"><parent link="trunk"/><child link="back_imu"/><origin xyz="1 2 3"/></joint>
  <joint name="hip" type="revolute"><parent link="trunk"/><child link="leg"/><axis xyz="1 0 0"/></joint>
  <joint name="on_leg" type="fixed"><parent link="leg"/><child link="leg_imu"/></joint>
</robot>
"""


def test_a_frame_is_turned_by_all_the_joints_on_its_way_to_the_base() -> None:
    found = mounting(ROBOT, "imu_link", "robot.urdf")
    assert found is not None
    np.testing.assert_allclose(found, [[0, 1, 0], [1, 0, 0], [0, 0, -1]], atol=1e-12)  # its x is the base's y, its z points down
    np.testing.assert_array_equal(mounting(ROBOT, "/r1/back_imu", "robot.urdf"), np.eye(3))  # type: ignore[arg-type]
    assert mounting(ROBOT, "camera_imu", "robot.urdf") is None


def test_angles_are_those_that_a_rotation_was_made_of() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        given = random.uniform(-math.pi, math.pi, 3)
        turn = matrix(*given)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(matrix(*angles(turn)), turn, atol=1e-12)
    for pitch in (-math.pi / 2, math.pi / 2):
        np.testing.assert_allclose(matrix(*angles(matrix(0.3, pitch, 0.5))), matrix(0.3, pitch, 0.5), atol=1e-7)


@pytest.mark.parametrize(
    ("text", "frame", "words"),
    [
        (ROBOT, "leg_imu", "moves against the base by the joint hip"),
        ("<robot", "imu", "is no URDF"),
        ("<mujoco/>", "imu", "its root is <mujoco>"),
        (ROBOT.replace("3.141592653589793 0 0", "${pi} 0 0"), "imu_link", "three finite angles"),
        (
            ROBOT.replace('<parent link="trunk"/><child link="plate"/>', '<parent link="imu_link"/><child link="plate"/>'),
            "imu_link",
            "circle",
        ),
    ],
)
def test_a_urdf_that_does_not_tell_says_why(text: str, frame: str, words: str) -> None:
    with pytest.raises(UrdfError, match=words):
        mounting(text, frame, "robot.urdf")


def test_a_file_that_is_no_urdf_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UrdfError, match="--urdf"):
        read_urdf(tmp_path / "none.urdf")
    (tmp_path / "robot.urdf").write_text(ROBOT)
    assert read_urdf(tmp_path / "robot.urdf") == ROBOT


def test_a_named_urdf_turns_what_comes_in_its_frame() -> None:
    told = Mounting("imu", None, ROBOT)
    told.look("imu_link")
    assert told.fault == ""
    assert "turned by 3.1416 0 1.5708" in told.said
    np.testing.assert_allclose(told.vector(np.array([1.0, 0.0, 0.0])), [0.0, 1.0, 0.0], atol=1e-9)
    typed = Mounting("imu", (math.pi, 0.0, math.pi / 2))
    quat = np.array([0.5, 0.5, -0.5, 0.5])
    np.testing.assert_allclose(np.abs(told.quat(quat) @ typed.quat(quat)), 1.0, atol=1e-9)
    told.look("back_imu")  # another one, whose axes are the base's
    np.testing.assert_array_equal(told.vector(np.array([1.0, 2.0, 3.0])), [1.0, 2.0, 3.0])
    told.look("leg_imu")
    assert "moves against the base" in told.fault
    told.look("camera_imu_optical_frame")
    assert "--urdf FILE" in told.fault
    told.look("imu_link")
    assert told.fault == ""


def test_what_a_person_typed_goes_before_any_urdf() -> None:
    typed = Mounting("imu", (0.0, 0.0, 0.0), ROBOT)
    typed.look("imu_link")
    assert (typed.fault, typed.said) == ("", "")
    np.testing.assert_array_equal(typed.vector(np.array([1.0, 2.0, 3.0])), [1.0, 2.0, 3.0])


def test_a_urdf_of_the_graph_decides_for_new_names_and_asks_for_usual_ones() -> None:
    heard = Mounting("imu", None)
    heard.look("imu_link")
    assert heard.fault == ""  # by its name
    heard.describe(ROBOT, "/robot_description")
    heard.look("imu_link")  # whose drivers may or may not turn it
    assert "--imu-rotation 3.1416 0 1.5708, or --imu-rotation 0 0 0" in heard.fault
    heard.describe(ROBOT.replace("imu_link", "mounted_turned"), "/robot_description")
    heard.look("mounted_turned")
    assert heard.fault == ""
    assert "/robot_description" in heard.said
    named = Mounting("imu", None, ROBOT.replace("3.141592653589793", "0"))
    named.describe(ROBOT, "/robot_description")
    named.look("imu_link")
    assert "--urdf" in named.said


@pytest.mark.ros
class TestOnTheGraph:
    """With real nodes."""

    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        pytest.importorskip("rclpy")
        from tests.bridge_helpers import ros_environment
        from tests.make_policy import make_policy

        monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment()["ROS_DOMAIN_ID"])
        monkeypatch.setattr("bridge.transports.ros2.transport.DISCOVERY_NS", 0)  # nobody else is on this domain
        return make_policy(tmp_path / "stand.onnx", kind="stand")

    def test_a_latched_robot_description_tells_how_the_imu_is_mounted(self, path: Path) -> None:
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from std_msgs.msg import String

        from bridge.control.safety import Event
        from tests.ros2_stage import Stage, stranger

        class Turned:
            """An IMU upside down, in its own axes."""

            def __init__(self, publisher: Any) -> None:
                self._publisher = publisher

            def publish(self, message: Any) -> None:
                message.header.frame_id = "mounted_upside_down"
                message.orientation.w, message.orientation.x = 0.0, 1.0
                self._publisher.publish(message)

        with stranger("robot_state_publisher") as tells, Stage(path) as stage:
            stage.imu = Turned(stage.imu)
            stage.until(lambda: "mounted_upside_down" in str(stage.controller.refusal(Event.STAND)))
            latched = tells.create_publisher(String, "robot_description", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
            text = ROBOT.replace('rpy="0 0 1.5707963267948966"', "").replace("imu_link", "mounted_upside_down")
            latched.publish(String(data=text))
            stage.ready()
            assert any("mounted_upside_down is turned by 3.1416 0 0" in line for line in stage.controller.remarks)
            np.testing.assert_allclose(np.abs(stage.controller.inputs.reading.imu_quat_wxyz), [1, 0, 0, 0], atol=1e-9)  # type: ignore[union-attr]

    def test_a_battery_is_heard_and_a_low_one_is_remarked(self, path: Path) -> None:
        from sensor_msgs.msg import BatteryState

        from tests.ros2_stage import Stage, stranger

        with stranger("battery") as tells, Stage(path) as stage:
            publisher = tells.create_publisher(BatteryState, "battery_state", 1)
            for percentage, charge in ((0.8, 0.8), (15.0, 0.15), (math.nan, None), (0.1, 0.1)):

                def heard(percentage: float = percentage, charge: float | None = charge) -> bool:
                    publisher.publish(BatteryState(percentage=percentage, present=True))
                    told = stage.controller.inputs.battery
                    return told is None if charge is None else told is not None and abs(told - charge) < 1e-6

                stage.until(heard)
            stage.until(lambda: "the battery is below 20%" in stage.controller.remarks)
