"""What does not fit on the ROS graph is named within seconds, by real nodes on loopback: types, QoS, names, clocks, second senders."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import PointStamped, Twist, TwistStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

from bridge.control.safety import Event, Mode
from bridge.transports.ros2.qos import MOST_LINES
from bridge.transports.ros2.transport import Ros2Options
from tests.bridge_helpers import ros_environment
from tests.make_policy import arm_spec, make_policy
from tests.ros2_stage import RELIABLE, Stage, stranger

pytestmark = pytest.mark.ros


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment()["ROS_DOMAIN_ID"])
    monkeypatch.setattr("bridge.transports.ros2.transport.DISCOVERY_NS", 0)  # nobody else is on this domain
    return make_policy(tmp_path / "stand.onnx", kind="stand")


def silent(stage: Stage, topic: str) -> None:
    """Let the robot say nothing on a topic."""
    which = "joints" if topic == "joint_states" else "imu"
    stage.operator.destroy_publisher(getattr(stage, which))
    setattr(stage, which, type("Nobody", (), {"publish": lambda self, message: None})())


def refusal(stage: Stage, event: Event = Event.STAND) -> str:
    return stage.controller.refusal(event) or ""


def within(stage: Stage, seconds: float, said: Callable[[], bool]) -> None:
    """Tick until something is said, at most so long."""
    end = time.monotonic() + seconds
    while not said() and time.monotonic() < end:
        stage.tick()
    assert said(), (refusal(stage), refusal(stage, Event.START), stage.transport._watch.said)


def test_a_topic_of_another_type_is_named(path: Path) -> None:
    with Stage(path) as stage, stranger("driver") as driver:
        silent(stage, "imu")
        driver.create_publisher(String, "imu", 1)
        within(stage, 4, lambda: "/imu: node /driver publishes std_msgs/msg/String" in refusal(stage))
        assert refusal(stage).startswith("stale_sensor: no sensor message yet: ")
        assert "sensor_msgs/msg/Imu" in refusal(stage)


@pytest.mark.parametrize("topic", ["joint_states", "imu"])
def test_a_topic_of_another_name_is_named_with_what_to_type(topic: str, path: Path) -> None:
    with Stage(path) as stage, stranger("driver") as driver:
        silent(stage, topic)
        driver.create_publisher(JointState if topic == "joint_states" else Imu, f"robot/{topic}", 1)
        within(stage, 4, lambda: f"-r {topic}:=/robot/{topic}" in refusal(stage))
        assert f"nobody publishes /{topic}" in refusal(stage)


def test_nobody_at_all_is_said_too(path: Path) -> None:
    with Stage(path) as stage:
        silent(stage, "joint_states")
        within(stage, 4, lambda: "nobody publishes /joint_states" in refusal(stage))


def test_simulated_time_without_a_clock_is_named(path: Path) -> None:
    with Stage(path, Ros2Options(ros_args=("--ros-args", "-p", "use_sim_time:=true"))) as stage:
        within(stage, 4, lambda: "nobody publishes /clock" in refusal(stage))


def test_a_driver_that_expects_another_command_is_named_before_the_robot_stands(path: Path) -> None:
    with Stage(path, Ros2Options(command_topic="controller")) as stage, stranger("controller_manager") as driver:
        destroy_listeners(stage)
        driver.create_subscription(JointTrajectory, "controller", lambda message: None, 1)
        within(stage, 4, lambda: "node /controller_manager expects trajectory_msgs/msg/JointTrajectory" in refusal(stage))


def test_a_driver_whose_qos_no_command_reaches_is_named_before_the_robot_stands(path: Path) -> None:
    with Stage(path) as stage, stranger("driver") as driver:
        destroy_listeners(stage)
        asks = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        driver.create_subscription(Float64MultiArray, "impedance_command", lambda message: None, asks)
        within(stage, 4, lambda: "DURABILITY" in refusal(stage))
        assert "/driver" in refusal(stage)
        assert not stage.commands


def destroy_listeners(stage: Stage) -> None:
    """The stage's own robot does not listen."""
    for subscription in list(stage.operator.subscriptions):
        if subscription.topic_name == stage.operator.resolve_topic_name(stage.options.topic):
            stage.operator.destroy_subscription(subscription)


