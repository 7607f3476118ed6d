"""The operator that docs/ros2.md gives to copy walks a simulated robot over real ROS 2 messages, and `ask.py` asks what `ros2` would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from tests.bridge.test_ros2 import PATIENT, start_node, start_robot
from tests.bridge_helpers import REPOSITORY, processes, ros_environment, wait_for
from tests.bridge_ros import Observer

POLICY = REPOSITORY / "policies" / "zoo" / "go1-velocity-flat.onnx"
EXAMPLES = REPOSITORY / "examples" / "ros2"
pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in ros_environment().items():
        monkeypatch.setenv(name, value)
    copy = tmp_path / POLICY.name
    copy.write_bytes(POLICY.read_bytes())
    return copy


def ask(*words: str) -> tuple[int, str]:
    """Exit code and output of `ask.py`, as a stranger's program that has nothing of ours."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(EXAMPLES / "ask.py"), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, (done.stdout + done.stderr).strip()


def test_the_operator_walks_the_robot(policy: Path) -> None:
    robot, log = start_robot(policy), policy.parent / "node.log"
    node = start_node(policy, log, *PATIENT)
    with processes(robot, node):
        command = [sys.executable, str(EXAMPLES / "walk.py")]
        operator = subprocess.run(command, capture_output=True, text=True, timeout=90)
        assert operator.returncode == 0, operator.stdout + operator.stderr
        assert "start: accepted" in operator.stdout
        assert "stand -> policy: operator" in node.text()
        assert "policy -> damping: operator" in node.text()


def test_the_operator_starts_nothing_for_who_asks_for_help() -> None:
    operator = subprocess.run([sys.executable, str(EXAMPLES / "walk.py"), "--help"], capture_output=True, text=True, timeout=60)
    assert operator.returncode == 1
    assert "takes no arguments" in operator.stderr


def test_the_operator_ends_with_the_policy_and_says_why(policy: Path) -> None:
    robot, log = start_robot(policy), policy.parent / "node.log"
    node = start_node(policy, log, *PATIENT)
    command = [sys.executable, str(EXAMPLES / "walk.py")]
    with processes(robot, node), Observer() as observer:
        operator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            assert wait_for(lambda: "policy" in observer.states, 60, observer.spin), node.text()
            observer.call("estop")
            told, _ = operator.communicate(timeout=30)
        finally:
            operator.kill()
    assert operator.returncode == 1
    assert "the robot is in the state 'fault'" in told
    assert "emergency stop" in told or "estop" in told


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--help"], 0, "as the `ros2` command does"),
        (["nonsense"], 2, "unknown request 'nonsense'; valid: stand, start, stop, estop, reset"),
        ([], 2, "no request given; valid: stand"),
        (["get"], 2, "get takes one"),
    ],
)
def test_a_request_that_does_not_exist_is_refused_with_the_valid_ones(words: list[str], code: int, told: str) -> None:
    done, said = ask(*words)
    assert (done, told in said) == (code, True), said


def test_what_the_ros2_command_would_ask(policy: Path) -> None:
    robot, log = start_robot(policy), policy.parent / "node.log"
    node = start_node(policy, log, *PATIENT)
    with processes(robot, node), Observer() as observer:
        assert wait_for(lambda: observer.states == ["damping"], 20, observer.spin), node.text()
        assert ask("set", "max_tilt", "0.6") == (0, "set")
        assert ask("get", "max_tilt") == (0, "0.6")
        assert ask("set", "max_tilt", "-3")[0] == 1
        code, answer = ask("start")
        assert code == 1
        assert "stand first" in answer
        assert ask("deactivate") == (0, "done")
        assert ask("deactivate") == (1, "not possible now")
        assert ask("activate") == (0, "done")
        assert ask("estop")[0] == 0
        assert wait_for(lambda: observer.states[-1] == "fault", 10, observer.spin), node.text()
        assert ask("reset")[0] == 0
