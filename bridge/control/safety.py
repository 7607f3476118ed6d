"""The safety states, the only transitions between them, and the thresholds of the guards.

    zero_torque --arm--> damping --stand--> stand --start--> policy
    stand, policy --stop or trip--> damping        any --estop or latch--> fault --reset--> damping (zero_torque before arming)
    damping --reset--> damping, which restarts the measurement of the sensors' delay

`zero_torque` is left only once the policy file is verified and warmed (armed); a fault before that is reset to it, so that the golden run
cannot be bypassed. `damping` and `fault` both send damping commands (kp = 0, kd > 0); `fault` is left only by an explicit reset. There is
no other way out of `policy` than to damping or fault.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
    """Causes of a transition: `stand`, `start`, `stop`, `estop`, `reset` from the operator; `arm`, `trip`, `latch` from the controller."""

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
"""Every transition allowed once armed; other pairs are refused."""

UNARMED: Mapping[tuple[Mode, Event], Mode] = {
    **{(mode, event): Mode.FAULT for mode in Mode for event in (Event.ESTOP, Event.LATCH)},
    (Mode.FAULT, Event.RESET): Mode.ZERO_TORQUE,
}
"""Every transition allowed before that: none leads to damping, stand or policy."""


class SafetyLimitError(ValueError):
    """A threshold does not exist or is not a number above zero."""


MOST = {
    "command_timeout_s": math.inf,
    "max_motor_c": math.inf,
    "heartbeat_timeout_s": math.inf,
    "damping_factor": 10.0,
    "stand_s": 60.0,
    "picture_hold_s": 60.0,
    "picture_rate": 1.0,
    "gain_ramp_s": 60.0,
    "command_ramp_s": 10.0,
}
"""Largest values of thresholds that must not be switched off; a million for the others."""


def limit(default: float, unit: str, help: str) -> Any:  # noqa: A002
    """A threshold's field.

    Args:
        default: its value unless the policy's robot or the user sets another.
        unit: of the value; empty for a number without one.
        help: one line.
    """
    return dataclasses.field(default=default, metadata={"unit": unit, "help": help})


@dataclass(frozen=True, kw_only=True)
class SafetyLimits:
    """Thresholds of guards, entry conditions and ramps. Each field has its help text: `robolearn deploy --help` lists them."""

    sensor_timeout_s: float = limit(0.06, "s", "largest age of a sensor message")
    frozen_s: float = limit(0.06, "s", "longest time without the robot's stamps advancing")
    clock_step_s: float = limit(0.1, "s", "amount by which the robot's clock may be set back while its messages keep coming, once in 10 s")
    max_tilt: float = limit(1.0, "rad", "largest angle between the base and the vertical")
    position_excess: float = limit(0.1, "rad", "largest distance of a measured joint outside its range")
    velocity_factor: float = limit(1.5, "", "largest measured joint speed, as a multiple of the robot's limit")
    effort_factor: float = limit(1.1, "", "largest measured joint torque, as a multiple of the robot's limit")
    contradiction: float = limit(  # also for attitude and gyro, see `bridge.control.consistency`
        0.4,
        "rad",
        "largest difference of a joint's position and the integral of its reported velocity within a second, besides a share of the "
        "movement",
    )
    max_lateness_s: float = limit(0.04, "s", "largest delay of a tick's start")
    max_overruns: float = limit(3, "", "ticks in a row that may end after the next deadline")
    command_timeout_s: float = limit(0.5, "s", "age at which an operator's velocity command becomes zero")
    heartbeat_timeout_s: float = limit(2.0, "s", "age of the operator's command at which the policy is stopped")
    jump_factor: float = limit(  # a walking G1 sometimes changes its waist's target by 1.1 ranges, a broken network by hundreds
        2.0, "", "largest change of an action's joint target in one tick, before any clip, as a multiple of the joint's range"
    )
    warm_motor_c: float = limit(80.0, "C", "temperature of a motor above which a line warns of it (if the wire reports temperatures)")
    hot_motor_c: float = limit(95.0, "C", "temperature of a motor above which the robot may not stand up")
    max_motor_c: float = limit(math.inf, "C", "temperature of a motor at which a driven robot is damped; off unless given")
    picture_timeout_s: float = limit(0.3, "s", "largest age of a camera's newest picture; at least 3 of the camera's periods")
    picture_age_s: float = limit(0.3, "s", "largest time that a picture is behind the joints' reading, by their stamps; likewise")
    picture_frozen_s: float = limit(0.3, "s", "longest time with one stamp, or with one picture while the robot moves; likewise")
    picture_motion: float = limit(0.1, "rad", "movement of a joint that has to change a picture")
    picture_dark: float = limit(0.02, "", "least brightness of a picture, from 0 to 1 (depth: share of pixels that are measured)")
    picture_flat: float = limit(0.004, "", "least contrast of a picture: its standard deviation, from 0 to 1")
    picture_rate: float = limit(0.5, "", "least rate of pictures, as a share of the rate in training")
    picture_hold_s: float = limit(2.0, "s", "longest time that the last target is held for want of pictures (--image-fault hold)")
    position_margin: float = limit(0.01, "rad", "distance that commanded targets keep from the joint range's ends")
    slew_factor: float = limit(2.0, "", "largest speed of commanded targets, as a multiple of the robot's velocity limit")
    damping_factor: float = limit(1.0, "", "kd in damping, as a multiple of the robot's kd")
    stand_s: float = limit(2.0, "s", "duration of the ramp to the default pose")
    gain_ramp_s: float = limit(0.5, "s", "duration of the gains' ramp from zero when entering stand")
    entry_ramp_s: float = limit(0.2, "s", "time over which the targets blend from the pose held in stand to the policy's")
    # no robot can reverse in one step
    command_ramp_s: float = limit(1.0, "s", "time in which the operator's velocity command may cross its whole trained range")
    entry_pose: float = limit(0.35, "rad", "largest distance of a joint from the default pose when the policy starts")
    entry_tilt: float = limit(0.3, "rad", "largest tilt when the policy starts")
    entry_speed: float = limit(1.0, "rad/s", "largest joint speed when the policy starts")

    @staticmethod
    def of(spec: PolicySpec, overrides: Mapping[str, float] | None = None) -> SafetyLimits:
        """The thresholds for a policy.

        A command that does not expire, such as a goal, stays valid, so policies with one have no command time-outs unless they are set.

        Args:
            spec: the contract.
            overrides: field name -> value.

        Raises:
            SafetyLimitError: unknown name, or a value that is not above zero.
        """
        robot = spec.robot
        values: dict[str, float] = {"max_tilt": robot.max_tilt, "max_lateness_s": max(2 * spec.control_dt, 0.01)}
        values |= {"warm_motor_c": robot.warm_motor_c, "hot_motor_c": robot.hot_motor_c}
        slowest_s = max((group.every * spec.control_dt for group in spec.observation if group.image is not None), default=0.0)
        values |= {name: max(0.3, 3 * slowest_s) for name in ("picture_timeout_s", "picture_age_s", "picture_frozen_s")}
        if not spec.command.ages:
            values |= {"command_timeout_s": math.inf, "heartbeat_timeout_s": math.inf}
        for name, value in (overrides or {}).items():
            check_limit(name, value)
            values[name] = value
        return SafetyLimits(**values)


def check_limit(name: str, value: float) -> None:
    """Refuse an unknown threshold or an invalid value.

    Raises:
        SafetyLimitError: unknown name, or a value that is not above zero, or too large.
    """
    known = [field.name for field in dataclasses.fields(SafetyLimits)]
    if name not in known:
        raise SafetyLimitError(f"unknown safety limit {name!r}; known: {', '.join(known)}")
    most = MOST.get(name, 1e6)
    if not 0 < value <= most:
        raise SafetyLimitError(f"safety limit {name} must be above zero and at most {most:g}, not {value:g}")


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
