"""Checks that a robot's sensor readings are consistent over time.

Two checks, for each joint, and for the base's attitude with its gyro. q is a position, dq the velocity reported with it:

    jump          |q1 - q0| > most possible speed * (t1 - t0)
    contradiction e = q - integral of dq dt; over the last `WINDOW_S`, max e - min e > tolerance + 0.3 * the larger movement of the two

With consistent readings e does not change, whatever the robot does: falls, impacts, a person who lifts it. A velocity that is always zero,
a stuck encoder, a wrong sign, degrees or revolutions per minute, and a second sender whose messages are mixed with the robot's change e by
as much as the joint moves. The tolerance covers what good sensors cannot avoid: noise, filtered and late velocities, and the trapezoids of
the integral; it grows with the largest gap between two readings. docs/reliability.md has the margins as measured.

For the base only the tilt relative to gravity is checked: no policy uses its heading, and good drivers may lack it, let it jump when a
magnetometer corrects it, or restart it. If an attitude does not change at all, the whole gyro signal is compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.control.joints import FloatArray
from bridge.control.reading import Reading
from bridge.control.safety import JointVectors, SafetyLimits

WINDOW_S = 1.0  # more than a step of a walking robot
ROW_S = 0.015  # faster readings share a row, so that a second has 70 rows at any rate
LONGEST_GAP_S = 0.05  # over longer gaps, an integral from its two ends is meaningless
USUAL_GAP_S = 0.02  # the tolerance is for readings at most this far apart
SHARE = 0.3  # share of the movement; a velocity in other units is off by more
BASE_SPEED = 24.0  # [rad/s], as a joint's limit: with `velocity_factor` it is 2,000 degrees a second, where gyros end
NOISE, BASE_NOISE, SLACK_S = 0.05, 0.15, 0.002  # noise of two positions and of two attitudes [rad], and of two stamps
STEADY_SHARE, STUCK_SHARE = 0.3, 0.4  # share of the tolerance if a velocity or a position never changes, since it has no noise either
QUICK_JOINT = 20.0  # [rad/s]: joints with this speed limit or more get the whole tolerance, slower ones less, down to a third
BASE_SHARE = 0.8  # share of the tolerance for the base, which is heavier than a leg
LEAST_LEVEL = 10  # readings
WHOLE_TURN = 2 * math.pi - 0.1  # a joint with this range may turn without limit, with an encoder that wraps


class Track:
    """C positions with their C velocities over the last `WINDOW_S`.

    Attributes:
        jump: (channel, step [rad], the most that is possible [rad], gap [s]) of the newest reading; None if all are possible.
        contradiction: (channel, movement of the position, movement by the velocity [rad]); None if all fit.
    """

    def __init__(self, share: FloatArray, noise: FloatArray, wraps: NDArray[np.bool_]) -> None:
        """Begin without history.

        Args:
            share: share of the tolerance, (C,).
            noise: difference of two positions due to noise [rad], (C,).
            wraps: whether a position is only known up to whole turns, (C,).
        """
        self._share, self._noise, self._wraps = share, noise, wraps
        count, rows = len(share), round(WINDOW_S / ROW_S) + 2
        self._moved, self._told = np.zeros(count), np.zeros(count)
        self._rows = np.zeros((rows, 2, count))
        self._steady_rows = np.zeros((rows, 2, count), np.bool_)
        self._times_ns, self._gaps_s = np.zeros(rows, np.int64), np.zeros(rows)
        self.restart()

    def restart(self) -> None:
        """Forget everything."""
        self._velocity: FloatArray | None = None
        self._filled = self._row_ns = 0
        self._gap_s = 0.0
        self._steady = np.ones((2, len(self._share)), np.bool_)
        self.jump: tuple[int, float, float, float] | None = None
        self.contradiction: tuple[int, float, float] | None = None

    def update(
        self,
        time_ns: int,
        gap_s: float,
        step: FloatArray,
        velocity: FloatArray,
        most_speed: FloatArray,
        tolerance: float,
        unheard: FloatArray | None = None,
    ) -> None:
        """Add a reading.

        Args:
            time_ns: time of the reading.
            gap_s: time since the previous one [s], above zero.
            step: change of the positions since then [rad], (C,).
            velocity: [rad/s], (C,).
            most_speed: largest possible speed [rad/s], (C,).
            tolerance: see `SafetyLimits.contradiction` [rad].
            unheard: direction that is missing in `step` and ignored in velocities, (C,) with length 1; None for none.
        """
        step = np.where(self._wraps, (step + math.pi) % (2 * math.pi) - math.pi, step)
        possible = most_speed * (gap_s + SLACK_S) + self._noise
        worst = int(np.argmax(np.abs(step) - possible))
        self.jump = (worst, float(step[worst]), float(possible[worst]), gap_s) if abs(step[worst]) > possible[worst] else None
        before = velocity if self._velocity is None else self._velocity
        told = step if gap_s > LONGEST_GAP_S else (velocity + before) * (gap_s / 2)
        told = told if unheard is None else told - unheard * (unheard @ told)
        self._moved += step
        self._told += told
        self._steady[0] &= velocity == before
        self._steady[1] &= step == 0.0
        self._gap_s = max(self._gap_s, min(gap_s, LONGEST_GAP_S))
        self._velocity = velocity
        if not self._filled or time_ns - self._row_ns >= ROW_S * 1e9:
            self._add_row(time_ns)
            self._judge(time_ns, tolerance)

    def begin(self, time_ns: int, velocity: FloatArray) -> None:
        """Add the first reading."""
        self.restart()
        self._velocity = velocity
        self._add_row(time_ns)

    def _add_row(self, time_ns: int) -> None:
        row = self._filled % len(self._times_ns)
        self._rows[row, 0], self._rows[row, 1] = self._moved, self._told
        self._steady_rows[row], self._times_ns[row], self._gaps_s[row] = self._steady, time_ns, self._gap_s
        self._filled, self._row_ns = self._filled + 1, time_ns
        self._steady = np.ones_like(self._steady)
        self._gap_s = 0.0

    def _judge(self, time_ns: int, tolerance: float) -> None:
        filled = min(self._filled, len(self._times_ns))
        recent = self._times_ns[:filled] >= time_ns - round(WINDOW_S * 1e9)
        rows = self._rows[:filled][recent]
        difference = rows[:, 0] - rows[:, 1]
        apart = difference.max(axis=0) - difference.min(axis=0)
        moved, told = rows.max(axis=0) - rows.min(axis=0)
        gap_s = max(USUAL_GAP_S, float(self._gaps_s[:filled][recent].max()))
        steady = np.logical_and.reduce(self._steady_rows[:filled][recent][1:], axis=0)
        quiet = np.where(steady[0], STEADY_SHARE, np.where(steady[1], STUCK_SHARE, 1.0)) if len(rows) > 2 else 1.0
        allowed = tolerance * self._share * quiet * (gap_s / USUAL_GAP_S)
        excess = apart - allowed - SHARE * np.maximum(moved, told)
        worst = int(np.argmax(excess))
        self.contradiction = (worst, float(moved[worst]), float(told[worst])) if excess[worst] > 0 else None


@dataclass(frozen=True, slots=True)
class Seen:
    """One sensor's newest message: its stamp and arrival [ns], and its value."""

    stamp_ns: int
    received_ns: int
    value: FloatArray

    def gap_s(self, stamp_ns: int, received_ns: int) -> float:
        """Time to the next message [s], by the robot's stamps; by arrival if these went back."""
        gap_ns = stamp_ns - self.stamp_ns
        return max(gap_ns if gap_ns > 0 else received_ns - self.received_ns, 1_000) * 1e-9