def remarks(stage: Stage) -> str:
    return str(stage.loop.status()["remarks"])


def test_a_driver_that_expects_another_command_is_named_although_a_recorder_hears(path: Path) -> None:
    with Stage(path) as stage, stranger("driver") as driver:  # the stage's own subscription is the recorder's
        driver.create_subscription(JointTrajectory, "impedance_command", lambda message: None, 1)
        within(stage, 4, lambda: "node /driver expects trajectory_msgs/msg/JointTrajectory" in refusal(stage))
        assert refusal(stage).startswith("joint_set: ")
        assert not stage.call("stand")[0]
    with Stage(path) as stage, stranger("driver") as driver:
        subscription = driver.create_subscription(JointTrajectory, "impedance_command", lambda message: None, 1)
        within(stage, 4, lambda: "/driver" in refusal(stage))
        driver.destroy_subscription(subscription)
        within(stage, 4, lambda: refusal(stage) == "")  # nothing is latched


def test_a_recorder_of_another_type_stops_nobody_who_is_driven(path: Path) -> None:
    with Stage(path) as stage:
        stage.reach_policy()
        with stranger("recorder") as recorder:
            recorder.create_subscription(String, "impedance_command", lambda message: None, 1)
            within(stage, 4, lambda: "node /recorder expects std_msgs/msg/String" in remarks(stage))
            destroy_listeners(stage)
            stage.tick(40)
            assert stage.controller.mode is Mode.POLICY
            assert "/recorder" in remarks(stage)


def test_an_emergency_stop_of_another_type_is_named_before_the_robot_stands(path: Path) -> None:
    words = "/estop: node /pendant publishes std_msgs/msg/String"
    with Stage(path) as stage, stranger("other") as other:
        other.create_publisher(Bool, "estop", 1)  # one that fits makes the one that does not no better
        with stranger("pendant") as pendant:
            pendant.create_publisher(String, "estop", 1)
            within(stage, 4, lambda: words in refusal(stage))
            accepted, reason = stage.call("stand")
            assert not accepted
            assert words in reason
            stage.until(lambda: any("/pendant" in status.message for array in stage.diagnoses for status in array.status))
        within(stage, 15, lambda: refusal(stage) == "")  # gone from the graph, and from what diagnostics say
        stage.diagnoses.clear()
        stage.until(lambda: len(stage.diagnoses) > 1)
        sensors = next(status for status in stage.diagnoses[-1].status if status.name.endswith("sensors"))
        assert (sensors.level, sensors.message) == (sensors.OK, "as expected")


def test_an_emergency_stop_of_another_type_ends_nothing_that_is_driven(path: Path) -> None:
    with Stage(path) as stage:
        stage.reach_policy()
        with stranger("pendant") as pendant:
            pendant.create_publisher(String, "estop", 1)
            within(stage, 4, lambda: "/estop: node /pendant publishes std_msgs/msg/String" in remarks(stage))
            assert stage.controller.mode is Mode.POLICY


@pytest.mark.parametrize(
    ("topic", "kind"),
    [("robot/estop", Bool), ("e_stop", Bool), ("emergency_stop", Bool), ("pendant/EStop", String), ("safety/emergency", Bool)],
)
def test_an_emergency_stop_of_another_name_is_named_with_what_to_type(topic: str, kind: Any, path: Path) -> None:
    with Stage(path) as stage, stranger("pendant") as pendant:
        pendant.create_publisher(kind, topic, 1)
        within(stage, 4, lambda: f"nobody publishes /estop, but there is /{topic}: --ros-args -r estop:=/{topic}" in remarks(stage))
        assert refusal(stage) == ""
        assert len([event for event in stage.events if event["event"] == "remark"]) == 1
        assert stage.transport._watch.said == []  # once is enough


