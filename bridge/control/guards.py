"""The table of guards: named checks that stop a robot if its sensors, timing, operator or policy are not in order.

A guard returns what is wrong, or None. In `stand` and `policy` a guard that trips leads to damping in the same tick, latched as `fault` if
a person must decide how to continue; in `damping` it keeps the robot from leaving. Two guards of the design act before there is a loop at
all: a bad policy file and a golden-vector mismatch make `PolicyFile` raise, and nothing is ever armed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bridge.control.joints import FloatArray
from bridge.control.reading import Inputs, Reading
from bridge.control.safety import ACTIVE, JointVectors, Mode, SafetyLimits


@dataclass(slots=True)
class Snapshot:
    """The inputs of the guards at one tick.

    Attributes:
        now_ns: time of the tick [ns].
        inputs: the controller's inputs.
        frozen_s: time since the robot's stamps last advanced [s].
        backward: whether a stamp went back since the previous tick.
        command_age_s: age of the operator's command [s]; infinite before the first.
        late_s: how late the tick started [s].
        overruns: ticks in a row that ended after the next deadline.
        lag_s: extra delay of the newest sensor message after its stamp, compared with the best one [s].
        clock_rate: rate of the sensors' clock relative to the loop's; None while unknown.
        jump, contradiction: findings of `bridge.control.consistency.Consistency`; None for none.
        commanded: whether there ever was an operator's command.
        set_by_s: amount by which the robot's clock was just set [s]; see `StampWatch`.
        doubt, slow: findings of `bridge.control.plausibility.Plausibility` over all readings so far; None for none.
        action: newest raw action, (J,); None before inference.
        target_step: change of the joint targets by the newest action [rad], (J,); None before inference.
        command_fault: why the operator's command is invalid, see `bridge.control.asked`; None if it is valid.
        periods: time between pictures in training [s], by observation group; empty for a policy that sees nothing.
        moved: how far a joint has moved since a camera's bytes last changed [rad], by group.
    """

    now_ns: int
    inputs: Inputs
    frozen_s: float = 0.0
    backward: bool = False
    command_age_s: float = math.inf
    late_s: float = 0.0
    overruns: int = 0
    lag_s: float = 0.0
    clock_rate: float | None = None
    jump: str | None = None
    contradiction: str | None = None
    set_by_s: float = 0.0
    commanded: bool = False
    doubt: str | None = None
    slow: str | None = None
    action: NDArray[np.float32] | None = None
    target_step: FloatArray | None = None
    command_fault: str | None = None
    periods: Mapping[str, float] = field(default_factory=dict[str, float])
    moved: Mapping[str, float] = field(default_factory=dict[str, float])


Check = Callable[[Snapshot, SafetyLimits, JointVectors], str | None]


@dataclass(frozen=True, slots=True)
class Guard:
    """One named check.

    Attributes:
        name: its name in logs, diagnostics and documents.
        check: returns what is wrong, or None.
        latched: whether it leads to `fault` instead of `damping`.
        modes: states in which it reacts.
        entry: whether it only prevents entering these modes, and does not end them.
    """

    name: str
    check: Check
    latched: bool = False
    modes: frozenset[Mode] = ACTIVE
    entry: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """A guard that tripped, with its message."""

    guard: Guard
    text: str


UNIT_TOLERANCE = 0.02  # error of a quaternion's length: the gravity that the policy sees is off by twice as much
DRIFT = 6e-4  # drift of two clocks, seconds per second: NTP slews at most 5e-4, quartz drifts by 1e-4
RATE_WINDOW_NS = 2_000_000_000  # messages jitter by some milliseconds, so a rate is known to half a percent
STILL_S = 0.1  # longer than between sensor messages: a clock that stood still for so long has no rate
STEP_REST_NS = 10_000_000_000  # stamps that go back more often come from messages out of order
RETURN_NS = 1_000_000_000  # time within which a stamp that went back and forward again was out of order
FORWARD_S = 0.2  # earlier than the fastest message so far, which no delay explains
GOES_ON_S = 0.05  # largest interval of messages that are still coming
OTHER_CLOCK_NS = 10_000_000_000  # between the stamps of sources that have clocks of their own
OFF_RATE = 0.02  # synchronised clocks differ by far less


def _took_ns(reading: Reading) -> list[float]:
    """How long the messages took [ns], up to what their clocks differ by: the oldest one of those of one clock, or each of its own."""
    stamps = reading.stamps_ns
    alike = max(stamps) - min(stamps) < OTHER_CLOCK_NS
    return [reading.received_ns - stamp for stamp in ((min(stamps),) if alike else stamps)]


class StampWatch:
    """Tracks when each of the robot's stamps last advanced, the smallest delay of a message after its stamp, and the rate of its clock.

    A clock that runs at 0.9 of the loop's and a wire whose delay grows by 0.1 s per second look the same. For a robot it is treated as
    delay, in `lag_s`; for a simulator (`Reading.free_clock`) as the clock's rate, and `lag_s` stays zero.

    Attributes:
        lag_s: extra delay of the newest message compared with the best one [s].
        rate: rate of the sensors' clock relative to the loop's over the last `RATE_WINDOW_NS`; None while unknown.
        set_by_s: amount by which the robot's clock was set at the newest reading [s], negative for back; 0 if it was not.
    """

    def __init__(self) -> None:
        self.set_by_s = 0.0
        self._received_ns = 0
        self._stepped: dict[int, tuple[int, int]] = {}
        self._stamps: tuple[int, ...] | None = None
        self._advanced_ns: list[int] = []
        self.restart()

    def restart(self) -> None:
        """Restart the measurement of delay and rate after the robot's clock was set or stood still. A current standstill is not
        forgotten.
        """
        self._least_ns: list[float] = []
        self._updated_ns = 0
        self._marks: deque[tuple[int, int]] = deque()
        self.lag_s, self.rate = 0.0, None

    def _too_far_back(self, index: int, back_ns: int, passed_ns: int, now_ns: int, step_s: float) -> bool:
        """Judge a stamp that went back by `back_ns`, `passed_ns` after the previous one. Returns whether it is not tolerable."""
        self.set_by_s = -back_ns * 1e-9
        lately = index in self._stepped and now_ns - self._stepped[index][0] < STEP_REST_NS
        self._stepped = {**self._stepped, index: (now_ns, back_ns)}
        return lately or passed_ns > GOES_ON_S * 1e9 or back_ns > step_s * 1e9

    def _transit(self, reading: Reading, now_ns: int) -> None:
        """Extra delay of the newest message compared with the best, which only grows by the possible drift of clocks."""
        took_ns = _took_ns(reading)
        grown_ns = DRIFT * (now_ns - self._updated_ns)
        known = len(self._least_ns) == len(took_ns)
        best = [least + grown_ns for least in self._least_ns] if known else took_ns
        self._least_ns = [min(took, least) for took, least in zip(took_ns, best, strict=True)]
        self._updated_ns = now_ns
        late = (took - least for took, least in zip(took_ns, self._least_ns, strict=True))
        self.lag_s = 0.0 if reading.free_clock else max(late) * 1e-9

    def _measure(self, reading: Reading) -> None:
        """The rate between the newest message and one `RATE_WINDOW_NS` before."""
        marks, mark = self._marks, (reading.received_ns, min(reading.stamps_ns))
        if marks and mark[0] <= marks[-1][0]:
            return
        if marks and mark[1] - marks[-1][1] > mark[0] - marks[-1][0] + RATE_WINDOW_NS:
            marks.clear()  # a clock that was set
        marks.append(mark)
        while len(marks) > 1 and mark[0] - marks[1][0] >= RATE_WINDOW_NS:
            marks.popleft()
        span_ns = mark[0] - marks[0][0]
        self.rate = (mark[1] - marks[0][1]) / span_ns if span_ns >= RATE_WINDOW_NS else None

    def update(self, reading: Reading | None, now_ns: int, step_s: float = 0.0) -> tuple[float, bool]:
        """Add the newest reading.

        Args:
            reading: the reading; None before the first.
            now_ns: time [ns] on the loop's clock.
            step_s: amount by which a clock may be set back while messages keep coming [s].

        Returns: Time since the most overdue stamp last advanced [s], and whether a stamp went back by more than `step_s`.
        """
        self.set_by_s = 0.0
        if reading is None:
            return 0.0, False
        passed_ns, self._received_ns = reading.received_ns - self._received_ns, reading.received_ns
        before, self._stamps = self._stamps, reading.stamps_ns
        if before is None or len(before) != len(reading.stamps_ns):
            self._advanced_ns = [now_ns] * len(reading.stamps_ns)
            self.restart()
            self._transit(reading, now_ns)
            return 0.0, False
        backward = False
        for index, (new, old) in enumerate(zip(reading.stamps_ns, before, strict=True)):
            if new != old:
                self._advanced_ns[index] = now_ns
            if new < old:
                backward |= self._too_far_back(index, old + passed_ns - new, passed_ns, now_ns, step_s)
            elif new != old and index in self._stepped:  # a clock that was set stays set; a message out of order is followed by newer ones
                at_ns, back_ns = self._stepped[index]
                backward |= now_ns - at_ns < RETURN_NS and new - old - passed_ns > back_ns / 2
        took_ns = _took_ns(reading)
        if len(self._least_ns) == len(took_ns) and not self.set_by_s and not reading.free_clock:
            ahead_s = max(least - took for least, took in zip(self._least_ns, took_ns, strict=True)) * 1e-9
            self.set_by_s = ahead_s if ahead_s > FORWARD_S else 0.0
        if backward or self.set_by_s:
            self.restart()  # another clock, or one that was wrong before: start again
        self._transit(reading, now_ns)
        frozen_s = (now_ns - min(self._advanced_ns)) * 1e-9
        if frozen_s > STILL_S:
            self._marks.clear()
        self._measure(reading)
        return frozen_s, backward


def tilt(quat_wxyz: FloatArray) -> float:
    """Angle between the base's z axis and the vertical [rad] of a quaternion (4,) of about unit length."""
    with np.errstate(invalid="ignore"):  # a broken quaternion gives NaN, and NaN passes no comparison
        _, x, y, _ = quat_wxyz / np.linalg.norm(quat_wxyz)
    return math.acos(float(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0)))


