"""Shared by the bridge's tests: good readings, a transport without a wire, and processes on loopback."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Event, Mode, SafetyLimits
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec

MS = 1_000_000
REPOSITORY = Path(__file__).parent.parent
HAS_ROS = importlib.util.find_spec("rclpy") is not None


def good_reading(spec: PolicySpec, now_ns: int) -> Reading:
    """The robot at rest in its default pose, sensed just now."""
    joints = spec.robot.num_joints
    floating = spec.robot.floating_base
    return Reading(
        position=np.array(spec.robot.default_pose),
        velocity=np.zeros(joints),
        effort=np.zeros(joints),
        imu_quat_wxyz=np.array([1.0, 0, 0, 0]) if floating else None,
        imu_angular_velocity_b=np.zeros(3) if floating else None,
        stamps_ns=(now_ns + 1,) * (2 if floating else 1),
        received_ns=now_ns,
    )


def good_inputs(spec: PolicySpec, now_ns: int, *requests: Event) -> Inputs:
    """A healthy robot and an operator who is there."""
    return Inputs(good_reading(spec, now_ns), np.zeros(len(spec.command.labels)), now_ns, tuple(requests))


class Driver:
    """Ticks a controller at 50 Hz on a clock of its own."""

    def __init__(self, path: Path, overrides: Mapping[str, float] | None = None, armed: bool = True) -> None:
        policy = PolicyFile(path)
        self.events: list[Mapping[str, Any]] = []
        self.controller = Controller(policy, SafetyLimits.of(policy.spec, overrides), on_event=self.events.append)
        if armed:
            self.controller.arm()
        self.now_ns = 1_000 * MS

    def tick(self, change: Callable[[Inputs], None] | None = None, *requests: Event, **timing: Any) -> JointCommand:
        self.now_ns += 20 * MS
        inputs = good_inputs(self.controller.spec, self.now_ns, *requests)
        if change is not None:
            change(inputs)
        return self.controller.tick(self.now_ns, inputs, **timing)

    def reach(self, mode: Mode) -> None:
        """Go to `stand` or `policy` the way an operator does."""
        self.tick()
        self.tick(None, Event.STAND)
        if mode is Mode.POLICY:
            for _ in range(round(self.controller.limits.stand_s / 0.02) + 1):
                self.tick()
            self.tick(None, Event.START)
        assert self.controller.mode is mode, self.events


class FakeTransport:
    """A wire that delivers good inputs and remembers what was written; time is what the test says."""

    def __init__(self, spec: PolicySpec) -> None:
        self.spec, self.now, self.written = spec, 1_000 * MS, []
        self.requests: list[Event] = []
        self.wakes_late_ns: list[int] = []
        self.work_ns: list[int] = []
        self.woken: list[int] = []
        self.raises: list[Exception | None] = []
        self.on_wait: Callable[[], None] = lambda: None
        self.on_line: Callable[[str], None] | None = None
        self.on_reading: Callable[[Any], None] | None = None
        self.on_shutdown: Callable[[], None] | None = None
        self.temperature: Any = None

    def open(self, refusal: Any) -> None:
        pass

    def close(self) -> None:
        pass

    def now_ns(self) -> int:
        return self.now

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        self.on_wait()
        self.now = max(self.now, deadline_ns) + (self.wakes_late_ns.pop(0) if self.wakes_late_ns else 0)
        self.woken.append(self.now)

    def read(self) -> Inputs:
        error = self.raises.pop(0) if self.raises else None
        if error is not None:
            raise error
        requests, self.requests = self.requests, []
        return good_inputs(self.spec, self.now, *requests)

    def write(self, command: JointCommand) -> None:
        self.written.append(command)
        self.now += self.work_ns.pop(0) if self.work_ns else 0

    def rehearse(self) -> None:
        pass

    def report(self, status: Mapping[str, Any]) -> None:
        pass


_domains = itertools.count(random.SystemRandom().randrange(102))


def ros_environment() -> dict[str, str]:
    """Loopback only, rclpy's field checks on, and a domain of its own: on one in which a node of this name has just ended, half of all
    calls of its services go to what is left of it on the graph and are never answered.
    """
    return {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(next(_domains) % 102),
        "ROS_PYTHON_CHECK_FIELDS": "1",
        "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
        "OMP_NUM_THREADS": "1",
    }


class Process:
    """A child in a session of its own whose output goes to a file."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
        self.log = log
        with log.open("w") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-m", *arguments], cwd=log.parent, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def send(self, number: int) -> None:
        self._child.send_signal(number)

    def wait(self, timeout_s: float = 10.0) -> int:
        return self._child.wait(timeout_s)

    def text(self) -> str:
        return self.log.read_text()

    @property
    def alive(self) -> bool:
        return self._child.poll() is None


@contextmanager
def processes(*children: Process) -> Iterator[None]:
    """End the children whatever happens."""
    try:
        yield
    finally:
        for child in children:
            if child.alive:
                child.send(signal.SIGKILL)
                child.wait()


def wait_for(condition: Callable[[], bool], timeout_s: float, step: Callable[[], None] = lambda: time.sleep(0.02)) -> bool:
    """Poll until the condition holds. Returns whether it did in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        step()
    return condition()


def events(path: Path) -> list[dict[str, Any]]:
    """The complete lines of an event log."""
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")] if path.exists() else []
