"""Motions that tell the parameters apart: sums of sines inside the joints' limits, with gains that change on the way.

Gains and passive damping act alike while the gains stay the same, and so do motor strength and gains while nothing is fed forward. So the
motion is repeated with other gains, and feed-forward torques can be added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.spec import RobotSpec
from robolearn.identify.recording import FloatArray

GAIN_FACTORS = ((1.0, 1.0), (1.0, 0.3), (0.5, 1.0), (0.5, 0.3))
"""Factors on kp and kd of the parts of an excitation."""
UPRIGHT = 0.25  # rad; legs straighter than in the default pose carry a load without sinking onto the ground


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
    gains: tuple[tuple[float, float], ...] = GAIN_FACTORS,
    effort_share: float = 0.0,
    lowest_hz: float = 0.3,
    highest_hz: float = 8.0,
) -> Commands:
    """Sums of six sines a joint around the default pose, with frequencies of their own.

    Args:
        spec: the robot, whose base must be held.
        seconds: duration of the whole [s].
        rate_hz: commands a second.
        seed: of frequencies and phases.
        gains: factors on kp and kd, each for an equal part of the time.
        effort_share: feed-forward torque as a share of the effort limit, to tell motor strength from gains.
        lowest_hz, highest_hz: frequencies [Hz].
    """
    rng = np.random.default_rng(seed)
    joints = spec.num_joints
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    lower, upper = np.array(spec.position_lower), np.array(spec.position_upper)
    center = np.clip(np.array(spec.default_pose), lower + 0.25 * (upper - lower), upper - 0.25 * (upper - lower))
    frequency = np.geomspace(lowest_hz, highest_hz, 6) * rng.uniform(0.85, 1.15, (joints, 6))
    shape = np.sin(2 * np.pi * frequency * time[:, None, None] + rng.uniform(0, 2 * np.pi, (joints, 6)))
    amplitude = 0.25 / frequency**0.75  # rad
    wave = (shape * amplitude).sum(axis=2)
    speed = np.abs(np.diff(wave, axis=0)).max(axis=0) * rate_hz
    room = 0.8 * np.minimum(upper - center, center - lower)
    kp, kd = np.array(spec.kp), np.array(spec.kd)
    natural_hz = kp / (np.pi * kd)  # of a critically damped joint, which lags by 2 f / natural_hz of the amplitude
    torque = kp * np.sqrt(((amplitude * np.minimum(1.0, 2 * frequency / natural_hz[:, None])) ** 2).sum(axis=1))
    shares = (room / np.abs(wave).max(axis=0), 0.4 * np.array(spec.velocity_limit) / speed, 0.25 * np.array(spec.effort_limit) / torque)
    wave *= np.minimum(1.0, np.min(shares, axis=0))
    wave *= np.minimum(1.0, time / 0.5)[:, None]
    part = np.minimum(np.arange(len(time)) * len(gains) // len(time), len(gains) - 1)
    factor = np.array(gains)[part]
    feed = np.sin(2 * np.pi * rng.uniform(0.5, 3.0, joints) * time[:, None] + rng.uniform(0, 2 * np.pi, joints))
    return Commands(
        time_s=time,
        target=center + wave,
        velocity=np.zeros((len(time), joints)),
        effort=effort_share * np.array(spec.effort_limit) * feed * np.minimum(1.0, time / 0.5)[:, None],
        kp=factor[:, :1] * kp,
        kd=factor[:, 1:] * kd,
    )


def squats(spec: RobotSpec, seconds: float = 8.0, rate_hz: float = 100.0, seed: int = 0, depth: float = 0.1) -> Commands:
    """Squats of a quadruped whose joints are `<leg>_hip|thigh|calf_joint`, links of equal length: the feet stay where they are.

    Args:
        spec: the robot, which stands on flat ground.
        seconds: duration [s].
        rate_hz: commands a second.
        seed: of the phases.
        depth: largest change of the thigh's angle [rad].
    """
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    frequency = np.array([0.4, 0.9, 1.7])
    bend = np.sin(2 * np.pi * frequency * time[:, None] + rng.uniform(0, 2 * np.pi, 3)).mean(axis=1) * depth
    bend *= np.clip(time / 1.0 - 0.5, 0.0, 1.0)
    weights = np.array([1.0 if "thigh" in name else -2.0 if "calf" in name else 0.0 for name in spec.joint_names])
    one = np.ones((len(time), spec.num_joints))
    return Commands(
        time_s=time,
        target=np.array(spec.default_pose) + (bend[:, None] - UPRIGHT) * weights,
        velocity=0 * one,
        effort=0 * one,
        kp=one * np.array(spec.kp),
        kd=one * np.array(spec.kd),
    )