class Consistency:
    """Follows a robot's readings.

    Attributes:
        jump: an impossible change since the previous reading; None if there is none.
        contradiction: a position and a velocity that do not fit; None if all do.
    """

    def __init__(self, joints: JointVectors) -> None:
        """Follow a robot with these joints."""
        self._joints = joints
        share = np.clip(joints.velocity / QUICK_JOINT, 1 / 3, 1.0)
        self._track = Track(share, NOISE * share, joints.upper - joints.lower >= WHOLE_TURN)
        self._base, self._stuck = (Track(np.full(3, BASE_SHARE), np.full(3, BASE_NOISE), np.zeros(3, np.bool_)) for _ in range(2))
        self._position: Seen | None = None
        self._attitude: Seen | None = None
        self._level_since_ns: int | None = None
        self._level = 0
        self.jump: str | None = None
        self.contradiction: str | None = None

    def update(self, reading: Reading | None, limits: SafetyLimits) -> None:
        """Add the newest reading; one with known stamps changes nothing."""
        if reading is None:
            return
        if self._position is None or self._position.stamp_ns != reading.stamps_ns[0]:
            self._follow_joints(reading, limits)
        quat, turn, stamp_ns = reading.imu_quat_wxyz, reading.imu_angular_velocity_b, reading.stamps_ns[-1]
        if quat is not None and turn is not None and (self._attitude is None or self._attitude.stamp_ns != stamp_ns):
            self._follow_base(quat, turn, Seen(stamp_ns, reading.received_ns, quat), limits)
        self.jump = self._said_of_jump()
        self.contradiction = self._said_of_contradiction()

    def _follow_joints(self, reading: Reading, limits: SafetyLimits) -> None:
        new, before, velocity = Seen(reading.stamps_ns[0], reading.received_ns, reading.position.copy()), self._position, reading.velocity
        if not (np.isfinite(new.value).all() and np.isfinite(velocity).all()):  # another guard reports it
            self._position = None
            self._track.restart()
            return
        self._position = new
        if before is None:
            self._track.begin(new.received_ns, velocity.copy())
            return
        most, gap_s = limits.velocity_factor * self._joints.velocity, before.gap_s(new.stamp_ns, new.received_ns)
        self._track.update(new.received_ns, gap_s, new.value - before.value, velocity.copy(), most, limits.contradiction)

    def _follow_base(self, quat: FloatArray, turn: FloatArray, new: Seen, limits: SafetyLimits) -> None:
        before, norm = self._attitude, float(np.linalg.norm(quat))
        if not (np.isfinite(turn).all() and norm > 0.5 and math.isfinite(norm)):
            self._attitude = None
            self._base.restart()
            self._stuck.restart()
            return
        self._attitude = new = Seen(new.stamp_ns, new.received_ns, quat / norm)
        self._watch_level(quat, turn, new.received_ns)
        if before is None:
            self._base.begin(new.received_ns, turn.copy())
            self._stuck.begin(new.received_ns, turn.copy())
            return
        gap_s, up, up_before = before.gap_s(new.stamp_ns, new.received_ns), up_b(new.value), up_b(before.value)
        most, between = np.full(3, limits.velocity_factor * BASE_SPEED), up_before + up
        vertical = between / max(float(np.linalg.norm(between)), 1e-9)
        self._base.update(new.received_ns, gap_s, tilting_b(up_before, up), turn.copy(), most, limits.contradiction, vertical)
        if np.array_equal(before.value, new.value):
            self._stuck.update(new.received_ns, gap_s, np.zeros(3), turn.copy(), most, limits.contradiction)
        else:
            self._stuck.begin(new.received_ns, turn.copy())

    def _watch_level(self, quat: FloatArray, turn: FloatArray, received_ns: int) -> None:
        """Track how long roll and pitch have been exactly 0 (as in an empty message, or with only a heading) while the gyro moves."""
        if np.any(quat[1:3]):
            self._level_since_ns, self._level = None, 0
            return
        self._level_since_ns = received_ns if self._level_since_ns is None else self._level_since_ns
        self._level += bool(np.any(turn))

    def _said_of_jump(self) -> str | None:
        for jump, names in ((self._track.jump, self._joints.names), (self._base.jump, None)):
            if jump is not None:
                channel, step, possible, gap_s = jump
                what = f"the base's attitude about {AXES[channel]}" if names is None else f"the position of {names[channel]}"
                return f"{what} changed by {step:.2f} rad in {gap_s * 1e3:.0f} ms, at most {possible:.2f} is possible; {ADVICE}"
        return None

    def _said_of_contradiction(self) -> str | None:
        base = self._base.contradiction or self._stuck.contradiction
        for found, names in ((self._track.contradiction, self._joints.names), (base, None)):
            if found is not None:
                channel, moved, told = found
                what = f"the base's attitude about {AXES[channel]}" if names is None else f"the position of {names[channel]}"
                source = "gyro" if names is None else "velocity"
                return f"{what} moved by {moved:.2f} rad within {WINDOW_S:g} s, but by its {source} it was {told:.2f} rad; {ADVICE}"
        since_ns, newest = self._level_since_ns, self._attitude
        if since_ns is None or newest is None or self._level < LEAST_LEVEL or newest.received_ns - since_ns < WINDOW_S * 1e9:
            return None
        return "the base's roll and pitch are exactly 0 all the time while its gyro moves: its driver fills in no orientation, or a heading"


AXES = "xyz"
ADVICE = (
    "look for a second publisher of the same topic, a sensor that is stuck or not filled in, a wrong sign, or units other than rad and "
    "rad/s"
)


def up_b(quat_wxyz: FloatArray) -> FloatArray:
    """The upward vertical in the base frame, (3,), for an attitude, a unit quaternion (4,)."""
    w, x, y, z = quat_wxyz
    return np.array([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)])


def tilting_b(before: FloatArray, after: FloatArray) -> FloatArray:
    """The shortest rotation of the base between two verticals in its frame (3,), as a rotation vector in that frame [rad], (3,)."""
    (x0, y0, z0), (x1, y1, z1) = before, after
    vector = np.array([y1 * z0 - z1 * y0, z1 * x0 - x1 * z0, x1 * y0 - y1 * x0])
    sine = float(np.linalg.norm(vector))
    return vector * (1.0 if sine < 1e-9 else math.atan2(sine, float(after @ before)) / sine)
