"""The safety states, the only transitions between them, and the thresholds of the guards.

    zero_torque --arm--> damping --stand--> stand --start--> policy
    stand, policy --stop or trip--> damping        any --estop or latch--> fault --reset--> damping (zero_torque before arming)
    damping --reset--> damping, which starts the measure of the sensors' delay again

`zero_torque` is left only once the policy file is verified and warmed (armed); a fault before that is reset to it, so that there is no way
around the golden run. `damping` and `fault` both send damping commands (kp = 0, kd > 0); `fault` is left only by an explicit reset.
There is no other way out of `policy` than to damping or fault.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from bridge.control.joints import FloatArray
from policies.contract.spec import PolicySpec


class Mode(StrEnum):
    """Safety states."""

    ZERO_TORQUE = "zero_torque"
    DAMPING = "damping"
    STAND = "stand"
    POLICY = "policy"
    FAULT = "fault"


ACTIVE = frozenset({Mode.STAND, Mode.POLICY})
"""States in which the joints are driven to targets, so that guards react."""


class Event(StrEnum):
    """Causes of a transition: `stand`, `start`, `stop`, `estop`, `reset` from the operator; `arm`, `trip`, `latch` from within."""

    ARM = "arm"
    STAND = "stand"
    START = "start"
    STOP = "stop"
    ESTOP = "estop"
    RESET = "reset"
    TRIP = "trip"
    LATCH = "latch"


TRANSITIONS: Mapping[tuple[Mode, Event], Mode] = {
    (Mode.ZERO_TORQUE, Event.ARM): Mode.DAMPING,
    (Mode.DAMPING, Event.STAND): Mode.STAND,
    (Mode.STAND, Event.START): Mode.POLICY,
    **{(mode, event): Mode.DAMPING for mode in (Mode.STAND, Mode.POLICY) for event in (Event.STOP, Event.TRIP)},
    **{(mode, event): Mode.FAULT for mode in Mode for event in (Event.ESTOP, Event.LATCH)},
    **{(mode, Event.RESET): Mode.DAMPING for mode in (Mode.FAULT, Mode.DAMPING)},
}
"""Every transition allowed once armed; a pair that is not here is refused."""

UNARMED: Mapping[tuple[Mode, Event], Mode] = {
    **{(mode, event): Mode.FAULT for mode in Mode for event in (Event.ESTOP, Event.LATCH)},
    (Mode.FAULT, Event.RESET): Mode.ZERO_TORQUE,
}
"""Every transition allowed before that: none leads to damping, stand or policy."""


class SafetyLimitError(ValueError):
    """A threshold that does not exist or is not a number above zero."""


MOST = {
    "command_timeout_s": math.inf,
    "heartbeat_timeout_s": math.inf,
    "damping_factor": 10.0,
    "stand_s": 60.0,
    "gain_ramp_s": 60.0,
    "command_ramp_s": 10.0,
}
"""Largest values of thresholds that must not be switched off; a million for the others, which nothing real exceeds."""


@dataclass(frozen=True, kw_only=True)
class SafetyLimits:
    """Thresholds of guards, entry conditions and ramps.

    Attributes:
        sensor_timeout_s: oldest sensor message that is still acted on [s].
        frozen_s: longest time without the robot's stamps advancing [s].
        max_tilt: largest angle of the base to the vertical [rad].
        position_excess: how far a measured joint may be outside its range [rad].
        velocity_factor, effort_factor: largest measured speed and torque, as a multiple of the robot's limits.
        contradiction: how far a joint's position and the integral of its reported velocity may part within a second, beside a share of
            what moved; likewise attitude and gyro, see `bridge.control.consistency` [rad].
        max_lateness_s: how late a tick may start [s].
        max_overruns: ticks in a row that may end after the next deadline.
        command_timeout_s: age of the operator's command after which it counts as zero (velocity commands) [s].
        heartbeat_timeout_s: age of the operator's command at which the policy is stopped [s].
        jump_factor: largest change of an action's joint target in one tick, before any clip, as a multiple of the joint's range; a G1
            that walks asks for 1.1 of its waist's at times, a broken network for hundreds.
        position_margin: distance that commanded targets keep from the joint range's ends [rad].
        slew_factor: largest speed of commanded targets, as a multiple of the robot's velocity limit.
        damping_factor: kd in damping, as a multiple of the robot's kd.
        stand_s: duration of the ramp to the default pose [s].
        gain_ramp_s: duration of the gains' ramp from zero when entering stand [s].
        entry_ramp_s: time over which the targets go over from the pose held in stand to the policy's [s].
        command_ramp_s: time that the operator's velocity command takes over its whole trained range [s]: no robot turns about in a step.
        entry_pose: largest distance of a joint from the default pose when the policy starts [rad].
        entry_tilt: largest tilt when the policy starts [rad].
        entry_speed: largest joint speed when the policy starts [rad/s].
    """

    sensor_timeout_s: float = 0.06
    frozen_s: float = 0.06
    max_tilt: float = 1.0
    position_excess: float = 0.1
    velocity_factor: float = 1.5
    effort_factor: float = 1.1
    contradiction: float = 0.4
    max_lateness_s: float = 0.04
    max_overruns: float = 3
    command_timeout_s: float = 0.5
    heartbeat_timeout_s: float = 2.0
    jump_factor: float = 2.0
    position_margin: float = 0.01
    slew_factor: float = 2.0
    damping_factor: float = 1.0
    stand_s: float = 2.0
    gain_ramp_s: float = 0.5
    entry_ramp_s: float = 0.2
    command_ramp_s: float = 1.0
    entry_pose: float = 0.35
    entry_tilt: float = 0.3
    entry_speed: float = 1.0

    @staticmethod
    def of(spec: PolicySpec, overrides: Mapping[str, float] | None = None) -> SafetyLimits:
        """The thresholds for a policy.

        A goal is a set point that stays valid, so goal policies have no command time-outs unless they are asked for.

        Args:
            spec: the contract.
            overrides: field name -> value.

        Raises:
            SafetyLimitError: unknown name, or a value that is not above zero.
        """
        values: dict[str, float] = {"max_tilt": spec.robot.max_tilt, "max_lateness_s": max(2 * spec.control_dt, 0.01)}
        if spec.command.name != "velocity":
            values |= {"command_timeout_s": math.inf, "heartbeat_timeout_s": math.inf}
        known = [field.name for field in dataclasses.fields(SafetyLimits)]
        for name, value in (overrides or {}).items():
            if name not in known:
                raise SafetyLimitError(f"unknown safety limit {name!r}; known: {', '.join(known)}")
            most = MOST.get(name, 1e6)
            if not 0 < value <= most:
                raise SafetyLimitError(f"safety limit {name} must be above zero and at most {most:g}, not {value:g}")
            values[name] = value
        return SafetyLimits(**values)


@dataclass(frozen=True, slots=True)
class JointVectors:
    """The robot's joints in policy order: names, and vectors as float64 arrays, (J,) each; units as in `RobotSpec`."""

    names: tuple[str, ...]
    default_pose: FloatArray
    kp: FloatArray
    kd: FloatArray
    effort: FloatArray
    velocity: FloatArray
    lower: FloatArray
    upper: FloatArray

    @staticmethod
    def of(spec: PolicySpec) -> JointVectors:
        """The spec's vectors."""
        robot = spec.robot
        vectors = (robot.default_pose, robot.kp, robot.kd, robot.effort_limit, robot.velocity_limit)
        vectors = (*vectors, robot.position_lower, robot.position_upper)
        return JointVectors(robot.joint_names, *(np.array(vector, dtype=np.float64) for vector in vectors))
