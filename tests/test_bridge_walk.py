"""The shipped Go1 policy walks for 20 s over real ROS 2 messages under a changing command, and its robot's death damps it."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from tests.bridge_helpers import REPOSITORY, processes, ros_environment, wait_for
from tests.bridge_ros import Observer
from tests.test_bridge_ros2 import start_node, start_robot, stops

POLICY = REPOSITORY / "policies" / "zoo" / "go1-velocity-flat.onnx"
COMMANDS = ((0.6, 0.0, 0.0), (0.4, 0.3, 0.0), (0.5, 0.0, 0.6), (-0.4, 0.0, 0.0), (0.0, 0.0, 0.0))
SECONDS_EACH = 4.0
pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture
def walking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not POLICY.is_file():
        pytest.skip(f"{POLICY.relative_to(REPOSITORY)} does not exist")
    for name, value in ros_environment().items():
        monkeypatch.setenv(name, value)
    copy = tmp_path / POLICY.name
    copy.write_bytes(POLICY.read_bytes())
    return copy


def test_walks_20_s_under_a_changing_command(walking: Path) -> None:
    robot, log = start_robot(walking), walking.parent / "node.log"
    node = start_node(walking, log, "--auto-start")
    with processes(robot, node), Observer() as observer:
        assert wait_for(lambda: "policy" in observer.states, 20, observer.spin), node.text()
        observer.samples.clear()
        for command in COMMANDS:
            observer.command[:] = command
            observer.spin(SECONDS_EACH)
            assert not stops(log), node.text()
        asked = np.array([command for _, command, _ in observer.samples])
        done = np.array([truth for _, _, truth in observer.samples])
        error = float(np.mean(np.linalg.norm((asked - done)[:, :2], axis=1)))
        print(f"mean planar velocity error {error:.3f} m/s, yaw rate {np.mean(np.abs(asked - done)[:, 2]):.3f} rad/s")
        assert error <= 0.25
        assert observer.height > 0.18
        robot.send(signal.SIGKILL)
        assert wait_for(lambda: bool(stops(log)), 5, observer.spin), node.text()
        stop = stops(log)[0]
        assert stop["to"] == "damping"
        assert (stop["t_ns"] - stop["sensor_ns"]) * 1e-6 <= 100
        node.send(signal.SIGTERM)
        assert node.wait() == 0, node.text()
