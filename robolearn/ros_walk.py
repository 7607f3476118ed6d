"""A policy file through real ROS 2: simulated robot, policy node and operator as three processes on this computer."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.isolation import LOOPBACK_CYCLONE
from policies.contract.file import PolicyFile
from robolearn.errors import UserError
from robolearn.policy_robot import robot_of
from robolearn.simulated_model import simulated_model

SCHEDULE = ((0.6, 0.0, 0.0, 4.0), (0.4, 0.3, 0.0, 4.0), (0.5, 0.0, 0.6, 4.0), (-0.4, 0.0, 0.0, 4.0), (0.0, 0.0, 0.0, 4.0))
"""vx [m/s], vy [m/s], yaw rate [rad/s], duration [s]."""


@dataclass(frozen=True)
class RosWalk:
    """The result of a run over ROS 2.

    Attributes:
        time_s: (T,).
        command, measured: vx, vy, yaw rate, (T, 3).
        velocity_error_xy: mean planar error [m/s].
        velocity_error_yaw: mean error [rad/s].
        stayed_up: the base stayed above half its standing height and the node in `policy`.
        events: the policy node's events; the last one is its timing, if the node finished.
    """

    time_s: np.ndarray
    command: np.ndarray
    measured: np.ndarray
    velocity_error_xy: float
    velocity_error_yaw: float
    stayed_up: bool
    events: list[dict[str, Any]]

    @property
    def failure(self) -> str | None:
        """Why the robot did not stay up; None if it did."""
        if self.stayed_up:
            return None
        causes = [event["cause"] for event in self.events if event["event"] == "transition" and event["from"] == "policy"]
        return f"the robot did not stay up ({causes[0] if causes else 'no guard reported'})"

    @property
    def timing(self) -> dict[str, float]:
        """Jitter, busy and inference times of the control loop."""
        return {k: v for k, v in self._last().items() if k not in ("event", "t_ns", "late_us")}

    @property
    def late_us(self) -> list[float]:
        """How late each tick began [us]."""
        return self._last().get("late_us", [])

    def _last(self) -> dict[str, Any]:
        return next((event for event in reversed(self.events) if event["event"] == "timing"), {})


class RosWalkError(UserError):
    """A run over ROS 2 that failed."""


def available() -> bool:
    """Whether rclpy is installed."""
    return importlib.util.find_spec("rclpy") is not None


def walk(policy: Path, schedule: tuple[tuple[float, float, float, float], ...] = SCHEDULE, attempts: int = 3) -> RosWalk:
    """Walk a schedule of commands; repeat it if the robot did not stay up, since a busy computer trips the timing guards.

    Raises:
        RosWalkError: every attempt failed; says which process and what it printed.
    """
    for left in reversed(range(attempts)):
        try:
            result = _walk_once(policy, schedule)
        except RosWalkError as error:
            if not left:
                raise
            print(f"      again, since {error}", flush=True)
            continue
        if result.stayed_up or not left:
            return result
        print(f"      again, since {result.failure}", flush=True)
    raise AssertionError("unreachable")


def _walk_once(policy: Path, schedule: tuple[tuple[float, float, float, float], ...]) -> RosWalk:
    environment = os.environ | {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(random.randint(1, 100)),
        "CYCLONEDDS_URI": LOOPBACK_CYCLONE,
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("ROS_STATIC_PEERS", None)  # keeps out robots of other computers
    with tempfile.TemporaryDirectory() as folder:
        events, tracking = Path(folder) / "events.jsonl", Path(folder) / "tracking.json"
        file = PolicyFile(policy)
        mjcf, stands = simulated_model(file, None, None, Path(folder)), robot_of(file).leg_length
        simulated = ["-m", "bridge.simulated.robot", "--policy", str(policy), "--mjcf", str(mjcf), "--permute-joints", "1"]
        node = ["-m", "bridge.deploy", str(policy), "--transport", "ros2", "--ungated", "--auto-start", "--events", str(events)]
        numbers = [str(number) for command in schedule for number in command]
        operator = ["-m", "bridge.operator.scheduled", "--schedule", *numbers, "--out", str(tracking)]
        logs = {
            name: (Path(folder) / name).open("w+", encoding="utf-8", errors="backslashreplace") for name in ("robot", "policy", "operator")
        }
        running: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name, command in (("robot", simulated), ("policy", node), ("operator", operator)):
                out = logs[name]
                running[name] = subprocess.Popen([sys.executable, *command], env=environment, stdout=out, stderr=subprocess.STDOUT)
            with contextlib.suppress(subprocess.TimeoutExpired):  # reported below as missing
                running["operator"].wait(timeout=sum(part[3] for part in schedule) + 60)
        finally:
            for name in ("policy", "robot", "operator"):
                if name in running and running[name].poll() is None:
                    running[name].send_signal(signal.SIGTERM)
            for process in running.values():
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        said = {}
        for name, log in logs.items():
            log.seek(0)
            said[name] = log.read().strip()
            log.close()
        if running["operator"].returncode or not tracking.is_file():
            last = "; ".join(f"{name}: {text.splitlines()[-1] if text else 'nothing'}" for name, text in said.items())
            raise RosWalkError(f"the run over ROS 2 failed ({last})")
        data = json.loads(tracking.read_text(encoding="utf-8"))
        lines = events.read_text(encoding="utf-8").splitlines(keepends=True) if events.is_file() else []
        record = [json.loads(line) for line in lines if line.endswith("\n")]  # a kill may have cut off the last line
    heights = [height for height in data["height_m"] if math.isfinite(height)]  # no velocity is known before the first message
    if not heights:
        raise RosWalkError("the run over ROS 2 failed (operator: it received nothing from the robot)")
    command, measured = np.array(data["command"]), np.array(data["measured"])
    error = command - measured
    return RosWalk(
        time_s=np.array(data["time_s"]),
        command=command,
        measured=measured,
        velocity_error_xy=float(np.linalg.norm(error[:, :2], axis=1).mean()),
        velocity_error_yaw=float(np.abs(error[:, 2]).mean()),
        stayed_up=bool(min(heights) > stands / 2 and data["states"][-1] == "policy"),
        events=record,
    )
