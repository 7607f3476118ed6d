"""Random faults of each kind: above what a guard allows, which must end in damping, and below, which must change nothing."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

from bridge.control.safety import Mode, SafetyLimits
from bridge.faults.kinds import Fault, FaultKind
from policies.contract.spec import PolicySpec

K = FaultKind
MOVING = frozenset({K.STUCK_ENCODER, K.VELOCITY_SCALE, K.STUCK_ATTITUDE, K.GYRO_SCALE, K.INVERTED_ATTITUDE})
"""Kinds that show only while something moves."""
POLICY_ONLY = frozenset({K.OPERATOR_LOST, K.OPERATOR_NOT_FINITE, K.ACTION_NOT_FINITE, K.ACTION_JUMP}) | MOVING
"""Kinds that trip a guard only while the policy runs."""
ALWAYS_BAD = frozenset(
    {K.JOINT_NAMES, K.RIVAL, K.READ_ERROR, K.WRITE_ERROR, K.WAIT_ERROR, K.ACTION_NOT_FINITE, K.ACTION_JUMP, K.POSITION, K.TILT}
) | {K.SECOND_SENDER, K.INVERTED_ATTITUDE, K.TURNED_ATTITUDE}
"""Kinds of which none is harmless: a joint or a base that is elsewhere all at once is wrong inside its range too."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One injection.

    Attributes:
        fault: what goes wrong.
        mode: what the robot does meanwhile.
        trips: whether it is above the threshold.
        threshold_s: how long the fault has to last before a guard may speak [s].
        moment: which snapshot it begins from.
    """

    fault: Fault
    mode: Mode
    trips: bool
    threshold_s: float
    moment: int


def harmful(rng: random.Random, spec: PolicySpec, limits: SafetyLimits, kind: FaultKind, mode: Mode) -> Case:
    """A random fault of a kind above its threshold; those of duration last at least a control step, so that a tick sees them."""
    dt, joint, sign = spec.control_dt, rng.randrange(spec.robot.num_joints), rng.choice((-1.0, 1.0))
    some = rng.uniform
    size, duration, threshold, field = 0.0, some(dt, 0.2), 0.0, "position"
    if kind is K.LOSS:
        size, duration, threshold = 1.0, some(0.13, 0.5), limits.sensor_timeout_s
    elif kind is K.DELAY:
        size, duration, threshold = some(0.11, 0.5), 1.0, limits.sensor_timeout_s
    elif kind is K.FROZEN_STAMP:
        duration, threshold = some(0.13, 0.5), limits.frozen_s
    elif kind is K.REORDER:
        size, duration = 0.002 * rng.randrange(11, 25), 1.0
        threshold = 0.12  # one alone looks like a clock that was set; what follows tells, once a tick sees it
    elif kind is K.BACKWARD_STAMP:
        size = 10 ** some(math.log10(1.3 * limits.clock_step_s), 1.0)
    elif kind is K.CLOCK_SET:
        size = -(10 ** some(math.log10(1.3 * limits.clock_step_s), 1.0))
    elif kind is K.HOT_MOTOR:
        size = some(1.01, 1.5) * limits.max_motor_c
    elif kind is K.NOT_FINITE:
        field = rng.choice(("position", "velocity", "effort", "imu_quat_wxyz", "imu_angular_velocity_b"))
        size = rng.choice((math.inf, -math.inf) if field == "effort" else (math.nan, math.inf, -math.inf))
    elif kind is K.POSITION:
        size = sign * (limits.position_excess + 10 ** some(-2, 1))
    elif kind in (K.VELOCITY, K.EFFORT):
        most = spec.robot.velocity_limit if kind is K.VELOCITY else spec.robot.effort_limit
        factor = limits.velocity_factor if kind is K.VELOCITY else limits.effort_factor
        size = sign * factor * most[joint] * 10 ** some(0.005, 2)
    elif kind is K.TILT:
        size = some(1.01 * limits.max_tilt, 3.1)
    elif kind is K.JUMP:
        size = sign * some(3.0, 10.0) * limits.contradiction
    elif kind in MOVING:
        duration, threshold = 3.0, 2.0
        size = rng.choice((0.0, -1.0, 180 / math.pi, 30 / math.pi))
        joint += joint % 3 == 0  # the thigh: a hip that walks straight on moves too little to tell
    elif kind is K.SECOND_SENDER:
        duration, threshold = 1.0, 0.2
    elif kind is K.OPERATOR_LOST:
        duration, threshold = 3.0, limits.heartbeat_timeout_s
    elif kind is K.LAG:
        size, duration = some(0.1, 0.5), 1.0
        threshold = limits.sensor_timeout_s / size * duration
    elif kind is K.LATE_TICK:
        size = threshold = 0.002 * rng.randrange(math.ceil(limits.max_lateness_s / 0.002) + 1, 200)
    elif kind is K.SLOW_TICK:
        size, duration = some(dt + 0.004, 0.06), 1.0
        threshold = (limits.max_overruns + 1) * size
    elif kind in (K.OPERATOR_NOT_FINITE, K.ACTION_NOT_FINITE):
        size = rng.choice((math.nan, math.inf, -math.inf))
    elif kind is K.ACTION_JUMP:
        size = sign * 10 ** some(2, 6)
    elif kind in (K.READ_ERROR, K.WRITE_ERROR, K.WAIT_ERROR, K.RIVAL, K.JOINT_NAMES):
        duration = rng.choice((0.0, duration))
    return _case(rng, kind, mode, True, threshold, size=size, duration_s=duration, index=joint, field=field)


def harmless(rng: random.Random, spec: PolicySpec, limits: SafetyLimits, kind: FaultKind, mode: Mode) -> Case:
    """A random fault of a kind below its threshold, or one that does not matter in this mode."""
    dt, joint, sign = spec.control_dt, rng.randrange(spec.robot.num_joints), rng.choice((-1.0, 1.0))
    some = rng.uniform
    size, duration, field = 0.0, 0.0, "position"
    if kind is K.LOSS:
        size, duration = rng.choice(((1.0, 0.0), (1.0, some(0.0, limits.sensor_timeout_s - 0.006)), (some(0.05, 0.3), 1.0)))
    elif kind is K.DELAY:
        size, duration = some(0.002, limits.sensor_timeout_s - 0.012), 0.5
    elif kind is K.FROZEN_STAMP:
        duration = some(0.0, limits.frozen_s - 0.012)
    elif kind is K.REORDER:  # where nothing else arrives for the rest of a step, a longer one does bring stamps back
        size, duration = 0.002 * rng.randrange(1, 4), some(0.0, 0.5)
    elif kind is K.CLOCK_SET:
        size, duration = rng.choice((-some(0.0, 0.9) * limits.clock_step_s, some(0.0, 5.0))), 0.5
    elif kind is K.HOT_MOTOR:
        size, duration = some(0.3, 0.99) * limits.max_motor_c, 1.0
    elif kind in (K.DUPLICATE, K.BACKWARD_STAMP):
        size, duration = 0.002 * rng.randrange(1, round(dt / 0.002)), some(0.0, 0.5)
    elif kind is K.NOT_FINITE:
        field, size, duration = "effort", math.nan, 0.5
    elif kind is K.VELOCITY:  # the joint's position does not follow, so the tolerance is that of a contradiction
        size, duration = sign * some(0.1, 0.5) * limits.contradiction / dt, dt
    elif kind is K.EFFORT:
        size, duration = sign * some(0.5, 0.95) * limits.effort_factor * spec.robot.effort_limit[joint], dt
    elif kind is K.JUMP:
        size, duration = sign * some(0.0, 0.5) * limits.contradiction, some(0.0, 0.3)
    elif kind in (K.VELOCITY_SCALE, K.GYRO_SCALE):
        size, duration = some(0.8, 1.2), 1.0
    elif kind in (K.STUCK_ENCODER, K.STUCK_ATTITUDE):
        duration = some(0.0, dt)
    elif kind is K.OPERATOR_LOST:
        duration = some(0.0, 0.95) * limits.heartbeat_timeout_s
    elif kind is K.OPERATOR_NOT_FINITE:
        mode, size, duration = Mode.STAND, math.nan, 0.5
    elif kind is K.LAG:
        size, duration = some(0.0, 0.7) * limits.sensor_timeout_s, 0.5
    elif kind in (K.LATE_TICK, K.SLOW_TICK):
        size = some(0.0, 0.9) * limits.max_lateness_s
    return _case(rng, kind, mode, False, 0.0, size=size, duration_s=duration, index=joint, field=field)


def _case(rng: random.Random, kind: FaultKind, mode: Mode, trips: bool, threshold_s: float, **values: Any) -> Case:
    fault = Fault(kind=kind, at_s=rng.uniform(0.0, 0.04), **values)
    return Case(fault=fault, mode=mode, trips=trips, threshold_s=threshold_s, moment=rng.randrange(1 << 16))
