"""The figures of a stretch of motion: how the trunk is held, the legs bend, the feet land and slip, and what it costs.

A figure that cannot be computed for a stretch, since steps, arms or forces are missing, is NaN. docs/evaluation.md defines each.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from robolearn.evaluation.gait.anatomy import Anatomy
from robolearn.evaluation.gait.motion import Motion
from robolearn.evaluation.gait.stance import liftoffs, steady, touchdowns

GRAVITY = 9.81  # m/s2
LONGEST_S = 3.0  # of a stride
SOUND_S = 0.04  # before the first loaded sample, in which a foot's speed is its touchdown speed
JERK_HZ = 25.0  # rate to which joint angles are resampled, so that motions with different rates are comparable
SAMPLES = 101  # of a gait cycle


def stretch(motion: Motion, start: int, end: int) -> Motion:
    """Samples `start` to `end` of a motion."""
    cut = {
        field.name: getattr(motion, field.name)[start:end]
        for field in dataclasses.fields(motion)
        if isinstance(getattr(motion, field.name), np.ndarray)
    }
    return dataclasses.replace(motion, **cut)


def posture(motion: Motion) -> dict[str, float]:
    """Trunk and knees of a stretch of walking or standing."""
    found = {}
    for name, angle in (("pitch", motion.pitch), ("roll", motion.roll)):
        low, high = np.percentile(angle, [5, 95])
        found |= {name: angle.mean(), f"{name}_range": high - low, f"{name}_low": low, f"{name}_high": high}
        found |= {f"{name}_min": angle.min(), f"{name}_max": angle.max()}
    return {name: float(value) for name, value in found.items()} | {"knee": float(motion.knee.mean())}


def manner(anatomy: Anatomy, motion: Motion) -> dict[str, float]:
    """All figures of a stretch (see `FIGURES` of docs/evaluation.md)."""
    contact = steady(motion.contact)
    seconds = len(contact) * motion.dt
    speed = float(np.linalg.norm(motion.velocity[:, :2].mean(0)))
    found = {"speed": speed, "turning": float(motion.velocity[:, 2].mean()), **posture(motion)}
    found |= _legs(motion, contact) | _feet(motion, contact) | _steps(anatomy, motion, contact)
    found["flight"], found["double_support"] = float((~contact.any(1)).mean()), float(contact.all(1).mean())
    found["steps_a_minute"] = 60 * sum(len(liftoffs(contact[:, foot])) for foot in range(contact.shape[1])) / seconds
    shoulders = [shoulder for shoulder, _ in anatomy.limbs.pairs]
    swing = np.percentile(motion.joints[:, shoulders], [5, 95], axis=0) if shoulders else np.full((2, 1), np.nan)
    found["arm_swing"] = float(np.degrees(swing[1] - swing[0]).mean())
    found["turning_sway"] = float(np.abs(motion.velocity[:, 2] - motion.velocity[:, 2].mean()).mean())
    found["sag"] = float((anatomy.robot.stand_height or np.nan) - motion.base.mean())
    found["jerk"] = jerk(motion.joints, motion.dt)
    return found | _forces(anatomy, motion, speed)


def jerk(joints: np.ndarray, dt: float) -> float:
    """RMS of the third derivative of joint angles (T, J) at about `JERK_HZ` [rad/s3]; each value there is the mean of those it replaces."""
    every = max(1, round(1 / (JERK_HZ * dt)))
    kept = len(joints) // every
    if kept < 4:
        return float("nan")
    slow = joints[: kept * every].reshape(kept, every, -1).mean(1)
    return float(np.sqrt((np.diff(slow, 3, axis=0) ** 2).mean()) / (every * dt) ** 3)


def cycles(motion: Motion) -> np.ndarray:
    """Knee angles over the gait cycle [degrees], (strides of all feet, SAMPLES), from one touchdown of a foot to its next."""
    contact, found = steady(motion.contact), []
    for foot in range(contact.shape[1]):
        for start, end in strides(contact[:, foot], motion.dt):
            at = np.linspace(start, end, SAMPLES)
            found.append(np.interp(at, np.arange(len(contact)), motion.knee[:, foot]))
    return np.array(found).reshape(-1, SAMPLES)


def strides(contact: np.ndarray, dt: float) -> list[tuple[int, int]]:
    """Samples of a foot's touchdown and of its next, of one foot's contacts (T,)."""
    touched = touchdowns(contact)
    return [(int(a), int(b)) for a, b in itertools.pairwise(touched) if (b - a) * dt < LONGEST_S]


def _legs(motion: Motion, contact: np.ndarray) -> dict[str, float]:
    """Knees in stance and swing, head and trunk over strides."""
    peaks, heads = [], []
    for foot in range(contact.shape[1]):
        for start, end in strides(contact[:, foot], motion.dt):
            peaks.append(motion.knee[start:end, foot].max())
            heads.append(np.ptp(motion.head[start : end + 1]))
    return {
        "knee_stance": float(motion.knee[contact].mean()) if contact.any() else np.nan,
        "knee_swing": _mean(peaks),
        "head_motion": _mean(heads),
    }


def _feet(motion: Motion, contact: np.ndarray) -> dict[str, float]:
    """Slip of the touching points and of the middle of the sole, over intervals with the foot loaded at both ends; landings and
    clearance.
    """
    both = contact[1:] & contact[:-1]
    slip = motion.slip[1:][both]
    middle = np.linalg.norm(np.diff(motion.sole[..., :2], axis=0), axis=-1)[both] / motion.dt
    before, landings, lifts = max(1, round(SOUND_S / motion.dt)), [], []
    for foot in range(contact.shape[1]):
        height, touched, lifted = motion.height[:, foot], touchdowns(contact[:, foot]), liftoffs(contact[:, foot])
        landings += [-np.diff(height[max(0, k - before) : k + 1]).min() / motion.dt for k in touched]
        for lift in lifted:
            later = touched[touched > lift]
            if len(later):
                lifts.append(height[lift : later[0]].max())
    return {
        "slip": _mean(slip),
        "slip_median": float(np.median(slip)) if len(slip) else np.nan,
        "slip_sole": _mean(middle),
        "touchdown": _mean(landings),
        "touchdown_most": float(max(landings)) if landings else np.nan,
        "clearance": _mean(lifts),
    }


def _steps(anatomy: Anatomy, motion: Motion, contact: np.ndarray) -> dict[str, float]:
    """Length and rate of steps from whole strides, and the difference between left and right."""
    feet = contact.shape[1]
    lengths: list[list[float]] = [[] for _ in range(feet)]
    times: list[list[float]] = [[] for _ in range(feet)]
    swings: list[list[float]] = [[] for _ in range(feet)]
    for foot in range(feet):
        for start, end in strides(contact[:, foot], motion.dt):
            lengths[foot].append(float(np.linalg.norm(np.diff(motion.sole[[start, end], foot, :2], axis=0))) / 2)
            times[foot].append((end - start) * motion.dt)
            swings[foot].append(float((~contact[start:end, foot]).sum()) * motion.dt)
    every = [time for row in times for time in row]
    uneven = [
        abs(np.mean(row[foot]) - np.mean(row[image])) / max((np.mean(row[foot]) + np.mean(row[image])) / 2, 1e-6)
        for row in (lengths, swings)
        for foot, image in enumerate(anatomy.images)
        if image > foot and row[foot] and row[image]
    ]
    return {
        "step_length": _mean([length for row in lengths for length in row]),
        "cadence": 2 * 60 / _mean(every) if every else np.nan,
        "swing_time": _mean([time for row in swings for time in row]),
        "asymmetry": _mean(uneven),
    }


def _forces(anatomy: Anatomy, motion: Motion, speed: float) -> dict[str, float]:
    if motion.torque is None or motion.power is None:
        return {"torque_rms": np.nan, "power": np.nan, "cost_of_transport": np.nan}
    weight, power = motion.mass * GRAVITY, float(motion.power.mean())
    moment = weight * (anatomy.robot.stand_height or np.nan)
    return {
        "torque_rms": float(np.sqrt((motion.torque**2).mean()) / moment),
        "power": power,
        "cost_of_transport": power / (weight * speed) if speed > 0.1 else np.nan,
    }


def _mean(values: Sequence[float] | Sequence[np.floating] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
