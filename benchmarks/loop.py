"""Jitter of the bridge's control loop at 50 and 500 Hz, with the policy in it."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.common import Entry
from bridge.controller import Controller
from bridge.loop import ControlLoop
from bridge.physics_robot import PhysicsRobot
from bridge.reading import Inputs
from bridge.safety import SafetyLimits
from bridge.transports.sim import SimTransport
from envs.registry import make_env
from envs.robots.registry import get_robot
from policies.export import export_student
from policies.transformer import Transformer, TransformerCfg
from robolearn.export import record_sensors


class RealTime(SimTransport):
    """The lock-step robot held to the wall clock: the loop sleeps to its deadline as on a robot, then the physics catches up."""

    def __init__(self, robot: PhysicsRobot, joint_names: tuple[str, ...]) -> None:
        super().__init__(robot, joint_names, np.zeros(3))
        self._begin_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """Time since the start [ns]."""
        return time.monotonic_ns() - self._begin_ns

    def wait_until(self, deadline_ns: int) -> None:
        """Sleep, then step the physics."""
        time.sleep(max(0, deadline_ns - self.now_ns()) * 1e-9)

    def read(self) -> Inputs:
        """Step the physics up to now, then sample."""
        super().wait_until(self.now_ns())
        return super().read()


def run(quick: bool = False) -> list[Entry]:
    """Both rates."""
    return [entry for rate in (50.0, 500.0) for entry in _loop(rate, 0.5 if quick else 6.0)]


def _loop(rate_hz: float, seconds: float) -> list[Entry]:
    env = make_env("go1-velocity-flat", num_worlds=1, num_threads=1)
    net = Transformer(env.spec.observation_dim, env.spec.action_dim, TransformerCfg(width=96, layers=2)).eval()
    spec = dataclasses.replace(env.spec, control_dt=1 / rate_hz)
    with tempfile.TemporaryDirectory() as folder:
        file = export_student(net, spec, record_sensors(env, net, 20), {}, Path(folder) / "policy.onnx")
    robot = PhysicsRobot(spec.robot, get_robot("go1").mjcf, 0.002)
    controller = Controller(file, SafetyLimits.of(spec, {}))
    controller.arm()
    controller.auto_start()
    loop = ControlLoop(controller, RealTime(robot, spec.robot.joint_names))
    loop.run(seconds)
    timing = loop.timing.summary()
    period_us = 1e6 / rate_hz
    return [
        Entry(name=f"loop at {rate_hz:g} Hz: start lateness {name}", value=timing[f"late_{name}_ms"] * 1e3, unit="us", against="the period",
              ratio=timing[f"late_{name}_ms"] * 1e3 / period_us)
        for name in ("p50", "p99", "max")
    ] + [Entry(name=f"loop at {rate_hz:g} Hz: overruns", value=float(timing["overruns"]), unit="ticks", against="ticks",
               ratio=timing["overruns"] / max(1.0, timing["ticks"]))]  # fmt: skip
