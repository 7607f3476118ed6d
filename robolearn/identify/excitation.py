"""Motions that make the parameters identifiable: sums of sines inside the joints' limits, with gains that change during the motion.

Gains and passive damping have the same effect as long as the gains are constant, and so do motor strength and gains without feed-forward
torques. So the motion is repeated with other gains, and feed-forward torques can be added. A stiff controller also hides small effects: at
200 N m/rad a wrist's dry friction of 0.07 N m moves it by 0.35 mrad, less than an encoder's noise. So an arm has soft gains half of the
time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.robots.robot import Robot
from policies.contract.spec import RobotSpec
from robolearn.identify.crouch import crouch_of
from robolearn.identify.envelope import envelope, slowest_hz
from robolearn.identify.recording import FloatArray

Gains = tuple[tuple[float, float], ...]
LEG_GAINS: Gains = ((1.0, 1.0), (1.0, 0.3), (1.0, 1.0), (1.0, 0.3))
"""Factors on kp and kd, each for an equal part of an excitation. A softer kp would let loaded joints sink: held by its pelvis, a G1's torso
tips over below 0.9."""
ARM_GAINS: Gains = ((1.0, 1.0), (1.0, 0.3), (0.1, 0.02), (0.1, 0.02))
"""For arms, whose controllers carry their weight."""
FADE_S, FADE_SHARE = 0.5, 1 / 6  # s, and at most this share of a part: the gains change at rest, the wave fades in, the wave fades out
ROOM, SPEED, TORQUE = 0.5, 0.4, 0.3  # largest shares of the joint's range, speed limit and effort limit
CROUCH, FORWARD = 0.05, 0.1  # rad; a little lower than the default pose, with the trunk further forward, since a loaded robot would sit
# down on its shins
LOWERING_S, FOLD_MARGIN = 2.0, 0.1  # s, at the end of squats; rad that the folded legs stay away from the ends of their ranges


@dataclass(frozen=True, kw_only=True)
class Commands:
    """Commands over time, joints in policy order; units as in `robolearn.identify.recording.Recording`.

    Attributes:
        time_s: (K,).
        target, velocity, effort, kp, kd: (K, J).
    """

    time_s: FloatArray
    target: FloatArray
    velocity: FloatArray
    effort: FloatArray
    kp: FloatArray
    kd: FloatArray


def sines(
    spec: RobotSpec,
    seconds: float = 16.0,
    rate_hz: float = 100.0,
    seed: int = 0,
    gains: Gains | None = None,
    effort_share: float = 0.0,
    lowest_hz: float = 0.3,
    highest_hz: float = 8.0,
) -> Commands:
    """Sums of six sines per joint around the default pose. In each part the gains change at rest, then the wave fades in and out.

    Args:
        spec: the robot, whose base must be held.
        seconds: duration of the whole [s].
        rate_hz: commands per second.
        seed: seed of frequencies and phases.
        gains: factors on kp and kd, each for an equal part of the time; None for those that suit the robot.
        effort_share: feed-forward torque as a share of the effort limit, to distinguish motor strength from gains.
        lowest_hz, highest_hz: frequencies [Hz]; a joint moves at most at three times its natural frequency.
    """
    rng = np.random.default_rng(seed)
    gains = gains or (LEG_GAINS if spec.floating_base else ARM_GAINS)
    count, joints = round(seconds * rate_hz), spec.num_joints
    time = np.arange(count) / rate_hz
    center, room = envelope(spec)
    target, kp, kd = np.tile(center, (count, 1)), np.empty((count, joints)), np.empty((count, joints))
    # paired limbs swing against each other and spread together, so that their effects on a torso with a weak waist cancel
    names = spec.joint_names
    pairs = [
        (j, names.index(other)) for j, name in enumerate(names) if (other := name.replace("right_", "left_")) != name and other in names
    ]
    edges = np.linspace(0, count, len(gains) + 1).round().astype(int)
    fade_rows = max(1, int(rate_hz * min(FADE_S, FADE_SHARE * seconds / len(gains))))
    for k, factors in enumerate(gains):
        part = slice(edges[k], edges[k + 1])
        rows = np.arange(part.stop - part.start)
        fade = _smooth(np.minimum(rows - fade_rows, rows[-1] - rows) / fade_rows)
        wave = _wave(spec, factors, rows / rate_hz, rng, (lowest_hz, highest_hz), room)
        for right, left in pairs:
            wave[:, right] = -wave[:, left]
        target[part] += wave * fade[:, None]
        came = _smooth(rows / fade_rows)[:, None]
        before = gains[max(0, k - 1)]
        kp[part] = np.array(spec.kp) * before[0] ** (1 - came) * factors[0] ** came
        kd[part] = np.array(spec.kd) * before[1] ** (1 - came) * factors[1] ** came
    feed = np.sin(2 * np.pi * rng.uniform(0.5, 3.0, joints) * time[:, None] + rng.uniform(0, 2 * np.pi, joints))
    feed *= effort_share * np.array(spec.effort_limit) * np.minimum(1.0, time / FADE_S)[:, None]
    return Commands(time_s=time, target=target, velocity=np.zeros((count, joints)), effort=feed, kp=kp, kd=kd)


def _smooth(share: FloatArray) -> FloatArray:
    share = np.clip(share, 0.0, 1.0)
    return share * share * (3 - 2 * share)


def _wave(
    spec: RobotSpec,
    factors: tuple[float, float],
    time: FloatArray,
    rng: np.random.Generator,
    band_hz: tuple[float, float],
    room: FloatArray,
) -> FloatArray:
    """Six sines per joint (K, J) [rad], as large as the joint's limits allow.

    A joint's response is predicted from the inertia m that its gains damp critically, kd = 2 sqrt(kp m), which is all that the robot's
    description provides: m s^2 q = kp (target - q) - kd s q. A heavier joint moves less, except at resonances, for which the shares leave
    room.
    """
    stiffness, damping = factors[0] * np.array(spec.kp), factors[1] * np.array(spec.kd)
    inertia = np.array(spec.kd) ** 2 / (4 * np.array(spec.kp))
    lowest, highest = slowest_hz(spec, band_hz[0])[:, None], band_hz[1]
    top = np.clip(3 * np.sqrt(stiffness / inertia)[:, None] / (2 * np.pi), 4 * lowest, highest)
    frequency = lowest * (top / lowest) ** np.linspace(0, 1, 6) * rng.uniform(0.85, 1.15, (spec.num_joints, 6))
    turning = np.exp(1j * (2 * np.pi * frequency[..., None] * time + rng.uniform(0, 2 * np.pi, (spec.num_joints, 6, 1))))
    s = 2j * np.pi * frequency
    follows = stiffness[:, None] / (inertia[:, None] * s**2 + damping[:, None] * s + stiffness[:, None])

    def largest(response: np.ndarray | float) -> FloatArray:
        return np.abs(((amplitude * response)[..., None] * turning).sum(axis=1).imag).max(axis=1)

    amplitude = 0.25 / frequency**0.75  # rad
    speed_limit = np.array(spec.velocity_limit)
    shares = (
        np.ones(spec.num_joints),
        ROOM * room / np.maximum(largest(1.0), largest(follows)),
        SPEED * speed_limit / largest(s * follows),
        0.9 * speed_limit / largest(s),  # targets may be faster than the joint
        TORQUE * np.array(spec.effort_limit) / largest(inertia[:, None] * s**2 * follows),
    )
    return (((amplitude[..., None] * turning).sum(axis=1).imag) * np.min(shares, axis=0)[:, None]).T


def squatting_s(seconds: float) -> float:
    """Time for which `squats` of a given duration move before the robot is lowered [s]."""
    return seconds - min(LOWERING_S, seconds / 4)


def squats(robot: Robot, seconds: float = 8.0, rate_hz: float = 100.0, seed: int = 0, depth: float = 0.1) -> Commands:
    """Squats of a legged robot on fixed feet.

    At the end the legs fold, so that the robot does not drop when its motors switch off.

    Args:
        robot: a robot that stands on flat ground.
        seconds: duration of the whole [s]; the last 2 s, at most a quarter, are the lowering.
        rate_hz: commands per second.
        seed: seed of the phases.
        depth: largest change of angle of each leg's least-turning joint, such as a quadruped's thigh [rad].

    Raises:
        UserError: its legs do not bend as squats need.
    """
    spec, crouch = robot.spec(), crouch_of(robot)
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    frequency = np.array([0.4, 0.9, 1.7])
    bend = np.sin(2 * np.pi * frequency * time[:, None] + rng.uniform(0, 2 * np.pi, 3)).mean(axis=1) * depth
    bend *= np.clip(time / 1.0 - 0.5, 0.0, 1.0)
    weights = crouch.down
    stance = np.array(spec.default_pose) + CROUCH * weights + FORWARD * crouch.forward
    to_end = np.where(weights > 0, np.array(spec.position_upper) - stance, stance - np.array(spec.position_lower)) - FOLD_MARGIN
    to_end = np.minimum(to_end, np.pi)  # an unlimited joint
    folded = np.min(to_end[weights != 0] / np.abs(weights[weights != 0]))
    before_s = squatting_s(seconds)
    down = _smooth((time - before_s) / (time[-1] - before_s))
    bend += down * (folded - bend)
    one = np.ones((len(time), spec.num_joints))
    return Commands(
        time_s=time,
        target=stance + bend[:, None] * weights,
        velocity=0 * one,
        effort=0 * one,
        kp=one * np.array(spec.kp),
        kd=one * np.array(spec.kd),
    )
