"""Two nodes of one name, inputs that do not come, an IMU of another frame, joint states in parts: by real nodes on loopback."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from bridge.control.safety import Event, Mode
from bridge.transports.ros2.transport import Ros2Options
from tests.bridge_helpers import ros_environment
from tests.make_policy import make_policy
from tests.ros2_stage import RELIABLE, Stage, stranger

pytestmark = pytest.mark.ros


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment()["ROS_DOMAIN_ID"])
    monkeypatch.setattr("bridge.transports.ros2.transport.DISCOVERY_NS", 0)  # nobody else is on this domain
    return make_policy(tmp_path / "stand.onnx", kind="stand")


def refusal(stage: Stage, event: Event = Event.STAND) -> str:
    return stage.controller.refusal(event) or ""


def within(stage: Stage, seconds: float, said: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not said() and time.monotonic() < end:
        stage.tick()
    assert said(), (refusal(stage), stage.transport._watch.said, stage.events[-3:])


def test_a_node_that_finds_its_own_name_neither_stands_nor_starts_and_says_which(path: Path) -> None:
    with Stage(path) as stage:
        stage.ready()
        with stranger("policy") as twin:
            twin.create_publisher(String, "policy/state", RELIABLE)
            within(stage, 60, lambda: "another node of the name /policy" in refusal(stage))
            assert refusal(stage).startswith("second_publisher")
            for event in ("stand", "start"):
                accepted, reason = stage.call(event)
                assert not accepted
                assert "another node of the name /policy" in reason
            for event in ("stop", "estop"):  # whichever answer comes first must not deny what the other does
                assert stage.call(event)[0]
        within(stage, 30, lambda: "another node" not in refusal(stage))


def test_another_publisher_of_its_state_is_named(path: Path) -> None:
    with Stage(path) as stage:
        stage.ready()
        with stranger("recorder") as other:
            other.create_publisher(String, "policy/state", RELIABLE)
            within(stage, 60, lambda: "/recorder publishes /policy/state too" in refusal(stage))


def test_a_node_of_the_same_name_that_publishes_nothing_is_found_too(path: Path) -> None:
    with Stage(path) as stage:
        stage.ready()
        with stranger("policy"):
            within(stage, 60, lambda: "another node of the name /policy" in refusal(stage))
        within(stage, 30, lambda: "another node" not in refusal(stage))
    with Stage(path) as stage:  # one that has left counts no more
        stage.ready()


def test_who_answers_in_its_place_is_named(path: Path) -> None:
    with Stage(path) as stage:
        stage.ready()
        with stranger("proxy") as other:
            other.create_service(Trigger, "/policy/start", lambda request, response: response)
            within(stage, 60, lambda: "/proxy answers /policy/start too" in refusal(stage))


def test_the_same_name_in_another_namespace_is_another_node(path: Path) -> None:
    with Stage(path) as stage:
        stage.ready()
        with stranger("policy", "r2") as other:
            other.create_publisher(String, "policy/state", RELIABLE)
            other.create_service(Trigger, "policy/start", lambda request, response: response)
            within(stage, 60, lambda: "/r2/policy" in str(stage.transport._node.get_fully_qualified_node_names()))
            stage.tick(40)
            assert stage.transport._twins == ""


def test_a_robot_that_is_driven_goes_on_when_a_twin_comes(path: Path) -> None:
    with Stage(path) as stage:
        stage.reach_policy()
        with stranger("policy") as twin:
            twin.create_publisher(String, "policy/state", RELIABLE)
            within(stage, 60, lambda: any("another node of the name" in remark for remark in stage.controller.remarks))
            assert stage.controller.mode is Mode.POLICY


def test_two_whole_nodes_refuse_both(path: Path) -> None:
    with Stage(path) as first, Stage(path) as second:
        second.sensing = False  # one robot
        end = time.monotonic() + 60
        while not ("another node" in refusal(first) and "another node" in refusal(second)) and time.monotonic() < end:
            first.tick()
            second.tick()
        assert "another node of the name /policy" in refusal(first)
        assert "another node of the name /policy" in refusal(second)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.transports.ros2.transport.PATIENCE_NS", 1_500_000_000)


def test_who_waits_is_told_of_every_input(path: Path, impatient: None) -> None:
    with Stage(path) as stage, stranger("driver") as driver:
        stage.operator.destroy_publisher(stage.imu)
        stage.imu = type("Nobody", (), {"publish": lambda self, message: None})()
        driver.create_publisher(Imu, "robot/imu", 1)
        within(stage, 60, lambda: "/joint_states arrives at" in refusal(stage) and "-r imu:=/robot/imu" in refusal(stage))
        within(
            stage, 60, lambda: any("/joint_states arrives at" in str(event.get("cause")) for event in stage.events)
        )  # without being asked
        accepted, reason = stage.call("stand")
        assert not accepted
        assert "arrives at" in reason


def test_simulated_time_without_a_clock_is_told_beside_what_arrives(path: Path, impatient: None) -> None:
    with Stage(path, Ros2Options(ros_args=("--ros-args", "-p", "use_sim_time:=true"))) as stage:
        within(stage, 60, lambda: "use_sim_time is true" in refusal(stage))
        within(stage, 60, lambda: "nobody publishes /clock" in refusal(stage))
        within(stage, 60, lambda: "/imu arrives at" in refusal(stage))


def test_a_publisher_that_is_silent_is_told_as_one(path: Path, impatient: None) -> None:
    with Stage(path) as stage:
        stage.sensing = False
        within(stage, 60, lambda: "/imu has 1 publisher of sensor_msgs/msg/Imu, and nothing arrives" in refusal(stage))


class Altered:
    """A publisher that changes what it is given."""

    def __init__(self, publisher: Any, change: Callable[[Any], Any]) -> None:
        self._publisher, self._change = publisher, change

    def publish(self, message: Any) -> None:
        self._change(message)
        self._publisher.publish(message)


def test_an_imu_of_another_frame_is_refused_before_the_robot_stands(path: Path) -> None:
    def elsewhere(message: Any) -> None:
        message.header.frame_id = "imu_turned_mount"

    with Stage(path) as stage:
        stage.imu = Altered(stage.imu, elsewhere)
        within(stage, 60, lambda: "imu_turned_mount" in refusal(stage))
        assert "--imu-rotation" in refusal(stage)
        stage.imu = stage.imu._publisher
        stage.ready()
    with Stage(path, Ros2Options(imu_rotation=("0", "0", "0"))) as stage:
        stage.imu = Altered(stage.imu, elsewhere)
        stage.ready()


class InParts:
    """A robot whose joint states come from two controllers."""

    def __init__(self, first: Any, second: Any, parts: tuple[slice, ...]) -> None:
        self._publishers, self._parts = (first, second), parts
        self.sends = [True, True]

    def publish(self, message: Any) -> None:
        for publisher, part, sends in zip(self._publishers, self._parts, self.sends, strict=True):
            if sends:
                one = JointState(name=message.name[part], position=message.position[part], velocity=message.velocity[part])
                one.header = message.header
                publisher.publish(one)


def test_joint_states_in_parts_make_a_robot_and_one_that_falls_silent_damps_it(path: Path) -> None:
    with Stage(path) as stage, stranger("legs") as legs:
        publisher = legs.create_publisher(JointState, "joint_states", RELIABLE)
        stage.joints = parts = InParts(stage.joints, publisher, (slice(0, 5), slice(5, 12)))
        stage.reach_policy()
        assert stage.controller.inputs.rivals == 0
        parts.sends[1] = False
        within(stage, 60, lambda: stage.controller.mode is Mode.DAMPING)
        assert "stale_sensor" in stage.controller.cause or "sensor_stamps" in stage.controller.cause


def test_parts_that_lack_a_joint_are_refused_by_its_name(path: Path) -> None:
    with Stage(path) as stage, stranger("legs") as legs:
        publisher = legs.create_publisher(JointState, "joint_states", RELIABLE)
        stage.joints = InParts(stage.joints, publisher, (slice(0, 5), slice(6, 12)))
        lacks = stage.spec.robot.joint_names[5]
        within(stage, 60, lambda: f"missing ['{lacks}']" in refusal(stage))


def test_a_second_sender_of_one_part_is_found_though_there_are_as_many_publishers_as_parts(path: Path) -> None:
    class Driver(InParts):
        """Both parts by one publisher; a second one repeats the last part, a little off."""

        rogue: Any = None

        def publish(self, message: Any) -> None:
            super().publish(message)
            if self.rogue is not None:
                part = self._parts[1]
                one = JointState(
                    name=message.name[part], position=[q + 0.01 for q in message.position[part]], velocity=message.velocity[part]
                )
                one.header = message.header
                self.rogue.publish(one)

    with Stage(path) as stage, stranger("rogue") as rogue:
        stage.joints = driver = Driver(stage.joints, stage.joints, (slice(0, 5), slice(5, 12)))
        stage.ready()
        driver.rogue = rogue.create_publisher(JointState, "joint_states", RELIABLE)
        within(stage, 60, lambda: "come from two senders" in refusal(stage))


def test_parts_that_overlap_are_told_so(path: Path) -> None:
    with Stage(path) as stage, stranger("legs") as legs:
        publisher = legs.create_publisher(JointState, "joint_states", RELIABLE)
        stage.joints = InParts(stage.joints, publisher, (slice(0, 7), slice(5, 12)))
        shared = stage.spec.robot.joint_names[5]
        within(stage, 60, lambda: f"{shared}" in refusal(stage) and "in two of them" in refusal(stage))
        for _ in range(40):  # and not of joints that are missing, now and then
            stage.tick()
            assert "missing" not in refusal(stage)


def test_an_imu_upside_down_and_a_quaternion_in_another_order_are_refused_with_the_cause(path: Path) -> None:
    def upside_down(message: Any) -> None:
        o = message.orientation
        o.w, o.x = 0.0, 1.0

    def another_order(message: Any) -> None:
        o = message.orientation
        o.x, o.y, o.z, o.w = o.w, o.x, o.y, o.z

    with Stage(path) as stage:
        for change in (upside_down, another_order):
            publisher = stage.imu
            stage.imu = Altered(publisher, change)
            within(stage, 60, lambda: "tilt" in refusal(stage) and "x, y, z, w in ROS" in refusal(stage))
            stage.imu = publisher
            stage.ready()
