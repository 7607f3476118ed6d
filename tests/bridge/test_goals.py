"""Goal poses and motions by topic, between real nodes on loopback: what is taken, in which order, and what is refused with its reason."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import PoseStamped
from std_msgs.msg import Float32MultiArray, Float64MultiArray, MultiArrayDimension

from bridge.control.safety import Mode
from bridge.logs.reader import read_log
from bridge.logs.replay import replay
from bridge.logs.writer import LogWriter
from tests.bridge_helpers import ros_environment
from tests.make_policy import POSE, asking, make_policy
from tests.ros2_stage import RELIABLE, Stage

pytestmark = pytest.mark.ros
NAMES = ("phase", "height", "lean")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment()["ROS_DOMAIN_ID"])
    monkeypatch.setattr("bridge.transports.ros2.transport.DISCOVERY_NS", 0)  # nobody else is on this domain


@pytest.fixture
def posed(tmp_path: Path) -> Iterator[Stage]:
    with Stage(make_policy(tmp_path / "pose.onnx", asking("goal_pose", POSE), kind="stand"), command=None) as stage:
        yield stage


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[Stage]:
    with Stage(make_policy(tmp_path / "motion.onnx", asking("motion", NAMES, ages=True), kind="stand"), command=None) as stage:
        yield stage


def pose(position: tuple[float, ...], quat_wxyz: tuple[float, ...], frame: str = "base") -> Any:
    message = PoseStamped()
    message.header.frame_id = frame
    p, o = message.pose.position, message.pose.orientation
    p.x, p.y, p.z = position
    o.w, o.x, o.y, o.z = quat_wxyz
    return message


def array(values: list[float], labels: str = "", kind: Any = Float64MultiArray) -> Any:
    message = kind(data=values)
    if labels:
        message.layout.dim = [MultiArrayDimension(label=labels, size=len(values), stride=len(values))]
    return message


def command(stage: Stage) -> list[float] | None:
    found = stage.controller.inputs.command
    return None if found is None else found.tolist()


def send(stage: Stage, publisher: Any, message: Any, until: Any) -> None:
    """Publish until something holds: the first messages go out before the two ends know of each other."""
    end = time.monotonic() + 20
    while not until():
        assert time.monotonic() < end, (command(stage), stage.transport._watch.said)
        publisher.publish(message)
        stage.tick()


def said(stage: Stage, *words: str) -> bool:
    return any(all(word in line for word in words) for line in stage.transport._watch.said)


def test_a_goal_pose_becomes_wxyz_of_unit_length(posed: Stage) -> None:
    half = math.sqrt(0.5)
    publisher = posed.operator.create_publisher(PoseStamped, "goal_pose", RELIABLE)
    send(posed, publisher, pose((0.4, -0.1, 0.5), (2.0, 0.0, 0.0, 2.0)), lambda: command(posed) is not None)
    np.testing.assert_allclose(command(posed), [0.4, -0.1, 0.5, half, 0.0, 0.0, half], atol=1e-12)
    send(posed, publisher, pose((0.3, 0.0, 0.5), (0.0, 1.0, 0.0, 0.0), frame=""), lambda: command(posed)[0] == 0.3)
    assert command(posed) == [0.3, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (pose((0.1, 0.1, 0.1), (1.0, 0.0, 0.0, 0.0), frame="map"), ("goal in frame 'map' refused", "'base'")),
        (pose((0.1, 0.1, 0.1), (0.0, 0.0, 0.0, 0.0)), ("goal refused", "not an attitude", "[1, 0, 0, 0]")),
        (pose((0.1, math.nan, 0.1), (1.0, 0.0, 0.0, 0.0)), ("goal refused", "is not finite")),
        (pose((0.1, 0.1, 0.1), (1.0, math.inf, 0.0, 0.0)), ("goal refused", "is not finite")),
    ],
    ids=["frame", "zero quaternion", "position", "quaternion"],
)
def test_what_is_no_goal_is_refused_and_the_last_one_stays(posed: Stage, message: Any, words: tuple[str, ...]) -> None:
    publisher = posed.operator.create_publisher(PoseStamped, "goal_pose", RELIABLE)
    send(posed, publisher, pose((0.4, 0.0, 0.5), (1.0, 0.0, 0.0, 0.0)), lambda: command(posed) is not None)
    posed.reach_policy()
    send(posed, publisher, message, lambda: said(posed, *words))
    assert command(posed) == [0.4, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0]
    assert posed.controller.mode is Mode.POLICY
    assert any(words[0] in line for line in posed.transport._odd())


@pytest.mark.parametrize("kind", [Float64MultiArray, Float32MultiArray])
def test_a_motion_is_taken_by_place_or_by_name(moved: Stage, kind: Any) -> None:
    publisher = moved.operator.create_publisher(kind, "motion", RELIABLE)
    send(moved, publisher, array([0.5, 0.25, -0.125], kind=kind), lambda: command(moved) == [0.5, 0.25, -0.125])
    swapped = array([1.0, 0.5, 0.25], "lean,phase,height", kind)
    send(moved, publisher, swapped, lambda: command(moved) == [0.5, 0.25, 1.0])


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (array([0.5, 0.5]), ("refused", "has 2 numbers; the policy takes 3 (phase, height, lean)")),
        (array([0.5] * 4), ("refused", "has 4 numbers; the policy takes 3")),
        (array([0.5] * 3, "phase,height,yaw"), ("refused", "names phase, height, yaw; the policy takes phase, height, lean")),
        (array([0.5] * 3, "phase,phase,lean"), ("refused", "names phase, phase, lean")),
    ],
    ids=["short", "long", "other names", "a name twice"],
)
def test_a_motion_of_another_size_or_name_is_refused(moved: Stage, message: Any, words: tuple[str, ...]) -> None:
    publisher = moved.operator.create_publisher(Float64MultiArray, "motion", RELIABLE)
    send(moved, publisher, message, lambda: said(moved, *words))
    assert command(moved) is None


def test_a_motion_that_ages_ends_the_policy_and_one_that_is_not_finite_too(moved: Stage) -> None:
    publisher = moved.operator.create_publisher(Float64MultiArray, "motion", RELIABLE)
    tick = moved.tick

    def steadily(times: int = 1) -> None:
        for _ in range(times):
            publisher.publish(array([0.5, 0.0, 0.0]))
            tick()

    moved.tick = steadily  # type: ignore[method-assign]
    moved.reach_policy()
    assert command(moved) == [0.5, 0.0, 0.0]
    moved.tick = tick  # type: ignore[method-assign]
    moved.until(lambda: moved.controller.mode is Mode.DAMPING)
    assert "operator_heartbeat: no operator command for 2.0 s" in moved.controller.cause
    moved.tick = steadily  # type: ignore[method-assign]
    moved.reach_policy()
    moved.tick = tick  # type: ignore[method-assign]
    send(moved, publisher, array([math.nan, 0.0, 0.0]), lambda: moved.controller.mode is Mode.DAMPING)
    assert "finite_command: operator command is not finite" in moved.controller.cause


def test_nobody_on_the_topic_is_the_reason_for_not_starting(posed: Stage) -> None:
    posed.ready()
    posed.until(lambda: posed.call("stand")[0])
    posed.until(lambda: "nobody publishes /goal_pose" in posed.call("start")[1])


def test_a_run_by_topic_is_logged_and_replays_with_no_difference(posed: Stage, tmp_path: Path) -> None:
    recorder = LogWriter(tmp_path / "run.mcap", posed.controller, transport="ros2")
    posed.loop.recorder = recorder
    posed.controller.on_event = recorder.event
    publisher = posed.operator.create_publisher(PoseStamped, "goal_pose", RELIABLE)
    send(posed, publisher, pose((0.4, 0.0, 0.5), (1.0, 1.0, 0.0, 0.0)), lambda: command(posed) is not None)
    posed.reach_policy()
    posed.tick(20)
    recorder.close()
    log = read_log(tmp_path / "run.mcap")
    assert log.ticks["command"][-1].tolist() == command(posed)
    result = replay(log)
    assert result.inferred.sum() >= 20
    assert result.worst == 0.0
    assert result.command_difference.max() == 0.0
