"""A thousand faults on a walking and on a standing Go1: how many go unnoticed, and how long each takes to end in damping.

Physics, guards, limits and loop are those of `robolearn deploy --transport sim`. The robot stands up and walks once; each fault then begins
from a snapshot of that, at a random moment. Faults above a threshold must end in damping, those below must change nothing. Time counts on
the simulated clock, from the first bad input (for silence: from the threshold's end) to the first damping command on the wire.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from tqdm import tqdm

from benchmarks.common import Entry, Options, entry, say
from benchmarks.fault_cases import ALWAYS_BAD, POLICY_ONLY, Case, harmful, harmless
from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.safety import ACTIVE, Event, Mode, SafetyLimits
from bridge.faults.injection import FaultyTransport
from bridge.faults.kinds import PICTURE_KINDS, FaultKind
from bridge.simulated.physics import PhysicsRobot
from bridge.transports.sim import SimTransport
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec

ROOT = Path(__file__).resolve().parent.parent
POLICY, MJCF = ROOT / "policies" / "zoo" / "go1-velocity.onnx", ROOT / "envs" / "robots" / "go1" / "go1.xml"
LIMIT_MS = 100.0
K = FaultKind
OF_BLIND = [kind for kind in FaultKind if kind not in PICTURE_KINDS]  # Go1 sees nothing; those of cameras have tests/bridge/test_seeing.py


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a case.

    Attributes:
        guard: what tripped; empty if nothing did.
        time_ms: from the first bad input beyond the threshold to the first damping command [ms]; infinite if none came.
        total_ms: the same from the fault's first effect.
        held: whether no command drove the robot after that.
    """

    case: Case
    guard: str
    time_ms: float
    total_ms: float
    held: bool

    @property
    def good(self) -> bool:
        """Whether it is as it must be."""
        return (self.held and self.time_ms <= LIMIT_MS) if self.case.trips else not self.guard


class Stage:
    """A Go1 with snapshots of it standing and walking.

    Attributes:
        spec, limits: of its policy.
        moments: snapshots to begin from, by mode.
    """

    def __init__(self, policy: Path = POLICY, moments: int = 50, command: tuple[float, ...] = (0.6, 0.0, 0.3)) -> None:
        """Stand up, walk, and take `moments` snapshots of each, one a control step."""
        self._policy = PolicyFile(policy)
        self.spec: PolicySpec = self._policy.spec
        self.limits = SafetyLimits.of(self.spec, {"max_motor_c": 110.0})
        self._robot = PhysicsRobot(self.spec.robot, MJCF, 0.002)
        self._wire = SimTransport(self._robot, self.spec.robot.joint_names, np.array(command))
        self.events: list[Any] = []
        self.controller = Controller(self._policy, self.limits, on_event=lambda event: self.events.append(event))
        self.controller.arm()
        self._wire.on_reading = self.controller.hear
        self.period_ns = round(self.spec.control_dt * 1e9)
        loop = ControlLoop(self.controller, self._wire)
        self.moments: dict[Mode, list[Callable[[], None]]] = {mode: [] for mode in ACTIVE}
        for mode, event, settle_s in ((Mode.STAND, Event.STAND, self.limits.stand_s), (Mode.POLICY, Event.START, 1.0)):
            self._tick(loop)
            self._wire.requests.append(event)
            for _ in range(round((settle_s + 0.1) / self.spec.control_dt)):
                self._tick(loop)
            for _ in range(moments):
                self._tick(loop)
                self.moments[mode].append(self._snapshot())
            assert self.controller.mode is mode, self.events

    def _tick(self, loop: ControlLoop) -> None:
        deadline_ns = self._wire.now_ns() + self.period_ns
        self._wire.wait_until(deadline_ns)
        loop.tick(deadline_ns)

    def _snapshot(self) -> Callable[[], None]:
        """What puts everything back as it is now."""
        robot, kind = self._robot, mujoco.mjtState.mjSTATE_INTEGRATION
        model, data = robot.model, robot.data
        state = np.zeros(mujoco.mj_stateSize(model, kind))
        mujoco.mj_getState(model, data, state, kind)
        arrays = [(array, array.copy()) for array in (model.actuator_gainprm, model.actuator_biasprm, data.actuator_force)]
        plain = {name: value for name, value in vars(robot).items() if isinstance(value, float | int)}
        wire = {"_now_ns": self._wire.now_ns()}
        controller, watch = dict(vars(self.controller)), copy.deepcopy(self.controller._watch)
        consistency, plausibility = copy.deepcopy(self.controller._consistency), copy.deepcopy(self.controller.plausibility)
        limiter = dict(vars(self.controller.limiter))
        memory = {name: value.copy() for name, value in self._policy.memory.items()}

        def restore() -> None:
            mujoco.mj_setState(model, data, state, kind)
            for array, value in arrays:
                array[:] = value
            vars(robot).update(plain)
            vars(self._wire).update(wire)
            vars(self.controller).update(controller, _watch=copy.deepcopy(watch), _plan=[], policy=self._policy)
            self.controller._consistency = copy.deepcopy(consistency)
            self.controller.plausibility = copy.deepcopy(plausibility)
            vars(self.controller.limiter).update(limiter)
            self._policy.reset()
            for name, value in memory.items():
                self._policy.memory[name][:] = value
            self._wire.requests.clear()
            self.events.clear()

        return restore

    def run(self, case: Case, seed: int) -> Outcome:
        """Inject."""
        self.moments[case.mode][case.moment % len(self.moments[case.mode])]()
        wire = FaultyTransport(self._wire, self.spec, seed=seed)
        self._wire.on_reading, wire.on_reading = None, self.controller.hear
        wire.read()  # what arrived last before the fault
        injection = wire.add(case.fault)
        self.controller.policy = wire.policy(self._policy)
        loop = ControlLoop(self.controller, wire)
        deadline_ns = wire.now_ns() + self.period_ns
        patience_s = case.threshold_s + 0.4 if case.trips else case.fault.duration_s + 0.3
        end_ns = injection.begin_ns + round(patience_s * 1e9)
        damped_ns, held, after = None, True, 0
        while deadline_ns <= end_ns and after < 4:
            loop._wait(deadline_ns)
            deadline_ns = loop.tick(deadline_ns)
            alone = case.fault.kind is K.WRITE_ERROR and self._robot.damped  # where nothing gets through, the robot's watchdog has to act
            if damped_ns is None and (alone or (wire.sent is not None and not wire.sent[1])):
                damped_ns = wire.sent[0] if wire.sent is not None and not alone else wire.now_ns()
            elif damped_ns is not None and wire.sent is not None:
                after, held = after + 1, held and self._robot.damped
        cause = next((event["cause"] for event in self.events if event["event"] == "transition"), "")
        if damped_ns is None or injection.onset_ns is None:
            return Outcome(case=case, guard=cause.partition(":")[0], time_ms=math.inf, total_ms=math.inf, held=False)
        total_ms = (damped_ns - injection.onset_ns) * 1e-6
        time_ms = max(0.0, total_ms - case.threshold_s * 1e3)
        held = held and self.controller.mode not in ACTIVE
        return Outcome(case=case, guard=cause.partition(":")[0], time_ms=time_ms, total_ms=total_ms, held=held)