def _joint_set(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    return s.inputs.wire_fault


def _with_hint(said: str, hint: str) -> str:
    return f"{said}: {hint}" if hint else said


def _stale_sensor(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.inputs.reading is None:
        return _with_hint("no sensor message yet", s.inputs.sensor_hint)
    age_s = (s.now_ns - s.inputs.reading.received_ns) * 1e-9
    return None if age_s <= limits.sensor_timeout_s else _with_hint(f"no sensor message for {age_s * 1e3:.0f} ms", s.inputs.sensor_hint)


def _stamps(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.backward:
        by = f" by {-s.set_by_s:.2g} s" if s.set_by_s < 0 else ""
        return (
            f"the robot's time stamp went back{by}: its clock was set, it restarted, or messages come out of order (set clocks beforehand)"
        )
    return None if s.frozen_s <= limits.frozen_s else f"the robot's time stamp stands still for {s.frozen_s * 1e3:.0f} ms"


def _late(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.lag_s <= limits.sensor_timeout_s:
        return None
    said = f"sensor messages are {s.lag_s * 1e3:.0f} ms late by their stamps"
    if s.clock_rate is not None and abs(s.clock_rate - 1.0) > OFF_RATE:
        said += f", whose clock runs at {s.clock_rate:.2f} of this computer's (a simulator's, over ROS 2, needs use_sim_time)"
    return f"{said}; if the robot's clock was set or stood still, reset restarts the measurement"


def _finite_sensor(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    reading = s.inputs.reading
    if reading is None:
        return None
    sources = (
        ("joint position", reading.position),
        ("joint velocity", reading.velocity),
        ("IMU attitude", reading.imu_quat_wxyz),
        ("IMU angular velocity", reading.imu_angular_velocity_b),
    )
    for name, values in sources:
        if values is not None and not np.isfinite(values).all():
            none = "; drivers use NaN for missing values" if np.isnan(values).any() else ""
            return f"{name} is not finite: {values.tolist()}{none}"
    if reading.imu_quat_wxyz is None:
        return None
    norm = float(np.linalg.norm(reading.imu_quat_wxyz))
    if norm == 0.0:
        return "IMU attitude is the zero quaternion: the driver fills in no orientation"
    if abs(norm - 1.0) > UNIT_TOLERANCE:
        return f"IMU attitude is not a unit quaternion, its length is {norm:.3g}: {reading.imu_quat_wxyz.tolist()}"
    return None


def _tilt(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.inputs.reading is None or s.inputs.reading.imu_quat_wxyz is None:
        return None
    angle = tilt(s.inputs.reading.imu_quat_wxyz)
    if angle <= limits.max_tilt:
        return None
    said = f"the base is tilted by {angle:.2f} rad, allowed {limits.max_tilt:.2f}"
    return f"{said}; {NOT_TILTED}" if angle > max(LYING, limits.max_tilt) else said


LYING = 1.3  # [rad]: a robot that lies on its side, according to its attitude
NOT_TILTED = (
    "if it is not, its quaternion is in another order (x, y, z, w in ROS; w, x, y, z in Unitree's messages) or another frame (z up), or "
    "the IMU is mounted rotated"
)
DEGREES, A_TURN = 3.0, 2 * math.pi  # multiple of the limit, and [rad]: larger values have other units


def _units(said: str | None, value: FloatArray, most: FloatArray, unit: str) -> str | None:
    """Add to the message about an impossible value that it may be in degrees; most (J,) is the largest possible value."""
    far = np.abs(value) > np.maximum(DEGREES * np.abs(most), A_TURN)
    return f"{said} (in degrees? it must be in {unit})" if said is not None and far.any() else said


def _worst(value: FloatArray, lower: FloatArray, upper: FloatArray, joints: JointVectors, what: str) -> str | None:
    """Name the joint whose value is furthest beyond its limits; NaN entries are ignored."""
    excess = np.maximum(lower - value, value - upper)
    if not (excess > 0).any():
        return None
    joint = int(np.nanargmax(excess))
    limit = upper[joint] if value[joint] > upper[joint] else lower[joint]
    return f"{what} of {joints.names[joint]} is {value[joint]:.3g}, allowed {limit:.3g}"


def _joint_position(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.inputs.reading is None:
        return None
    margin, position = limits.position_excess, s.inputs.reading.position
    said = _worst(position, joints.lower - margin, joints.upper + margin, joints, "position [rad]")
    return _units(said, position, np.maximum(np.abs(joints.lower), np.abs(joints.upper)), "rad")


def _joint_velocity(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.inputs.reading is None:
        return None
    most = limits.velocity_factor * joints.velocity
    said = _worst(s.inputs.reading.velocity, -most, most, joints, "velocity [rad/s]")
    return _units(said, s.inputs.reading.velocity, joints.velocity, "rad/s")


def _joint_effort(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.inputs.reading is None:
        return None
    most = limits.effort_factor * joints.effort
    return _worst(s.inputs.reading.effort, -most, most, joints, "torque [N m]")


def _jump(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    return s.jump


def _contradiction(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    doubt = None if s.doubt is None else f"{s.doubt} (it may stand once they agree, or after reset)"
    return "; ".join(said for said in (s.contradiction, doubt) if said is not None) or None


def _slow(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    return s.slow


def _hottest(s: Snapshot, joints: JointVectors, most: float) -> str | None:
    """The hottest motor above a temperature [C], in words."""
    celsius = s.inputs.temperature
    if celsius is None or not (celsius > most).any():
        return None
    joint = int(np.nanargmax(celsius))
    return f"the motor of {joints.names[joint]} has {celsius[joint]:.0f} C, allowed {most:g}"


def _hot(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    said = _hottest(s, joints, limits.hot_motor_c)
    return None if said is None else f"{said} to stand up: let it cool"


def _too_hot(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    return _hottest(s, joints, limits.max_motor_c)


def _overrun(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.late_s > limits.max_lateness_s:
        return f"the tick started {s.late_s * 1e3:.1f} ms late"
    return None if s.overruns <= limits.max_overruns else f"{s.overruns} ticks in a row took longer than their period"


def _heartbeat(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.inputs.command is None:
        yet = "no operator command yet (a velocity or goal by topic, remote or keys, or --command)"
        said = "the operator's command has ended" if s.commanded else yet
        return _with_hint(said, s.inputs.command_hint)
    if s.command_age_s <= limits.heartbeat_timeout_s:
        return None
    return _with_hint(f"no operator command for {s.command_age_s:.1f} s", s.inputs.command_hint)


def _finite_command(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    return None if s.command_fault is None else f"operator command {s.command_fault}"


def _rival(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.inputs.rivals is None:
        return "still listening for other publishers on the robot's topics"
    if s.inputs.rivals == 0:
        return None
    return "; ".join(s.inputs.rival_names) or f"{s.inputs.rivals} other publishers on the robot's command topic"


def _finite_action(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    return None if s.action is None or np.isfinite(s.action).all() else "the policy's action is not finite"


def _jumping_action(s: Snapshot, limits: SafetyLimits, joints: JointVectors) -> str | None:
    if s.target_step is None:
        return None
    room = joints.upper - joints.lower
    most = limits.jump_factor * np.where(np.isfinite(room), room, 2 * math.pi)  # an unlimited joint: one turn
    return _worst(s.target_step, -most, most, joints, "change of target [rad]")


POLICY_ONLY = frozenset({Mode.POLICY})

INPUT_GUARDS: tuple[Guard, ...] = (
    Guard("joint_set", _joint_set, latched=True),
    Guard("stale_sensor", _stale_sensor),
    Guard("sensor_stamps", _stamps),
    Guard("late_sensor", _late),
    Guard("finite_sensor", _finite_sensor, latched=True),
    Guard("tilt", _tilt, latched=True),
    Guard("joint_position", _joint_position, latched=True),
    Guard("joint_velocity", _joint_velocity, latched=True),
    Guard("joint_effort", _joint_effort, latched=True),
    Guard("sensor_jump", _jump),
    Guard("sensor_contradiction", _contradiction),
    Guard("deadline_overrun", _overrun),
    Guard("second_publisher", _rival),
    Guard("operator_heartbeat", _heartbeat, modes=POLICY_ONLY),
    Guard("finite_command", _finite_command, modes=POLICY_ONLY),
)
"""Checked at every tick, before anything else."""

ROBOT_GUARDS: tuple[Guard, ...] = (
    Guard("slow_sensor", _slow, entry=True),
    Guard("hot_motor", _hot, entry=True),
    Guard("motor_limit", _too_hot),
)
"""Also checked at every tick: prevents standing up but does not end a running state, except where a limit says so."""

ACTION_GUARDS: tuple[Guard, ...] = (
    Guard("finite_action", _finite_action, latched=True, modes=POLICY_ONLY),
    Guard("jumping_action", _jumping_action, latched=True, modes=POLICY_ONLY),
)
"""Checked after inference, before anything is sent."""

EXCEPTION = Guard("exception", lambda s, limits, joints: None, latched=True, modes=frozenset(Mode))
"""Represents any exception inside a tick."""


def run_guards(guards: tuple[Guard, ...], snapshot: Snapshot, limits: SafetyLimits, joints: JointVectors) -> list[Problem]:
    """All guards that trip, in the table's order."""
    said = ((guard, guard.check(snapshot, limits, joints)) for guard in guards)
    return [Problem(guard, text) for guard, text in said if text is not None]
