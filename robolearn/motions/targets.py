"""The targets for a robot in a clip, in its own proportions, from a person, part by part.

Lengths are scaled by the legs: the factor s is the height of the robot's hips above its soles over the person's. Paths, strides and heights
are the person's times s. Thighs, shanks and arms keep the person's directions and have the robot's lengths. Time is scaled by Froude's
number v^2 / (g L): at the same number, speeds and durations scale with sqrt(s), so that falls, swings and jumps stay physical.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from robolearn.motions.feet import lock, steady_yaw
from robolearn.motions.footing import ANKLE, Footing, footing, leg_length
from robolearn.motions.person import LANDMARKS, Person
from robolearn.motions.rig import Rig
from robolearn.motions.rotation import about, frame_of

FLAT, TILTED = np.radians(4.0), np.radians(16.0)
"""Pitch of a foot below which it is laid flat, and above which it is the person's."""
PITCH = (np.radians(-40.0), np.radians(75.0))
LEVELLING = 0.012  # m of lift of ankle and toe, below which a standing foot is flat


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The targets of T frames with L limb parts: thighs and shanks, then upper and lower arms, left before right.

    Attributes:
        dt: time between frames [s].
        hips: middle of the hips [m], (T, 3).
        trunk: attitudes of pelvis and chest, (T, 2, 3, 3); the identity is upright and ahead.
        foot: positions of the soles' bodies [m], (T, 2, 3).
        sole: attitudes of the soles, (T, 2, 3, 3); the identity is flat and ahead.
        parts: direction and length of each limb part [m], (T, L, 3).
        trust: weights of the limb parts and the trunk, 0 to 1, (T, L + 2).
        contact: feet that are down, left before right, (T, 2).
        scale: robot's length over the person's.
        pace: robot's duration over the person's.
        joints: angles to which the joints are drawn [rad], (T, J); None for the robot's default pose.
        remarks: notes on what was done, one sentence each.
    """

    dt: float
    hips: np.ndarray
    trunk: np.ndarray
    foot: np.ndarray
    sole: np.ndarray
    parts: np.ndarray
    trust: np.ndarray
    contact: np.ndarray
    scale: float
    pace: float
    joints: np.ndarray | None = None
    remarks: tuple[str, ...] = ()


def targets_of(person: Person, rig: Rig, fps: float, froude: bool = True) -> Targets:
    """The targets for a robot from a person's motion.

    Args:
        person: a person without gaps (see `gaps.pieces`).
        rig: the robot's limbs.
        fps: rate of the result.
        froude: whether to scale time by Froude's number; otherwise it is the person's.
    """
    leg = leg_length(person)
    scale = rig.stand_height / (leg * (1 + ANKLE))
    pace = float(np.sqrt(scale)) if froude else 1.0
    dt = 1.0 / fps
    timed = resampled(person, dt / pace)
    scaled = replace(timed, position=timed.position * scale, fps=fps)
    feet = footing(scaled, leg * scale, dt)
    at = {name: scaled[name] - np.array([0.0, 0.0, 1.0]) * feet.ground[:, None] for name in LANDMARKS}
    trunk = _trunk(at)
    foot, sole = _feet(at, feet, rig, trunk)
    parts, trust = _parts(at, scaled, rig)
    remarks = [f"lengths times {scale:.3f} (legs of {leg:.2f} m and {rig.stand_height:.2f} m to the hips)"]
    remarks += [f"time times {pace:.3f} (Froude)" if froude else "time not scaled"]
    remarks += [f"the ground's changes of height, {feet.range * 100:.0f} cm, were removed"] if feet.range else []
    return Targets(
        dt=dt,
        hips=(at["left_hip"] + at["right_hip"]) / 2,
        trunk=trunk,
        foot=foot,
        sole=sole,
        parts=parts,
        trust=trust,
        contact=feet.contact,
        scale=scale,
        pace=pace,
        remarks=(*person.remarks, *remarks),
    )


def resampled(person: Person, dt: float) -> Person:
    """The person at another rate, by cubic Hermite curves through the landmarks."""
    last = (len(person.position) - 1) / person.fps
    times = np.arange(max(2, int(last / dt + 1e-9) + 1)) * dt * person.fps  # in frames
    before = np.clip(np.floor(times).astype(int), 0, len(person.position) - 2)
    x = (times - before)[:, None, None]
    slope = np.gradient(person.position, axis=0)
    a, b = person.position[before], person.position[before + 1]
    curve = (
        (2 * x**3 - 3 * x**2 + 1) * a
        + (x**3 - 2 * x**2 + x) * slope[before]
        + (3 * x**2 - 2 * x**3) * b
        + (x**3 - x**2) * slope[before + 1]
    )
    sure = np.minimum(person.confidence[before], person.confidence[before + 1])
    return replace(person, position=curve, confidence=sure, fps=1.0 / dt)


def _trunk(at: dict[str, np.ndarray]) -> np.ndarray:
    """Attitudes of pelvis and chest, (T, 2, 3, 3): the line from hips to shoulders is up for both, and each has its own left."""
    hips = at["left_hip"] - at["right_hip"]
    shoulders = at["left_shoulder"] - at["right_shoulder"]
    up = (at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"]) / 2
    return np.stack([frame_of(up, hips), frame_of(up, shoulders)], 1)


def _feet(at: dict[str, np.ndarray], feet: Footing, rig: Rig, trunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the soles' bodies (T, 2, 3) and attitudes of the soles (T, 2, 3, 3), locked in stance."""
    positions, attitudes = [], []
    for i, side in enumerate(("left", "right")):
        ankle, contact = at[f"{side}_ankle"], feet.contact[:, i]
        toe = at[f"{side}_toe"]
        known = np.isfinite(toe).all()
        ahead = toe - ankle if known else trunk[:, 0, :, 0] * [1.0, 1.0, 0.0]
        ahead = ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)
        across = np.cross(at[f"{side}_knee"] - ankle, ahead)
        side_on = np.cross(across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6), [0.0, 0.0, 1.0])
        flat = np.linalg.norm(ahead[:, :2], axis=-1, keepdims=True)
        way = ahead[:, :2] * flat + side_on[:, :2] * (1 - flat)
        yaw = steady_yaw(np.unwrap(np.arctan2(way[:, 1], way[:, 0])), contact)
        rise = np.arcsin(np.clip(ahead[:, 2], -1, 1))
        standing = contact & (np.abs(feet.lift[:, i]) < LEVELLING).all(1)
        level = np.median(rise[standing]) if standing.any() else np.median(rise[contact]) if contact.any() else np.percentile(rise, 50)
        pitch = np.clip(level - rise, *PITCH) if known else np.zeros(len(rise))
        share = np.clip((np.abs(pitch) - FLAT) / (TILTED - FLAT), 0.0, 1.0)
        pitch = pitch * share * share * (3 - 2 * share)
        attitude = about("z", yaw) @ about("y", pitch)
        sole, limb = rig.soles[i], rig.legs[i]
        body = attitude @ rig.upright[i]
        place = ankle.copy()
        rest = -float((rig.upright[i] @ (sole.points - limb.points[2].local).T).T[:, 2].min() - sole.radius.max())
        place[:, 2] = rest + np.maximum(feet.lift[:, i, 0], 0.0)
        asked = place - body @ limb.points[2].local
        positions.append(lock(sole, asked, body, contact))
        attitudes.append(attitude)
    return np.stack(positions, 1), np.stack(attitudes, 1)