def campaign(stage: Stage, count: int, seed: int) -> list[Outcome]:
    """`count` faults above and a quarter as many below their thresholds, all kinds in turn."""
    rng = random.Random(seed)
    # an attitude that is turned in mid-walk shows as far as the trunk sways, and Go1's hardly does; before `stand` it is refused
    above = [kind for kind in OF_BLIND if kind not in (K.DUPLICATE, K.TURNED_ATTITUDE)]
    below = [kind for kind in OF_BLIND if kind not in ALWAYS_BAD]
    outcomes: list[Outcome] = []
    for index in tqdm(range(count + count // 4), unit="fault", mininterval=1.0, disable=None):
        trips, kinds = index < count, above if index < count else below
        kind = kinds[index % len(kinds)]
        mode = Mode.POLICY if kind in POLICY_ONLY and trips else rng.choice((Mode.STAND, Mode.POLICY))
        case = (harmful if trips else harmless)(rng, stage.spec, stage.limits, kind, mode)
        outcomes.append(stage.run(case, rng.randrange(1 << 30)))
    return outcomes


def run(options: Options) -> list[Entry]:
    """The campaign."""
    count, begin = (60 if options.quick else 1000), time.perf_counter()
    stage = Stage(moments=4 if options.quick else 50)
    outcomes = campaign(stage, count, seed=0)
    bad = [outcome for outcome in outcomes if not outcome.good]
    for outcome in bad:
        say(f"faults: {'missed' if outcome.case.trips else 'false trip'}: {outcome}")
    above = [outcome for outcome in outcomes if outcome.case.trips]
    missed = sum(outcome.case.trips for outcome in bad)
    entries = [
        entry(f"faults: {len(above)} injected, missed", missed, "faults"),
        entry(f"faults: {len(outcomes) - len(above)} below a threshold, false trips", len(bad) - missed, "faults"),
        entry("faults: a campaign", time.perf_counter() - begin, "s"),
    ]
    limit = f"the {LIMIT_MS:.0f} ms allowed"
    for guard in sorted({outcome.guard for outcome in above if outcome.good}):
        times = [outcome.time_ms for outcome in above if outcome.good and outcome.guard == guard]
        for what, value in (("p99", float(np.percentile(times, 99))), ("max", max(times))):
            entries.append(entry(f"faults: {guard} ({len(times)}), damped after, {what}", value, "ms", limit, value / LIMIT_MS))
    total = max((outcome.total_ms for outcome in above if outcome.good), default=0.0)
    entries.append(entry("faults: longest from a fault's first effect, its threshold included", total, "ms"))
    return entries
