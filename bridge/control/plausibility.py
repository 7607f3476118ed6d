"""Checks before standing up whether a robot's sensors mean what the policy expects.

`bridge.control.consistency` detects what breaks while a robot is driven. This module detects what is wrong from the beginning although
it is finite: a gyro in degrees, an inverted quaternion, rotated axes, velocities that are not filled in, messages slower than the policy.
All of these show already in small movements: while the robot sinks, is lifted or laid down, and while it stands up. Every reading is used,
not only those of the ticks, since an undersampled velocity fits nothing.

Pairs of signals that must show the same movement are compared: the direction of gravity in the base and the gyro that turns it; a joint's
position and its velocity. Each is averaged over `BLOCK_S`, and the changes from block to block,

    m = change of the mean of the measured value p = change of the mean of the integral of its rate

are summed up as far as they exceed noise: gain = sqrt(sum p^2 / sum m^2), correlation = sum m p / sqrt(sum m^2 sum p^2). Good sensors have
both near 1. A gross error is kept until the sensors have shown the opposite, or until a reset.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from bridge.control.consistency import LONGEST_GAP_S, up_b
from bridge.control.joints import FloatArray
from bridge.control.reading import Reading
from bridge.control.safety import JointVectors, SafetyLimits

TOLERANCE = SafetyLimits().contradiction
BLOCK_S = 0.1
SLOWLY = 0.9  # rate of averaging noise over the blocks
MOST_OVERTAKEN = 25  # messages in a row; more mean that the robot's clock was set back
FADE = 0.93  # share of the sums that is kept per block with movement
GAIN, CORRELATION = 3.0, 0.3  # beyond these an error is gross
GOOD_GAIN, GOOD_CORRELATION = 1.7, 0.7  # within these sensors are good
NOISE = 5.0  # standard deviations of a block's mean that do not count as movement
BASE_LEAST, JOINT_LEAST = 0.004, 0.005  # movement from block to block that counts [rad]
BASE_ENOUGH, JOINTS_ENOUGH, JOINT_ENOUGH = 0.015, 0.05, 0.12  # movement needed for a judgement [rad]
LEAST_BLOCKS = 2
DRIVEN = 3.0  # factor on that movement for a robot that is driven
STILL = 0.02  # [rad] that a joint has moved while its velocity was always exactly 0
DEGREES = (35.0, 90.0)
RATE_WINDOW_NS = 2_000_000_000
SLOW, SLOWISH = 0.75, 0.95  # share of the policy's rate
GRAVITY, QUIET = (8.0, 11.5), 0.3  # [m/s^2], [rad/s]
MOST_LEAN = 0.35  # [rad] between the accelerometer and the attitude
LEAN_BLOCKS = 5


Flags = NDArray[np.bool_]


class Pair:
    """C channels with two signals each that must show the same movement; each signal is a vector of K numbers."""

    def __init__(self, channels: int, width: int, least: float, enough: float, both_ways: bool = False) -> None:
        """Begin.

        Args:
            channels: number of channels C.
            width: numbers per channel K.
            least: smallest change from block to block that counts.
            enough: root of the summed squares that is needed for a judgement.
            both_ways: whether only opposite movement is a fault, not a channel that is silent on one side.
        """
        self.enough, self._least, self._one_sided = enough, least, both_ways
        self._shape = (channels, width)
        self.restart()

    def restart(self) -> None:
        """Forget everything."""
        self.sums = np.zeros((3, self._shape[0]))  # of m^2, p^2 and m p
        self.blocks = np.zeros(self._shape[0])
        self.newest = np.zeros((2, *self._shape))
        self._usual: FloatArray | None = None
        self.moved = np.zeros(self._shape[0], np.bool_)
        self.skip()

    def skip(self) -> None:
        """Restart a block, since something is missing."""
        self._mean: FloatArray | None = None
        self.begin()

    def begin(self) -> None:
        """Begin the next block."""
        self._sum = np.zeros((2, *self._shape))
        self._bent = np.zeros((2, *self._shape))
        self._count = 0
        self._last: list[FloatArray] = []

    def add(self, measured: FloatArray, integral: FloatArray) -> None:
        """Add a reading: the measured values, and the integral of their rates, (C, K) each."""
        both = np.stack([measured, integral])
        self._sum += both
        self._count += 1
        last = self._last
        if len(last) == 2:
            self._bent += np.square(both - 2 * last[1] + last[0])
            last.pop(0)
        last.append(both)

    def end(self) -> None:
        """End the block."""
        count = self._count
        if count == 0:
            self.skip()
            return
        mean, before = self._sum / count, self._mean
        bent = self._bent.sum(axis=2) / max(1, count - 2)
        usual = bent if self._usual is None else SLOWLY * self._usual + (1 - SLOWLY) * bent  # few readings show little about their noise
        self._usual, bent = usual, np.maximum(bent, usual)
        # white noise of a measurement gives a second difference with 6 times its variance, and a mean has 1 / count of that; white noise of
        # a rate gives its integral half of its variance, and the integral's random walk adds two thirds of count of that
        noise = np.sqrt(bent * np.array([[2 / 6 / count], [4 / 3 * count]])) if count > 2 else np.full((2, self._shape[0]), np.inf)
        self._mean = mean
        self.begin()
        self.moved = np.zeros(self._shape[0], np.bool_)
        if before is None:
            return
        change = mean - before
        self.newest = change
        size = np.linalg.norm(change, axis=2)
        moved = (size > np.maximum(self._least, NOISE * noise)).any(axis=0)
        m, p = change
        products = np.stack([(m * m).sum(axis=1), (p * p).sum(axis=1), (m * p).sum(axis=1)])
        self.moved = moved
        self.sums[:, moved] = FADE * self.sums[:, moved] + products[:, moved]
        self.blocks += moved

    def judge(
        self, factor: float, sums: FloatArray | None = None, blocks: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray, Flags, Flags]:
        """(gain, correlation, whether it is gross, whether it is good), (C,) each; needs `factor` times the usual movement."""
        measured, told, product = self.sums if sums is None else sums
        known = (np.maximum(measured, told) >= (factor * self.enough) ** 2) & ((self.blocks if blocks is None else blocks) >= LEAST_BLOCKS)
        tiny = 1e-12
        gain = np.sqrt((told + tiny) / (measured + tiny))
        correlation = product / np.sqrt((measured + tiny) * (told + tiny))
        if self._one_sided:
            gross = known & (correlation < -GOOD_CORRELATION) & (np.minimum(measured, told) >= (factor * self.enough / GAIN) ** 2)
        else:
            gross = known & ((gain > GAIN) | (gain < 1 / GAIN) | (correlation < CORRELATION))
        good = known & (gain < GOOD_GAIN) & (gain > 1 / GOOD_GAIN) & (correlation > GOOD_CORRELATION)
        return gain, correlation, gross, good


class Rate:
    """The rate of new messages of a source."""

    def __init__(self) -> None:
        self._stamp: int | None = None
        self._times: deque[int] = deque()
        self._begin_ns: int | None = None

    def hear(self, stamp_ns: int, received_ns: int) -> None:
        """Add a message."""
        if self._begin_ns is None:
            self._begin_ns = received_ns
        if stamp_ns != self._stamp:
            self._stamp = stamp_ns
            self._times.append(received_ns)
            self._forget(received_ns)

    def count(self, received_ns: int) -> None:
        """Add a message, whatever its stamp."""
        self.hear(received_ns, received_ns)

    def hz(self, now_ns: int) -> float | None:
        """Messages per second over the last two seconds; None while unknown."""
        self._forget(now_ns)
        if self._begin_ns is None or now_ns - self._begin_ns < RATE_WINDOW_NS or len(self._times) < 2:
            return None
        return (len(self._times) - 1) * 1e9 / (self._times[-1] - self._times[0])

    def _forget(self, now_ns: int) -> None:
        while self._times and now_ns - self._times[0] > RATE_WINDOW_NS:
            self._times.popleft()


class Plausibility:
    """Checks all readings of a robot.

    Attributes:
        doubt: what is grossly wrong with the sensors; None for nothing.
        slow: a source that is too slow for the policy to begin; None for none.
        remarks: what is unusual, but no reason to refuse.
    """

    def __init__(self, joints: JointVectors, rate_hz: float) -> None:
        """Check a robot with these joints under a policy with this rate [Hz]."""
        self._joints, self._rate_hz = joints, rate_hz
        count = len(joints.names)
        self._tilt = Pair(1, 3, BASE_LEAST, BASE_ENOUGH)
        self._heading = Pair(1, 1, BASE_LEAST, 0.3, both_ways=True)
        self._each = Pair(count, 1, JOINT_LEAST, JOINT_ENOUGH)
        self._wraps = joints.upper - joints.lower >= 2 * math.pi - 0.1
        self.driven = False
        self.restart()

    def restart(self) -> None:
        """Forget everything."""
        for pair in (self._tilt, self._heading, self._each):
            pair.restart()
        self.doubt: str | None = None
        self.slow: str | None = None
        self.remarks: tuple[str, ...] = ()
        self._about = ""
        self._rates, self._ticks = (Rate(), Rate()), Rate()
        self._cross = 0.0
        self._zero, self._low, self._high = True, self._joints.upper * np.nan, self._joints.upper * np.nan
        self._overtaken = 0
        self._acceleration: deque[tuple[FloatArray, FloatArray]] = deque(maxlen=LEAN_BLOCKS)
        self._cut()

    def _cut(self) -> None:
        """Restart the integrals: readings are missing, or the first one has not come yet."""
        self._before: tuple[int, int, FloatArray, FloatArray | None] | None = None
        self._block_ns = 0
        self._turned, self._yaw = np.zeros(3), np.zeros(2)
        self._travelled = np.zeros(len(self._joints.names))
        self._pull, self._pulls, self._spin = np.zeros(3), 0, 0.0
        for pair in (self._tilt, self._heading, self._each):
            pair.skip()

    def hear(self, reading: Reading) -> None:
        """Add a reading; a repeated one changes nothing."""
        stamp, received_ns = reading.stamps_ns[0], reading.received_ns
        self._rates[0].hear(stamp, received_ns)
        if len(reading.stamps_ns) > 1:
            self._rates[1].hear(reading.stamps_ns[-1], received_ns)
        before = self._before
        newest = max(reading.stamps_ns[-1:], default=stamp)
        if before is not None and newest <= before[0]:
            self._overtaken += newest < before[0]
            if newest == before[0] or self._overtaken <= MOST_OVERTAKEN:
                return  # one out of order does not show the progress
            self._cut()
            before = None
        self._overtaken = 0
        quat, turn = reading.imu_quat_wxyz, reading.imu_angular_velocity_b
        finite = np.isfinite(reading.position).all() and np.isfinite(reading.velocity).all()
        if quat is not None and turn is not None:
            finite = finite and np.isfinite(quat).all() and np.isfinite(turn).all() and abs(float(quat @ quat) - 1.0) < 0.1
        if not finite:
            self._cut()
            return
        gap_s = 0.0 if before is None else (newest - before[0] if newest > before[0] else received_ns - before[1]) * 1e-9
        if before is not None and not 0 < gap_s <= LONGEST_GAP_S:
            self._cut()
            before = None
        base = quat is not None and turn is not None
        up, spin = (up_b(quat), turn) if base else (None, None)  # type: ignore[arg-type]
        if before is None:
            self._block_ns, gap_s = received_ns, 0.0
        rate = None if up is None or spin is None else np.array([*_cross(up, spin), float(spin @ up)])
        if before is not None:
            self._travelled = self._travelled + (reading.velocity + before[2]) * (gap_s / 2)
            if rate is not None and before[3] is not None:
                step = (rate + before[3]) * (gap_s / 2)
                self._turned = self._turned + step[:3]
                self._yaw[1] += step[3]
        self._before = (newest, received_ns, reading.velocity.copy(), rate)
        self._add(reading, up, spin)
        if received_ns - self._block_ns >= BLOCK_S * 1e9:
            self._block_ns = received_ns
            self._end_block()

    def _add(self, reading: Reading, up: FloatArray | None, spin: FloatArray | None) -> None:
        position = reading.position
        if self._zero:
            self._zero = not reading.velocity.any()
            self._low, self._high = np.fmin(self._low, position), np.fmax(self._high, position)
        self._each.add(position[:, None], self._travelled[:, None])
        if up is None or spin is None or reading.imu_quat_wxyz is None:
            return
        self._tilt.add(up[None], self._turned[None])
        w, x, y, z = (float(value) for value in reading.imu_quat_wxyz)
        heading = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        self._yaw[0] += (heading - self._yaw[0] + math.pi) % (2 * math.pi) - math.pi
        self._heading.add(self._yaw[None, :1].copy(), self._yaw[None, 1:].copy())
        if reading.imu_acceleration_b is not None:
            self._pull = self._pull + reading.imu_acceleration_b
            self._pulls += 1
            self._spin = max(self._spin, float(np.abs(spin).max()))

    def _end_block(self) -> None:
        self._each.end()
        self._tilt.end()
        self._heading.end()
        m, p = self._tilt.newest[:, 0]
        up = self._last_up()
        if up is not None and self._tilt.moved[0]:
            self._cross = FADE * self._cross + float(up @ np.array(_cross(m, p)))
        if self._pulls:
            quiet = self._spin < QUIET
            if quiet and up is not None:
                self._acceleration.append((self._pull / self._pulls, up))
            else:
                self._acceleration.clear()
        self._pull, self._pulls, self._spin = np.zeros(3), 0, 0.0

    def _last_up(self) -> FloatArray | None:
        return None if self._tilt._mean is None else self._tilt._mean[0, 0]  # pyright: ignore[reportPrivateUsage]

    def look(self, now_ns: int, driven: bool, tolerance: float = TOLERANCE) -> None:
        """Judge; call once per tick.

        Args:
            now_ns: time [ns] on the clock of the readings' arrival.
            driven: whether the joints are driven to targets now.
            tolerance: see `SafetyLimits.contradiction` [rad]; a larger one than usual needs proportionally more movement, and ten times as
                much switches the comparison off.
        """
        self._ticks.count(now_ns)
        self._look_at_rates(now_ns)
        if tolerance >= 10 * TOLERANCE:
            self.doubt = None
            return
        factor = (DRIVEN if driven else 1.0) * max(1.0, tolerance / TOLERANCE)
        for about, verdict in (
            ("base", self._judge_base(factor)),
            ("joints", self._judge_joints(factor)),
            ("gravity", self._judge_gravity(driven)),
        ):
            said, good = verdict
            if said is not None and self.doubt is None:
                self.doubt, self._about = said, about
            elif good and self._about == about and said is None:
                self.doubt, self._about = None, ""

    def _look_at_rates(self, now_ns: int) -> None:
        named = ("joint states and IMU",) if not self._rates[1]._times else ("joint states", "the IMU")  # pyright: ignore[reportPrivateUsage]
        if len(named) == 1 and self._before is not None and self._before[3] is None:
            named = ("joint states",)
        slow, slowish = [], []
        ticks_hz = self._ticks.hz(now_ns)  # on a slow computer the ticks are late too
        ticks_hz = None if ticks_hz is None else min(ticks_hz, self._rate_hz)
        for name, rate in zip(named, self._rates, strict=False):
            hz = rate.hz(now_ns)
            if hz is None or ticks_hz is None or hz >= SLOWISH * ticks_hz:
                continue
            said = f"{name} come at {hz:.0f} Hz" if name != "the IMU" else f"the IMU comes at {hz:.0f} Hz"
            (slow if hz < SLOW * ticks_hz else slowish).append(said)
        text = f", the policy runs at {self._rate_hz:g} Hz and would treat old readings as new: let the driver publish faster"
        self.slow = "; ".join(slow) + text if slow else None
        self.remarks = (f"{'; '.join(slowish)}, the policy runs at {self._rate_hz:g} Hz",) if slowish else ()

    def _judge_base(self, factor: float) -> tuple[str | None, bool]:
        gain, correlation, gross, good = (value[0] for value in self._tilt.judge(factor))
        if gross:
            measured, told = self._tilt.sums[:2, 0]
            across = self._cross / math.sqrt((measured + 1e-12) * (told + 1e-12))
            return f"the gyro and the change of the attitude do not show the same movement {_figures(gain, correlation)}: " + _base_cause(
                float(gain), float(correlation), across
            ), False
        gain, correlation, gross, _ = (value[0] for value in self._heading.judge(factor))
        if gross:
            said = f"the gyro turns the other way than the attitude's heading {_figures(gain, correlation)}: {CONJUGATE}"
            return said, False
        return None, bool(good)

    def _judge_joints(self, factor: float) -> tuple[str | None, bool]:
        if self._zero:
            moved = np.nan_to_num(self._high - self._low)
            worst = int(np.argmax(moved))
            if moved[worst] > STILL and self._each.blocks.any():
                said = f"all joint velocities are exactly 0, and {self._joints.names[worst]} has moved by {moved[worst]:.2f} rad"
                return f"{said}: the driver fills in no velocities", False
        each = self._each
        count = np.array([each.blocks.max(initial=0.0)])
        sums = each.sums[:, ~self._wraps].sum(axis=1)[:, None]
        gain, correlation, gross, good = (value[0] for value in each.judge(factor * JOINTS_ENOUGH / JOINT_ENOUGH, sums, count))
        if gross:
            return (
                f"the joints' velocities and the change of their positions do not show the same movement {_figures(gain, correlation)}: "
                + _joint_cause(float(gain), float(correlation)),
                False,
            )
        gains, correlations, bad, _ = each.judge(factor)
        bad = bad & ~self._wraps
        if bad.any():
            worst = int(np.argmax(np.where(bad, each.sums[:2].max(axis=0), -1.0)))
            said = f"velocity and change of position of {self._joints.names[worst]} do not show the same movement"
            figures = _figures(gains[worst], correlations[worst])
            return f"{said} {figures}: " + _joint_cause(float(gains[worst]), float(correlations[worst])), False
        return None, bool(good)

    def _judge_gravity(self, driven: bool) -> tuple[str | None, bool]:
        """Compare the vertical by the accelerometer with the attitude, for a robot at rest."""
        if driven or len(self._acceleration) < LEAN_BLOCKS:
            return None, False
        pull, up = (np.mean([entry[index] for entry in self._acceleration], axis=0) for index in (0, 1))
        size = float(np.linalg.norm(pull))
        if not GRAVITY[0] < size < GRAVITY[1]:  # without gravity, or in g: no judgement
            return None, False
        lean = math.acos(float(np.clip(pull @ up / (size * np.linalg.norm(up)), -1.0, 1.0)))
        lean = min(lean, math.pi - lean)  # some drivers report the downward direction
        if lean <= MOST_LEAN:
            return None, True
        return f"by its attitude the base leans {lean:.2f} rad differently than by its accelerometer: {CONJUGATE}", False


class ToldPlausibility(Plausibility):
    """The findings of another one, from a log, since a replay may not have all readings."""

    def __init__(self) -> None:
        """Begin without doubt."""
        self.doubt = self.slow = None
        self.remarks = ()

    def told(self, doubt: str, slow: str) -> None:
        """Set the findings; empty for none."""
        self.doubt, self.slow = doubt or None, slow or None

    def hear(self, reading: Reading) -> None:
        """Nothing to check."""

    def look(self, now_ns: int, driven: bool, tolerance: float = TOLERANCE) -> None:
        """Nothing to judge."""

    def restart(self) -> None:
        """Findings after a reset come from the log."""


CONJUGATE = "is the quaternion inverted (of the world in the base), in another order, or in another frame than the gyro?"


def _base_cause(gain: float, correlation: float, across: float) -> str:
    if DEGREES[0] < gain < DEGREES[1] and correlation > CORRELATION:
        return "the gyro seems to be in degrees per second, but must be in rad/s"
    if gain < 0.02:
        return "the gyro shows almost nothing: is it filled in?"
    if gain > 20:
        return "the attitude hardly moves: is it stuck, or the gyro in other units than rad/s?"
    if correlation < -0.5:
        return f"they have opposite signs: {CONJUGATE}"
    if abs(across) > 0.6:
        return f"their axes differ by about {math.degrees(math.atan2(across, correlation)):.0f} degrees about the vertical: {CONJUGATE}"
    if correlation < CORRELATION:
        return f"their axes differ: {CONJUGATE}"
    return "is the gyro in other units than rad/s?"


def _joint_cause(gain: float, correlation: float) -> str:
    if DEGREES[0] < gain < DEGREES[1] and correlation > CORRELATION:
        return "the velocities seem to be in degrees per second, but must be in rad/s"
    if gain < 0.02:
        return "the velocities show almost nothing: are they filled in?"
    if gain > 20 and correlation < CORRELATION:
        return "the position hardly moves: is the encoder stuck?"
    if correlation < -0.5:
        return "they have opposite signs"
    if correlation < CORRELATION:
        return "is one of them from another joint, or old?"
    return "are they in other units than rad and rad/s?"


def _figures(gain: float, correlation: float) -> str:
    return f"(gain {gain:.3g}, correlation {correlation:.2f}; both are near 1 for good sensors)"


def _cross(a: FloatArray, b: FloatArray) -> tuple[float, float, float]:
    (x0, y0, z0), (x1, y1, z1) = a.tolist(), b.tolist()
    return y0 * z1 - z0 * y1, z0 * x1 - x0 * z1, x0 * y1 - y0 * x1
