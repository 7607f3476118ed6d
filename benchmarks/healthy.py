"""An hour of each shipped policy on good sensors: whether any guard speaks up although nothing is wrong.

    python -m benchmarks.healthy --hours 1 --policy go1-velocity

Episodes of a minute, each from damping by way of `stand`, under commands that change every few seconds, with sensors of usual noise
at 50, 200 and 500 Hz. Whatever keeps the robot from standing up or ends the policy is an alarm. Every reading is heard, as on a robot.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.reading import Reading
from bridge.control.safety import Event, Mode
from bridge.simulated.physics import PhysicsRobot
from bridge.transports.sim import SimTransport
from policies.contract.file import PolicyFile

ROOT = Path(__file__).resolve().parent.parent
ROBOTS = {"go1-velocity": "go1", "go1-velocity-flat": "go1", "g1-velocity": "g1", "panda-reach": "panda"}
EPISODE_S, DAMPED_S = 60.0, 1.5
RATES_HZ = (500, 200, 50)
NOISE = {"position": 0.001, "velocity": 0.05, "imu_angular_velocity_b": 0.01}
TILT_NOISE = 0.002  # of the attitude [rad]


class Noisy(SimTransport):
    """A simulated robot whose readings are noisy, and come at a rate of their own."""

    def __init__(self, *given: Any, rate_hz: int, noisy: bool, seed: int, **named: Any) -> None:
        super().__init__(*given, **named)
        self._random, self._noisy, self._period_ns = np.random.default_rng(seed), noisy, round(1e9 / rate_hz)
        self._newest: Reading | None = None

    def _reading(self) -> Reading:
        if self._newest is not None and self._now_ns - self._newest.received_ns < self._period_ns:
            return self._newest
        reading = super()._reading()
        if self._noisy:
            changed: dict[str, Any] = {}
            for name, size in NOISE.items():
                value = getattr(reading, name)
                if value is not None:
                    changed[name] = value + size * self._random.standard_normal(len(value))
            if reading.imu_quat_wxyz is not None:
                quat = reading.imu_quat_wxyz + TILT_NOISE / 2 * self._random.standard_normal(4)
                changed["imu_quat_wxyz"] = quat / np.linalg.norm(quat)
            reading = dataclasses.replace(reading, **changed)
        self._newest = reading
        return reading


def episode(policy: PolicyFile, mjcf: Path, seed: int) -> tuple[float, list[str]]:
    """One episode. Returns how long the policy ran [s] and what was said against it."""
    chance, spec = random.Random(seed), policy.spec
    robot = PhysicsRobot(spec.robot, mjcf, 0.002)
    rate_hz, noisy = RATES_HZ[seed % 3], seed % 2 == 1
    wire = Noisy(robot, spec.robot.joint_names, np.zeros(spec.command.dimension), rate_hz=rate_hz, noisy=noisy, seed=seed)
    events: list[Any] = []
    controller = Controller(policy, on_event=events.append)
    controller.arm()
    wire.on_reading = controller.hear
    loop, period_ns = ControlLoop(controller, wire), round(spec.control_dt * 1e9)

    def tick() -> None:
        deadline_ns = wire.now_ns() + period_ns
        wire.wait_until(deadline_ns)
        loop.tick(deadline_ns)

    def ask() -> None:
        lower, upper = np.array(spec.command.lower), np.array(spec.command.upper)
        wire.command = np.array([chance.uniform(a, b) for a, b in zip(lower, upper, strict=True)])
        if spec.command.kind == "velocity":
            wire.command = wire.command * chance.choice((0.0, 0.5, 0.8))

    ask()
    said: list[str] = []
    for _ in range(round(DAMPED_S / spec.control_dt)):
        tick()
    for event, wanted in ((Event.STAND, Mode.STAND), (Event.START, Mode.POLICY)):
        for _ in range(250):
            if controller.refusal(event) is None:
                break
            tick()
        if (reason := controller.refusal(event)) is not None:
            return 0.0, [f"{event} refused: {reason}"]
        wire.requests.append(event)
        tick()
        if controller.mode is not wanted:
            return 0.0, [f"{event}: {controller.cause}"]
    ticks = round(EPISODE_S / spec.control_dt)
    for index in range(ticks):
        if index % 200 == 0:
            ask()
        tick()
        if controller.mode is not Mode.POLICY:
            said.append(f"{rate_hz} Hz{', noisy' if noisy else ''}: {controller.cause}")
            return index * spec.control_dt, said
    said += [f"{event['event']}: {event.get('text')}" for event in events if event["event"] in ("doubt", "remark")]
    return EPISODE_S, said


def main() -> int:
    """Run one policy's hours; 1 if there was an alarm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--policy", choices=list(ROBOTS), default="go1-velocity")
    options = parser.parse_args()
    robot = ROBOTS[options.policy]
    policy = PolicyFile(ROOT / "policies" / "zoo" / f"{options.policy}.onnx")
    mjcf = ROOT / "envs" / "robots" / robot / f"{robot}.xml"
    alarms: Counter[str] = Counter()
    ran_s, begin_s = 0.0, time.perf_counter()
    for seed in tqdm(range(round(options.hours * 3600 / EPISODE_S)), unit="episode", mininterval=10, disable=None):
        seconds, said = episode(policy, mjcf, seed)
        ran_s += seconds
        for line in said:
            alarms[line] += 1
            print(f"{options.policy}, episode {seed}, after {seconds:.1f} s: {line}", flush=True)
    print(f"{options.policy}: {ran_s / 3600:.3f} h of policy, {sum(alarms.values())} alarms, {time.perf_counter() - begin_s:.0f} s")
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