def _parts(at: dict[str, np.ndarray], person: Person, rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Limb parts (T, L, 3) in the robot's lengths, and the weights of these and the trunk (T, L + 2)."""
    vectors, trust = [], []
    legs = [("hip", "knee", "ankle", limb) for limb in rig.legs]
    arms = [("shoulder", "elbow", "wrist", limb) for limb in rig.arms]
    for place, (first, middle, last, limb) in enumerate([*legs, *arms]):
        side = ("left", "right")[place % 2]
        for a, b, length in ((first, middle, limb.upper), (middle, last, limb.lower)):
            line = at[f"{side}_{b}"] - at[f"{side}_{a}"]
            sure = np.minimum(*(person.confidence[:, LANDMARKS.index(f"{side}_{name}")] for name in (a, b)))
            known = np.logical_and.reduce(np.isfinite(line), axis=-1)
            size = np.linalg.norm(line, axis=-1, keepdims=True)
            vectors.append(np.where(known[:, None], length * line / np.maximum(size, 1e-6), 0.0))
            trust.append(np.where(known, sure, 0.0))
    columns = [LANDMARKS.index(f"{side}_{name}") for side in ("left", "right") for name in ("hip", "shoulder")]
    trunk = person.confidence[:, columns].min(1)
    return np.stack(vectors, 1), np.stack([*trust, trunk, trunk], 1)
