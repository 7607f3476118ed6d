"""How late the ticks of the control loop begin, at 50 and 500 Hz, against a bare loop that only sleeps until each deadline.

The loop is the bridge's own, guards and the student's inference at each tick included, in a dry run on a robot that stands still. Both
loops ask for the same priority as `robolearn deploy` does, and run in turns.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Entry, Options, entry, say
from benchmarks.policy import PAIR, TASK, exported, make_net
from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.priority import raise_priority
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Event
from envs.tasks.registry import make_env
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from policies.networks.transformer import TransformerCfg
from robolearn.config import schema

RATES_HZ = (50, 500)


class StillRobot:
    """A transport without a wire: real time, a robot at rest in its default pose."""

    on_reading: Callable[[Reading], None] | None = None
    on_shutdown: Callable[[], None] | None = None
    on_line: Callable[[str], None] | None = None

    def __init__(self, spec: PolicySpec) -> None:
        joints, base = spec.robot.num_joints, spec.robot.floating_base
        self._pose, self._zero = np.array(spec.robot.default_pose), np.zeros(joints)
        self._quat, self._spin = (np.array([1.0, 0, 0, 0]), np.zeros(3)) if base else (None, None)
        self._command = np.zeros(len(spec.command.labels))

    def open(self, refusal: Callable[[Event], str | None]) -> None:
        """Nothing to connect."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        sleep_until(deadline_ns)

    def read(self) -> Inputs:
        now = time.monotonic_ns()
        reading = Reading(self._pose, self._zero, self._zero, self._quat, self._spin, (now,), now)
        return Inputs(reading, self._command, now)

    def write(self, command: JointCommand) -> None:
        """Nothing listens."""

    def rehearse(self) -> None:
        """Nothing to be quick about."""

    def report(self, status: Mapping[str, Any]) -> None:
        """Nothing listens."""

    def close(self) -> None:
        """Nothing to disconnect."""


def sleep_until(deadline_ns: int) -> None:
    """Sleep to a time on the steady clock."""
    left = deadline_ns - time.monotonic_ns()
    if left > 0:
        time.sleep(left * 1e-9)


def run(options: Options) -> list[Entry]:
    """All rates."""
    entries = []
    env = make_env(*PAIR, num_worlds=1, num_threads=1)
    env.reset()
    network = TransformerCfg(width=16, layers=1, heads=2, window=4) if options.quick else schema.load(TASK).student.network
    with tempfile.TemporaryDirectory() as folder:
        for rate in RATES_HZ:
            env.spec = dataclasses.replace(env.spec, control_dt=1 / rate)
            file = exported(env, make_net(env, network), Path(folder) / f"{rate}.onnx")
            entries += rate_entries(file, rate, options)
    return entries


def rate_entries(file: PolicyFile, rate: int, options: Options) -> list[Entry]:
    """Start-time error and overruns of one rate."""
    turns, seconds = (1, 0.2) if options.quick else (4, (options.seconds or 40.0) / 8)
    late: dict[str, list[float]] = {"loop": [], "bare": []}
    busy: list[float] = []
    inference: list[float] = []
    ticks = overruns = missed = 0
    with priority() as said:
        say(f"loop: {rate} Hz, {said}")
        for _ in range(turns):
            controller = Controller(file.fork(), shadow=True)
            controller.arm()
            loop = ControlLoop(controller, StillRobot(file.spec))
            loop.run(seconds)
            late["loop"] += loop.timing.late_us()
            ticks, overruns, missed = ticks + loop.timing.ticks, overruns + loop.timing.overruns, missed + loop.timing.missed
            summary = loop.timing.summary()
            busy.append(summary["busy_p50_ms"] * 1e3)
            inference.append(summary["inference_p50_ms"] * 1e3)
            late["bare"] += bare_loop(1 / rate, seconds)
    ours, theirs = (np.percentile(late[name], (50, 99, 100)) for name in ("loop", "bare"))
    name = f"loop: {rate} Hz, start-time error"
    return [
        *(
            entry(f"{name}, {what}", ours[index], "us", f"a bare sleeping loop, {what}", ours[index] / theirs[index])
            for index, what in enumerate(("p50", "p99", "max"))
        ),
        entry(f"loop: {rate} Hz, a tick's work, median", float(np.median(busy)), "us"),
        entry(f"loop: {rate} Hz, inference in it, median", float(np.median(inference)), "us"),
        entry(f"loop: {rate} Hz, overruns of {ticks} ticks", overruns, "ticks"),
        entry(f"loop: {rate} Hz, missed deadlines of {ticks + missed}", missed, "ticks"),
    ]


def bare_loop(period_s: float, seconds: float) -> list[float]:
    """How late each turn of a loop begins that does nothing [us]."""
    late, period = [], round(period_s * 1e9)
    deadline = time.monotonic_ns() + period
    end = deadline + round(seconds * 1e9)
    while deadline < end:
        sleep_until(deadline)
        late.append((time.monotonic_ns() - deadline) * 1e-3)
        deadline += period
    return late


@contextmanager
def priority() -> Iterator[str]:
    """The priority of `robolearn deploy` for a while; says which it is."""
    policy, param, nice = os.sched_getscheduler(0), os.sched_getparam(0), os.getpriority(os.PRIO_PROCESS, 0)
    try:
        yield raise_priority()
    finally:
        os.sched_setscheduler(0, policy, param)
        if os.getpriority(os.PRIO_PROCESS, 0) != nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
