"""Policy node and simulated robot as processes on loopback: standing, operator's services, signals, and either one killed."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")

from tests.bridge_helpers import REPOSITORY, Process, events, processes, ros_environment, wait_for
from tests.bridge_ros import Observer
from tests.make_policy import make_policy

MJCF = REPOSITORY / "envs" / "robots" / "go1" / "go1.xml"
PATIENT = [f"--limit={name}=0.5" for name in ("sensor_timeout_s", "frozen_s", "max_lateness_s")]  # where timing is not what is tested
ATTEMPTS = 3
pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in ros_environment().items():
        monkeypatch.setenv(name, value)
    return make_policy(tmp_path / "stand.onnx", kind="stand")


def start_robot(policy: Path, *options: str) -> Process:
    arguments = ["bridge.simulated.robot", "--policy", str(policy), "--mjcf", str(MJCF), "--permute-joints", "7", *options]
    return Process(arguments, policy.parent / "robot.log")


def start_node(policy: Path, log: Path, *options: str) -> Process:
    return Process(
        ["bridge.deploy", str(policy), "--transport", "ros2", "--ungated", "--events", str(log.with_suffix(".jsonl")), *options], log
    )


def stops(log: Path) -> list[dict[str, Any]]:
    return [event for event in events(log.with_suffix(".jsonl")) if event["event"] == "transition" and event["from"] == "policy"]


def test_services_stand_command_and_signal(stand: Path) -> None:
    robot, log = start_robot(stand), stand.parent / "node.log"
    node = start_node(stand, log, *PATIENT)
    with processes(robot, node), Observer() as observer:
        assert wait_for(lambda: observer.sensor_s > 0 and observer.states == ["damping"], 15, observer.spin), node.text()
        accepted, message = observer.call("start")
        assert not accepted
        assert "not possible in damping" in message
        assert observer.drives is None  # the robot is left alone until somebody asks
        assert wait_for(lambda: observer.call("stand")[0], 10, observer.spin), node.text()
        assert wait_for(lambda: observer.call("start")[0], 10, observer.spin), node.text()
        for command in ((0.5, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.0, 1.0)):
            observer.command[:] = command
            observer.spin(1.0)
            assert observer.states[-1] == "policy", node.text()
            assert observer.height > 0.2
        node.send(signal.SIGINT)
        assert wait_for(lambda: not node.alive, 10, observer.spin)
        observer.spin(0.2)
        assert node.wait() == 0, node.text()
        assert wait_for(lambda: observer.drives is False, 3, observer.spin)
        assert stops(log)[-1]["to"] == "damping"
        assert "timing:" in node.text()
        robot.send(signal.SIGTERM)
        assert robot.wait() == 0, robot.text()


def test_a_killed_robot_sends_the_node_to_damping_within_100_ms(stand: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = []
    for attempt in range(ATTEMPTS):  # on a starved computer the guards may rightly stop the policy before its robot dies
        monkeypatch.setenv("ROS_DOMAIN_ID", ros_environment()["ROS_DOMAIN_ID"])
        reports.append(_kill_robot(stand, stand.parent / f"node{attempt}.log"))
        if reports[-1] is None:
            return
    pytest.fail("stopped before the robot was killed:\n" + "\n".join(str(report) for report in reports))


def _kill_robot(stand: Path, log: Path) -> str | None:
    """One attempt. Returns the node's output if it stopped on its own before the robot was killed."""
    robot, node = start_robot(stand), start_node(stand, log, "--auto-start")
    with processes(robot, node), Observer() as observer:
        wait_for(lambda: "policy" in observer.states or "stand -> damping" in node.text(), 20, observer.spin)
        observer.spin(0.5)
        if "policy" not in observer.states or stops(log):
            return node.text()
        killed_ns = time.monotonic_ns()
        robot.send(signal.SIGKILL)
        assert wait_for(lambda: bool(stops(log)), 5, observer.spin), node.text()
        observer.spin(0.2)
        stop = stops(log)[0]
        assert stop["to"] == "damping"
        assert "stale_sensor" in stop["cause"]
        assert (stop["t_ns"] - stop["sensor_ns"]) * 1e-6 <= 100
        assert (stop["t_ns"] - killed_ns) * 1e-6 <= 100
        assert wait_for(lambda: observer.drives is False and observer.states[-1] == "damping", 3, observer.spin)
        assert 0 < 1e3 * observer.damped_s - killed_ns * 1e-6 <= 150  # on the wire, with 50 ms for the observer itself
        node.send(signal.SIGTERM)
        assert node.wait() == 0, node.text()
    return None


def test_a_robot_whose_node_is_killed_damps_itself(stand: Path) -> None:
    robot, log = start_robot(stand), stand.parent / "node.log"
    node = start_node(stand, log, "--auto-start", *PATIENT)
    with processes(robot, node), Observer() as observer:
        assert wait_for(lambda: "policy" in observer.states, 20, observer.spin), node.text()
        observer.spin(0.5)
        assert observer.height > 0.2, "the robot did not stand"
        assert "damps itself" not in robot.text()
        node.send(signal.SIGKILL)
        assert wait_for(lambda: "damps itself" in robot.text(), 5, observer.spin)
        assert wait_for(lambda: observer.height < 0.2, 5, observer.spin)


def test_a_second_node_neither_disturbs_the_first_nor_stands_up(stand: Path) -> None:
    robot, log, other = start_robot(stand), stand.parent / "node.log", stand.parent / "second.log"
    node = start_node(stand, log, "--auto-start", "--command", "0", "0", "0", *PATIENT)
    with processes(robot, node), Observer() as observer:
        assert wait_for(lambda: "policy" in observer.states, 20, observer.spin), node.text()
        second = start_node(stand, other, "--auto-start", "--duration", "5", *PATIENT, "--ros-args", "-r", "__node:=second")
        with processes(second):
            assert wait_for(lambda: not second.alive, 20, observer.spin)
        assert [event["to"] for event in events(other.with_suffix(".jsonl")) if event["event"] == "transition"] == ["damping"]
        assert not stops(log), node.text()
        assert observer.height > 0.2


def test_a_wrong_joint_set_never_leaves_damping(stand: Path, tmp_path: Path) -> None:
    other = make_policy(tmp_path / "other" / "arm.onnx", spec=_renamed(), kind="stand")
    robot, log = start_robot(stand), stand.parent / "node.log"
    node = start_node(other, log, "--auto-start")
    with processes(robot, node), Observer() as observer:
        assert wait_for(lambda: observer.sensor_s > 0 and observer.states == ["damping"], 15, observer.spin), node.text()
        answers: list[tuple[bool, str]] = []
        assert wait_for(lambda: (answers.append(observer.call("stand")), "FR_hip_joint" in answers[-1][1])[1], 10, observer.spin), answers
        assert not any(accepted for accepted, _ in answers)
        assert observer.states == ["damping"]


def _renamed() -> Any:
    import dataclasses

    from tests.make_policy import go1_spec

    spec = go1_spec()
    names = tuple(name.replace("FR_hip", "fr_hip") for name in spec.robot.joint_names)
    return dataclasses.replace(spec, robot=dataclasses.replace(spec.robot, joint_names=names))