def test_without_an_emergency_stop_nothing_is_said(path: Path) -> None:
    with Stage(path) as stage, stranger("camera") as camera:
        camera.create_publisher(Bool, "recording", 1)
        stage.tick(100)
        assert remarks(stage) == "[]"


def test_a_goal_of_another_type_is_named(path: Path, tmp_path: Path) -> None:
    arm = make_policy(tmp_path / "arm.onnx", spec=arm_spec(), kind="stand")
    with Stage(arm, command=None) as stage, stranger("planner") as planner:
        planner.create_publisher(Twist, "goal", 1)
        within(stage, 4, lambda: "/goal: node /planner publishes geometry_msgs/msg/Twist" in str(stage.loop.status()["problems"]))


def velocity(kind: type, value: float, stamp_ns: int = 0) -> Any:
    message = kind()
    twist = message if kind is Twist else message.twist
    twist.linear.x = value
    if kind is TwistStamped:
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    return message


def commanded(stage: Stage, publisher: Any, message: Callable[[], Any], value: float, seconds: float = 5.0) -> None:
    """Publish until the node has heard it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        publisher.publish(message())
        stage.tick()
        if (command := stage.controller.inputs.command) is not None and command[0] == value:
            return
    pytest.fail(f"not heard: {stage.controller.inputs.command} {stage.transport._topics['cmd_vel']} {stage.loop.failure}")


def test_velocities_come_stamped_or_not_and_may_change_while_the_robot_walks(path: Path) -> None:
    with Stage(path, command=None) as stage:
        with stranger("nav2") as nav2:
            commanded(stage, nav2.create_publisher(TwistStamped, "cmd_vel", 1), lambda: velocity(TwistStamped, 0.5), 0.5)
        with stranger("teleop") as teleop:
            publisher = teleop.create_publisher(Twist, "cmd_vel", 1)
            commanded(stage, publisher, lambda: velocity(Twist, 0.25), 0.25, 15.0)  # once nav2 is gone from the graph
        with stranger("nav2") as nav2:
            commanded(stage, nav2.create_publisher(TwistStamped, "cmd_vel", 1), lambda: velocity(TwistStamped, 0.75), 0.75, 15.0)


def test_two_types_on_one_topic_are_named_with_their_senders(path: Path) -> None:
    with Stage(path, command=None) as stage, stranger("nav2") as nav2, stranger("teleop") as teleop:
        teleop.create_publisher(Twist, "cmd_vel", 1)
        nav2.create_publisher(TwistStamped, "cmd_vel", 1)
        within(
            stage,
            4,
            lambda: any("/nav2 sends geometry_msgs/msg/TwistStamped" in line and "/teleop" in line for line in stage.transport._watch.said),
        )


def test_who_speaks_is_heard_where_the_sender_of_the_other_type_is_silent(path: Path) -> None:
    with Stage(path, command=None) as stage, stranger("nav2") as nav2, stranger("teleop") as teleop:
        stamped, plain = nav2.create_publisher(TwistStamped, "cmd_vel", 1), teleop.create_publisher(Twist, "cmd_vel", 1)
        commanded(stage, stamped, lambda: velocity(TwistStamped, 0.5), 0.5, 15.0)
        commanded(stage, plain, lambda: velocity(Twist, 0.25), 0.25, 15.0)


def test_a_velocity_of_a_third_type_is_named_where_the_command_is_missed(path: Path) -> None:
    with Stage(path, command=None) as stage, stranger("planner") as planner:
        planner.create_publisher(PointStamped, "cmd_vel", 1)
        within(stage, 4, lambda: "/cmd_vel: node /planner publishes geometry_msgs/msg/PointStamped" in str(stage.loop.status()["problems"]))


def test_a_stamped_command_is_as_old_as_its_stamp(path: Path) -> None:
    with Stage(path, command=None) as stage, stranger("nav2") as nav2:
        publisher = nav2.create_publisher(TwistStamped, "cmd_vel", 1)

        def age_s(value: float, stamp: Callable[[], int]) -> float:
            commanded(stage, publisher, lambda: velocity(TwistStamped, value, stamp()), value)
            return (stage.controller.now_ns - stage.controller.inputs.command_ns) * 1e-9

        assert age_s(0.1, time.time_ns) < 0.3
        assert age_s(0.2, lambda: 0) < 0.3  # without a stamp it counts from its arrival
        assert age_s(0.3, lambda: time.time_ns() + 60_000_000_000) < 0.3  # of the future: another clock
        assert any("another clock" in line for line in stage.transport._watch.said)
    with Stage(path, command=None) as stage, stranger("nav2") as nav2:
        publisher = nav2.create_publisher(TwistStamped, "cmd_vel", 1)
        assert 2.9 < age_s(0.4, lambda: time.time_ns() - 3_000_000_000) < 3.4
        assert "3.0" in next(problem.text for problem in stage.controller.problems if problem.guard.name == "operator_heartbeat")
        assert age_s(0.5, lambda: 12_000_000_000) < 0.3  # a simulation's time
        assert age_s(0.6, time.time_ns) < 0.3
        publisher.publish(velocity(TwistStamped, 0.7, time.time_ns() - 60_000_000_000))  # the clocks agree, so this one lay somewhere
        stage.tick(10)
        assert stage.controller.inputs.command is not None
        assert stage.controller.inputs.command[0] == 0.6


@pytest.mark.parametrize("goal", [False, True])
def test_a_wrong_clock_is_said_once_and_mutes_nothing(goal: bool, path: Path, tmp_path: Path) -> None:
    if goal:
        path = make_policy(tmp_path / "arm.onnx", spec=arm_spec(), kind="stand")
    with Stage(path, command=None) as stage, stranger("nav2") as nav2:
        kind, topic = (PointStamped, "goal") if goal else (TwistStamped, "cmd_vel")
        publisher, said = nav2.create_publisher(kind, topic, 1), stage.transport._watch.said

        def ahead(seconds: float) -> Any:
            message = kind()
            message.header.stamp.sec = round(time.time() + seconds)
            return message

        for index in range(200):
            publisher.publish(ahead(60.0 + 7.3 * index))
            stage.tick()
        assert [line.split(":")[0] for line in said] == [topic]
        assert "another clock" in said[0]
        assert any("another clock" in line for line in stage.transport._odd())
        stage.transport._watch.warn_once("the next thing", "other")
        assert said[-1] == "the next thing"
        publisher.publish(ahead(0.0))
        within(stage, 4, lambda: (publisher.publish(ahead(0.0)), not stage.transport._odd())[1])


def test_a_flood_of_one_kind_of_line_mutes_no_other(path: Path) -> None:
    with Stage(path) as stage:
        watch = stage.transport._watch
        for index in range(1000):
            watch.warn_once(f"goal in frame 'odom{index}' refused", "frame")
            watch.warn_once(f"a message of {index * 0.37:.3g} s", "clock")
        assert len(watch.said) == MOST_LINES + 1
        watch.warn_once("/cam1/imu: x", "imu")
        watch.warn_once("/cam2/imu: x", "imu")  # a number in a name is not one that changes
        assert watch.said[-2:] == ["/cam1/imu: x", "/cam2/imu: x"]


def test_what_a_guard_says_is_not_said_by_a_line_too(path: Path) -> None:
    with Stage(path) as stage, stranger("driver") as driver:
        silent(stage, "imu")
        driver.create_publisher(String, "imu", 1)
        within(stage, 4, lambda: "/imu: node /driver publishes" in refusal(stage))
        told = [str(event.get("cause")) for event in stage.events if event["event"] == "waiting"]
        assert len([line for line in told if "/driver" in line]) == 1
        assert stage.transport._watch.said == []
        sensors = lambda: [pair.key for array in stage.diagnoses[-1:] for part in array.status for pair in part.values]  # noqa: E731
        stage.until(lambda: "wire 0" in sensors())


def test_a_second_sender_of_joint_states_is_named_and_damps(path: Path) -> None:
    with Stage(path) as stage:
        stage.reach_policy()
        with stranger("joint_state_publisher") as other:
            publisher = other.create_publisher(JointState, "joint_states", RELIABLE)
            stage.until(lambda: stage.controller.mode is Mode.DAMPING, 4.0)
            assert "/joint_states has 2 publishers: /joint_state_publisher, /operator" in stage.controller.cause
            names = list(stage.spec.robot.joint_names)
            zeros = np.zeros(len(names)).tolist()
            for _ in range(20):
                message = JointState(name=names, position=zeros, velocity=zeros)
                message.header.stamp.sec, message.header.stamp.nanosec = divmod(stage.stamp_ns + 1_000_000, 1_000_000_000)
                publisher.publish(message)
                stage.tick()
            assert not stage.call("stand")[0]


def test_a_second_imu_is_named(path: Path) -> None:
    with Stage(path) as stage, stranger("camera") as camera:
        camera.create_publisher(Imu, "imu", 1)
        within(stage, 4, lambda: "/imu has 2 publishers: /camera, /operator" in refusal(stage))


def test_a_driver_that_stands_by_may_be_excepted(path: Path) -> None:
    with stranger("standby") as standby:
        standby.create_publisher(JointState, "joint_states", 1)
        standby.create_publisher(Imu, "imu", 1)
        with Stage(path) as stage:
            within(stage, 4, lambda: "/imu has 2 publishers" in refusal(stage) and "/joint_states has 2 publishers" in refusal(stage))
            assert "--silent-nodes NODE excepts one that is known to be silent" in refusal(stage)
        with Stage(path, Ros2Options(silent_nodes=("standby",))) as stage:
            two = ["/operator", "/standby"]
            within(stage, 15, lambda: all(stage.transport._topics[name].senders == two for name in ("joint_states", "imu")))
            within(stage, 4, lambda: refusal(stage) == "")
            with stranger("third") as third:
                third.create_publisher(Imu, "imu", 1)
                within(stage, 4, lambda: "/imu has 2 publishers: /operator, /third" in refusal(stage))


def test_a_gripper_may_speak_for_itself_where_it_is_named(path: Path) -> None:
    with Stage(path, Ros2Options(extra_joints=("finger",))) as stage, stranger("gripper") as gripper:
        publisher = gripper.create_publisher(JointState, "joint_states", RELIABLE)

        def speak() -> bool:
            publisher.publish(JointState(name=["finger"], position=[0.1]))
            stage.transport._spin(0.02)  # before the arm's next one takes its place in the queue
            return stage.transport._topics["joint_states"].senders == ["/gripper", "/operator"] and stage.transport._inbox.apart

        within(stage, 5, speak)
        within(stage, 5, lambda: refusal(stage) == "")


def test_a_rival_on_the_command_topic_is_named(path: Path) -> None:
    with Stage(path) as stage, stranger("teleop") as teleop:
        teleop.create_publisher(Float64MultiArray, "impedance_command", 1)
        within(stage, 4, lambda: "1 other publishers on the robot's command topic /impedance_command: /teleop" in refusal(stage))


def test_a_graph_that_cannot_be_looked_at_stops_nobody_who_walks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any) -> None:
        raise RuntimeError("rmw: no such entity")

    with Stage(path) as stage:
        stage.reach_policy()
        monkeypatch.setattr(stage.transport._graph, "poll", fail)
        for _ in range(20):
            stage.tick()
        assert stage.controller.mode is Mode.POLICY, stage.controller.cause
        assert stage.loop.failure is None
        assert [line for line in stage.transport._watch.said if "no such entity" in line] == [
            "cannot look at the ROS graph, and so not see who joins it: RuntimeError: rmw: no such entity"
        ]
        assert stage.transport.read().rivals == 0


def test_nothing_is_said_of_a_robot_that_fits(path: Path) -> None:
    with Stage(path, command=None) as stage, stranger("teleop") as teleop:
        publisher = teleop.create_publisher(Twist, "cmd_vel", 1)
        teleop.create_publisher(Bool, "estop", 1)
        for _ in range(100):
            publisher.publish(velocity(Twist, 0.1))
            stage.tick()
        assert stage.transport._watch.said == []
        assert refusal(stage) == ""
