"""A day of control steps, as fast as they go: deadlines, clock, memory and the policy's answers must be at the end what they were at first.

    python -m benchmarks.soak --hours 24 --state runs/soak.json

A recorded second or two of walking comes in again and again, through the controller, its limits and the loop of `robolearn deploy`, on a
clock that passes 2^53 ns on the way, where double precision no longer counts nanoseconds. Since the input is periodic, so must be the
actions: they may differ by the rounding of their feedback alone. `--state` makes a run that was interrupted go on where it stopped.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.common import Entry, Options, entry, resident_mib
from benchmarks.faults import POLICY, Stage
from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import Event, Mode, SafetyLimits
from policies.contract.file import PolicyFile
from policies.files import write_text

RECORDED = 100  # control steps; a whole number of turns of the gait's clock
PAST_DOUBLES_NS = 1 << 53
EPOCH_NS = 1_767_225_600_000_000_000  # a robot's stamps count from 1970
GROWTH_MIB = 4.0
TOLERANCE = 1e-4


@dataclass(kw_only=True)
class Tally:
    """What has been seen so far, over all sessions.

    Attributes:
        ticks: control steps done.
        drift_ns: largest distance of a deadline from its place [ns].
        stops: steps that were not in `policy` or did not drive.
        missed: deadlines without a step.
        clock_error: largest error of the gait's clock.
        action_error: largest difference of an action to that of the same step in the first period.
        growth_mib: largest growth of resident memory in a session, after its first minute [MiB].
        seconds: of wall time.
    """

    ticks: int = 0
    drift_ns: int = 0
    stops: int = 0
    missed: int = 0
    clock_error: float = 0.0
    action_error: float = 0.0
    growth_mib: float = 0.0
    seconds: float = 0.0

    def save(self, path: Path | None) -> None:
        """Write to `path`, None for not; never half a file."""
        if path is not None:
            write_text(path, json.dumps(asdict(self)))


class RecordedRobot:
    """A transport that plays a recorded stream again and again; time passes when the loop waits.

    Attributes:
        now: time [ns].
        requests: of the operator, for the next step.
        drives: whether the newest command does.
    """

    def __init__(self, readings: list[Reading], command: Any, period_ns: int, now_ns: int) -> None:
        """Begin at `now_ns`."""
        self._readings, self._command, self._period = readings, command, period_ns
        self.now, self.drives = now_ns, False
        self.requests: tuple[Event, ...] = ()
        self.on_reading: Callable[[Reading], None] | None = None

    def open(self, refusal: Callable[[Event], str | None]) -> None:
        """Nothing to connect."""

    def now_ns(self) -> int:
        return self.now

    def wait_until(self, deadline_ns: int, fresh_ns: int | None = None) -> None:
        self.now = max(self.now, deadline_ns)

    def read(self) -> Inputs:
        recorded = self._readings[self.now // self._period % len(self._readings)]
        reading = replace(recorded, stamps_ns=(EPOCH_NS + self.now,), received_ns=self.now)
        requests, self.requests = self.requests, ()
        return Inputs(reading, self._command, self.now, requests)

    def write(self, command: JointCommand) -> None:
        self.drives = command.drives

    def report(self, status: Mapping[str, Any]) -> None:
        """Nobody looks."""

    def close(self) -> None:
        """Nothing to disconnect."""


def record(count: int) -> tuple[list[Reading], Any]:
    """Readings of a walking Go1, one a control step, and the command that it follows."""
    stage = Stage(moments=1)
    loop = ControlLoop(stage.controller, stage._wire)
    readings: list[Reading] = []
    for _ in range(count):
        stage._tick(loop)
        readings.append(stage.controller._snapshot.inputs.reading)  # type: ignore[arg-type]
    return readings, stage.controller._snapshot.inputs.command


class Soak:
    """A walking controller on the recorded stream."""

    def __init__(self, hours: float, tally: Tally) -> None:
        """Stand up and walk, so that after half of `hours` the clock passes 2^53 ns."""
        self.tally = tally
        policy = PolicyFile(POLICY)
        self.events: list[Mapping[str, Any]] = []
        # a recording that is played over and over does not go on from its end to its beginning, and a robot at rest has no turning gyro
        limits = SafetyLimits.of(policy.spec, {"contradiction": 1e3})
        self.controller = Controller(policy, limits, on_event=self.events.append)
        self.controller.arm()
        self.period_ns = round(policy.spec.control_dt * 1e9)
        whole_ns = RECORDED * self.period_ns
        begin_ns = (PAST_DOUBLES_NS - round(hours * 1800e9)) // whole_ns * whole_ns + tally.ticks // RECORDED * whole_ns
        readings, command = record(RECORDED)
        self.robot = RecordedRobot(readings, command, self.period_ns, begin_ns - 4 * whole_ns)
        self.loop = ControlLoop(self.controller, self.robot)
        self._stand_up(replace(readings[0], position=self.controller.joints.default_pose, velocity=0 * readings[0].velocity), readings)
        self.turn = round(1 / (policy.spec.clock_hz * policy.spec.control_dt))
        self.controller._steps = tally.ticks // self.turn * self.turn
        self._expected = np.zeros((RECORDED, policy.spec.action_dim), np.float32)

    def _stand_up(self, rest: Reading, readings: list[Reading]) -> None:
        self.robot._readings = [rest]
        self.robot.requests = (Event.STAND,)
        self._ticks(RECORDED + 10)
        self.robot.requests = (Event.START,)
        self._ticks(1)
        assert self.controller.mode is Mode.POLICY, self.events
        self.robot._readings = readings
        self._ticks(-(self.robot.now // self.period_ns) % RECORDED)

    def _ticks(self, count: int) -> None:
        for _ in range(count):
            deadline_ns = self.robot.now + self.period_ns
            self.robot.wait_until(deadline_ns)
            self.loop.tick(deadline_ns)

    def settle(self) -> None:
        """Until the actions repeat; then remember one period of them."""
        self._ticks(5 * RECORDED)
        for expected in self._expected:
            self._ticks(1)
            expected[:] = self.controller.action
        self.events.clear()

    def run(self, ticks: int, tick_done: Callable[[], object]) -> None:
        """Do `ticks` control steps, a multiple of `RECORDED`, and look at each."""
        tally, loop, robot, controller = self.tally, self.loop, self.robot, self.controller
        missed = loop.timing.missed
        first_ns = deadline_ns = robot.now + self.period_ns
        first_step = controller._steps
        for tick in range(ticks):
            robot.wait_until(deadline_ns)
            deadline_ns = loop.tick(deadline_ns)
            tally.drift_ns = max(tally.drift_ns, abs(deadline_ns - first_ns - (tick + 1) * self.period_ns))
            tally.stops += controller.mode is not Mode.POLICY or not robot.drives
            error = float(np.abs(controller.action - self._expected[tick % RECORDED]).max())
            tally.action_error = max(tally.action_error, error)
            tick_done()
        angle = 2 * math.pi * ((first_step + ticks) % self.turn) / self.turn
        clock = controller.policy.clock(controller._steps, controller._told)
        assert clock is not None
        error = float(np.max(np.abs(clock - np.array([math.sin(angle), math.cos(angle)], np.float32))))
        tally.clock_error = max(tally.clock_error, error, abs(controller._steps - first_step - ticks))
        tally.missed += loop.timing.missed - missed
        tally.ticks += ticks


def soak(hours: float, state: Path | None = None) -> Tally:
    """Run, or go on with, a soak of so many simulated hours."""
    tally = Tally(**json.loads(state.read_text(encoding="utf-8"))) if state is not None and state.is_file() else Tally()
    run = Soak(hours, tally)
    total = round(hours * 3600e9 / run.period_ns) // RECORDED * RECORDED
    chunk = min(30 * RECORDED, max(RECORDED, total))
    gc.collect()
    gc.disable()  # as the loop does
    try:
        run.settle()
        base = None
        with tqdm(total=total, initial=min(tally.ticks, total), unit="tick", unit_scale=True, mininterval=1.0) as bar:
            while tally.ticks < total:
                begin = time.perf_counter()
                run.run(min(chunk, total - tally.ticks), lambda: bar.update(1))
                tally.seconds += time.perf_counter() - begin
                now = resident_mib()
                base = now if base is None else base
                tally.growth_mib = max(tally.growth_mib, now - base)
                tally.save(state)
    finally:
        gc.enable()
    return tally


def counters_past_32_bits(ticks: int) -> Tally:
    """The same where step and tick counters pass 2^31 and 2^32."""
    worst = Tally()
    for size in (31, 32):
        tally = Tally(ticks=((1 << size) - ticks // 2) // RECORDED * RECORDED)
        run = Soak(1.0, tally)
        run.settle()
        run.loop.timing.ticks = tally.ticks
        run.run(max(RECORDED, ticks // RECORDED * RECORDED), lambda: None)
        worst.stops += tally.stops
        worst.clock_error = max(worst.clock_error, tally.clock_error)
        worst.action_error = max(worst.action_error, tally.action_error)
    return worst


def entries_of(tally: Tally, ticks: int) -> list[Entry]:
    """As results."""
    past = counters_past_32_bits(ticks)
    name = f"soak: {tally.ticks * 0.02 / 3600:.3g} h, {tally.ticks:,} ticks"
    tolerance = f"the {TOLERANCE:g} allowed"
    limit = f"the {GROWTH_MIB:g} MiB allowed"
    return [
        entry(f"{name}: a tick", 1e6 * tally.seconds / tally.ticks, "us"),
        entry(f"{name}: faster than real time", tally.ticks * 0.02 / tally.seconds, "x"),
        entry(f"{name}: deadlines' drift", tally.drift_ns, "ns"),
        entry(f"{name}: missed deadlines", tally.missed, "ticks"),
        entry(f"{name}: ticks out of policy", tally.stops, "ticks"),
        entry(f"{name}: error of the gait's clock", tally.clock_error, "1"),
        entry(f"{name}: difference of an action to the first period's", tally.action_error, "1", tolerance, tally.action_error / TOLERANCE),
        entry(f"{name}: growth of memory", tally.growth_mib, "MiB", limit, tally.growth_mib / GROWTH_MIB),
        entry("soak: ticks out of policy where counters pass 2^31 and 2^32", past.stops, "ticks"),
        entry("soak: error of the gait's clock there", past.clock_error, "1"),
        entry("soak: difference of an action there", past.action_error, "1", tolerance, past.action_error / TOLERANCE),
    ]


def run(options: Options) -> list[Entry]:
    """A part of an hour; `python -m benchmarks.soak` does more."""
    return entries_of(soak(0.01 if options.quick else 0.25), 200 if options.quick else 2000)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=24.0, help="simulated hours (default 24)")
    parser.add_argument("--state", type=Path, help="keep the count here and go on from it; the hours must be the same")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    entries = entries_of(soak(options.hours, options.state), 2000)
    text = json.dumps(entries, indent=1)
    if options.json is not None:
        write_text(options.json, text + "\n")
    print(text)


if __name__ == "__main__":
    main()
