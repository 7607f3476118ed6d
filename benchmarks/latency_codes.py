"""What both ends of the latency benchmark share: messages that carry a number, commands that hand it back, and the child process.

The number is in the position of the first joint, so little that it counts as still; the policy hands that position through to the target.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from bridge.control.priority import raise_priority
from bridge.isolation import isolate
from bridge.simulated.physics import Sample
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec

CODES, CODE = 50, 0.0003  # messages told apart; radians each
ENTRY = 5  # commands at first that are mixed with the pose that was held
Result = dict[str, list[float]]


class Codes:
    """Numbers on messages, and when they went and came back.

    Attributes:
        result: `latency`, from sending a message to the first command that rests on it, and `arrival` of that command [ns].
    """

    def __init__(self, spec: PolicySpec) -> None:
        """Start with number 0 for a robot in its default pose."""
        self._pose, self._kp = np.array(spec.robot.default_pose), 0.999 * spec.robot.kp[0]
        self._zero = np.zeros(spec.robot.num_joints)
        self._sent_ns, self._number, self._newest = [0] * CODES, 0, -1
        self._seen = 0
        self.result: Result = {"latency": [], "arrival": []}

    def sample(self) -> Sample:
        """The next message's content, to be sent at once."""
        self._number += 1
        position = self._pose.copy()
        position[0] += CODE * (self._number % CODES)
        now_ns = time.monotonic_ns()
        self._sent_ns[self._number % CODES] = now_ns
        return Sample(position, self._zero, self._zero, np.array([1.0, 0, 0, 0]), np.zeros(3), now_ns)

    def arrived(self, target: float, kp: float) -> None:
        """Take the target of a command for the first joint [rad]. What repeats the command before does not count."""
        now_ns = time.monotonic_ns()
        code = (target - self._pose[0]) / CODE
        number = round(code)
        if kp < self._kp or abs(code - number) > 0.1 or number == self._newest or not (self._seen or number):
            return  # still standing up, or no news
        if not self._sent_ns[number % CODES]:
            return  # of somebody else on this domain
        self._newest = number
        self._seen += 1
        if self._seen > ENTRY:
            self.result["latency"].append(now_ns - self._sent_ns[number % CODES])
            self.result["arrival"].append(now_ns)


class Robot(Protocol):
    """The robot's end of a wire."""

    def send(self, sample: Sample) -> None:
        """Publish the sensors."""
        ...

    def spin(self, timeout_s: float, codes: Codes) -> None:
        """Take what comes in that time, and hand each command's first target to `codes`."""
        ...

    def close(self) -> None:
        """Leave."""
        ...


def sense(robot: Robot, codes: Codes, rate_hz: float, seconds: float, patience_s: float = 20.0) -> Result:
    """The robot's side: send at absolute deadlines, listen between them."""
    raise_priority()
    period_ns = round(1e9 / rate_hz)
    deadline_ns = begin_ns = time.monotonic_ns()
    arrival = codes.result["arrival"]
    gc.collect()
    gc.disable()
    while (deadline_ns - begin_ns) * 1e-9 < patience_s and not (arrival and deadline_ns - arrival[0] > seconds * 1e9):
        deadline_ns += period_ns
        while (left_ns := deadline_ns - time.monotonic_ns()) > 0:
            robot.spin(left_ns * 1e-9, codes)
        robot.send(codes.sample())
    robot.close()
    return codes.result


def child(make_robot: Callable[[PolicySpec], Robot], echo: Callable[[PolicySpec], None]) -> None:
    """A child process of the benchmark: the robot, which prints its result, or the echo, which runs until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("sensor", "echo"))
    parser.add_argument("policy", type=Path)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    isolate()
    spec = PolicyFile(options.policy).spec
    if options.role == "sensor":
        print(json.dumps(sense(make_robot(spec), Codes(spec), options.rate, options.seconds)))
    else:
        raise_priority()
        echo(spec)
