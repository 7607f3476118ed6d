"""Targets from a motion of the same robot: the same motion, with its feet on the ground and locked in stance.

The pose of every frame becomes the target, limb by limb and joint by joint; feet are grounded and locked as a person's are. This
repairs floating and sinking, slipping, and joints beyond their range or speed.
"""

from __future__ import annotations

import numpy as np

from robolearn.evaluation.gait.motion import motion_of
from robolearn.evaluation.gait.recordings import Recording
from robolearn.evaluation.gait.stance import SHORTEST_S, ground, steady
from robolearn.motions.feet import lock, steady_yaw
from robolearn.motions.footing import FAST, LIFTED, UNEVEN, smooth
from robolearn.motions.kinematics import Kinematics
from robolearn.motions.rig import Rig
from robolearn.motions.rotation import about, exponential, heading, logarithm, matrix_of_quat, slerp
from robolearn.motions.targets import LEVELLING, Targets

FLAT, TILTED = np.radians(3.0), np.radians(12.0)
"""Tilt of a standing foot below which it is laid flat, and above which it is unchanged."""
SMOOTH_S = 0.2


def resampled(kinematics: Kinematics, recording: Recording, fps: float) -> np.ndarray:
    """Poses (T, nq) of a recording at another rate."""
    count = len(recording.qpos)
    at = np.arange(max(2, int((count - 1) * recording.dt * fps + 1e-9) + 1)) / (recording.dt * fps)
    at = np.minimum(at, count - 1)
    frames = np.arange(count)
    place, joints = (np.stack([np.interp(at, frames, row) for row in part.T], 1) for part in (recording.qpos[:, :3], recording.qpos[:, 7:]))
    return kinematics.qpos(place, slerp(matrix_of_quat(recording.qpos[:, 3:7]), at), joints)


def targets_of_recording(recording: Recording, rig: Rig, kinematics: Kinematics, fps: float) -> Targets:
    """The targets from a recorded motion of the same robot."""
    dt = 1.0 / fps
    qpos = resampled(kinematics, recording, fps)
    placed = kinematics.place(qpos)
    soles = rig.soles
    height = np.stack([sole.height(sole.places(placed.position[:, sole.body], placed.attitude[:, sole.body])) for sole in soles], 1)
    own = ground(height, dt)
    drift = np.stack([smooth(row, round(SMOOTH_S / dt)) for row in own.T], 1)
    apart = np.abs(drift - drift.min(1, keepdims=True)) > UNEVEN  # a foot that is not down for long has no ground of its own
    under = np.where(apart, drift.min(1, keepdims=True), drift)
    moving = motion_of(rig.anatomy, qpos, dt)
    slip = moving.slip[:, list(rig.feet)]
    contact = steady((height - under < LIFTED) & (slip < FAST), round(SHORTEST_S / dt))
    foot, sole = _feet(rig, placed.position, placed.attitude, height, under, contact)
    lowered = under.mean(1)[:, None] * [0.0, 0.0, 1.0]
    parts = [placed.at(b) - placed.at(a) for limb in (*rig.legs, *rig.arms) for a, b in zip(limb.points[:-1], limb.points[1:], strict=True)]
    level = np.swapaxes(rig.level, 1, 2)
    spread = float(np.percentile(under, 95) - np.percentile(under, 5))
    return Targets(
        dt=dt,
        hips=placed.at(rig.hips) - lowered,
        trunk=placed.attitude[:, [rig.pelvis, rig.chest]] @ level,
        foot=foot,
        sole=sole,
        parts=np.stack(parts, 1),
        trust=np.ones((len(qpos), len(parts) + 2)),
        contact=contact,
        scale=1.0,
        pace=1.0,
        joints=qpos[:, kinematics.joints],
        remarks=(f"the ground was {float(np.median(under)) * 100:+.1f} cm off, and varied by {spread * 100:.1f} cm",),
    )


def _feet(
    rig: Rig, position: np.ndarray, attitude: np.ndarray, height: np.ndarray, under: np.ndarray, contact: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the soles' bodies (T, 2, 3) and attitudes of the soles (T, 2, 3, 3): level and locked in stance."""
    places, turns = [], []
    for i, sole in enumerate(rig.soles):
        asked = attitude[:, sole.body] @ rig.upright[i].T
        yaw = heading(asked)
        level = about("z", -yaw) @ asked
        tilt = np.arccos(np.clip(level[:, 2, 2], -1, 1))
        share = np.clip((tilt - FLAT) / (TILTED - FLAT), 0.0, 1.0)
        share = np.where((height[:, i] - under[:, i] < LEVELLING) | contact[:, i], share * share * (3 - 2 * share), 1.0)
        level = exponential(share[:, None] * logarithm(level))
        flat = about("z", steady_yaw(yaw, contact[:, i])) @ level
        place = position[:, sole.body] - under[:, i, None] * [0.0, 0.0, 1.0]
        places.append(lock(sole, place, flat @ rig.upright[i], contact[:, i]))
        turns.append(flat)
    return np.stack(places, 1), np.stack(turns, 1)
