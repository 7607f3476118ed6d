"""Finds the footing of a person: the ground under a clip, and which foot carries load in which frame.

The height of the ground is unknown: mocap has its own floor, and people in video float. It is taken from the feet, as the height of the
ankles at their lowest. Contacts are found as for a robot's recording in `gait.stance`: by height and speed, of the lower of ankle and toe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robolearn.evaluation.gait.stance import SHORTEST_S, ground, steady
from robolearn.motions.feet import stances
from robolearn.motions.person import Person

ANKLE = 0.0795
"""Height of the ankle over the sole against thigh and shank, 0.039 to 0.491 of a body's height (Winter, Biomechanics, table 4.1)."""
LOW = 10.0  # percentile of an ankle's or a toe's height that is its height in stance
LIFTED, FAST = 0.032, 0.8  # m above its ground and m/s in the plane, beyond which a foot swings: a little more than in `gait.stance`
APART = 0.04  # m between left and right, beyond which one of them was never down and has no floor of its own
UNEVEN = 0.06  # m of range of the ground, beyond which it is reported
STILL = 0.35  # m/s, below which a foot on uneven ground is down
FALLING = 5.0  # m/s2 downward, beyond which a person is in flight
UNSUPPORTED = 0.12  # share of frames with no foot down and no flight, beyond which the ground is treated as uneven
SMOOTH_S = 0.2  # time before and after over which the ground is averaged


@dataclass(frozen=True, kw_only=True)
class Footing:
    """The ground and the feet of a person, left before right.

    Attributes:
        ground: height of the ground [m], (T,).
        lift: height of ankle and toe above their height in stance [m], (T, 2, 2).
        contact: feet that carry load, (T, 2).
        range: range of the ground's height in the clip [m]; 0 if it is nearly flat.
    """

    ground: np.ndarray
    lift: np.ndarray
    contact: np.ndarray
    range: float


def leg_length(person: Person) -> float:
    """Thigh and shank of a person, the median of both legs [m]."""
    parts = [
        np.nanmedian(np.linalg.norm(person[f"{side}_{a}"] - person[f"{side}_{b}"], axis=-1))
        for side in ("left", "right")
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    return float(np.sum(parts)) / 2


def footing(person: Person, leg: float, dt: float) -> Footing:
    """Find ground and contacts of a person without gaps.

    Args:
        person: the person.
        leg: length of thigh and shank [m].
        dt: time between frames [s].
    """
    toes = person.has("left_toe") and person.has("right_toe")
    points = [np.stack([person[f"{side}_{name}"] for side in ("left", "right")], 1) for name in (("ankle", "toe") if toes else ("ankle",))]
    place = np.stack(points, 2)  # (T, 2 feet, ankle and toe, 3)
    height = place[..., 2]
    floor = np.stack([_floors(height[:, :, i]) for i in range(height.shape[2])], -1)  # (2, points)
    relative = height - floor
    velocity = np.gradient(place, dt, axis=0)
    planar = np.linalg.norm(velocity[..., :2], axis=-1)
    lift, contact, drift = _level(relative, planar, dt)
    hips = (person["left_hip"] + person["right_hip"])[:, 2] / 2
    if _unsupported(hips, contact, dt) > UNSUPPORTED:
        lift, contact, drift = _uneven(relative, np.linalg.norm(velocity, axis=-1), planar, dt)
    spread = float(np.percentile(drift, 95) - np.percentile(drift, 5))
    level = floor[:, 0].mean() - ANKLE * leg
    lift = lift if toes else np.repeat(lift, 2, axis=2)
    return Footing(ground=level + drift, lift=lift, contact=contact, range=spread if spread > UNEVEN else 0.0)


def _level(relative: np.ndarray, speed: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lift, contacts and the ground's drift [m] if both feet are on one floor, which may drift or lean a little."""
    own = ground(relative.min(2), dt)  # (T, 2)
    below = own.min(1, keepdims=True)  # under the lower foot
    aside = np.where(own - below < APART, own - below, 0.0)
    drift, reach = smooth(below[:, 0], round(SMOOTH_S / dt)), round(SMOOTH_S / dt)
    lift = relative - drift[:, None, None] - np.stack([smooth(row, reach) for row in aside.T], 1)[..., None]
    lower = lift.argmin(2)[..., None]
    lowest, slow = (np.take_along_axis(values, lower, 2)[..., 0] for values in (lift, speed))
    return lift, steady((lowest < LIFTED) & (slow < FAST), round(SHORTEST_S / dt)), drift


def _uneven(relative: np.ndarray, speed: np.ndarray, planar: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same if each step has its own height: a foot is down while it is still, and its ground is at that height."""
    contact = steady(speed.min(2) < STILL, round(SHORTEST_S / dt))
    grounds = []
    for foot in range(2):
        height, frames = relative[:, foot].min(1), np.arange(len(relative))
        spans = stances(contact[:, foot])
        under = np.full(len(frames), np.median(height))
        if spans:
            at = np.concatenate([[start, end - 1] for start, end in spans])
            levels = np.repeat([np.percentile(height[start:end], LOW) for start, end in spans], 2)
            under = np.interp(frames, at, levels)
        grounds.append(under)
    under = np.stack(grounds, 1)
    lift = relative - under[..., None]
    low = (lift.min(2) < LIFTED) & (planar.min(2) < FAST)
    return lift, steady(contact | low, round(SHORTEST_S / dt)), smooth(under.mean(1), round(SMOOTH_S / dt))


def _unsupported(hips: np.ndarray, contact: np.ndarray, dt: float) -> float:
    """Share of frames in which no foot is down although the hips do not fall: something else carries the person."""
    settled = smooth(hips, max(1, round(0.04 / dt)))
    fall = np.gradient(np.gradient(settled, dt), dt)
    return float((~contact.any(1) & (fall > -FALLING)).mean())


def _floors(height: np.ndarray) -> np.ndarray:
    """The height in stance of left and right (T, 2) [m], (2,): each its own, unless one of them was never down."""
    own = np.percentile(height, LOW, axis=0)
    return own if abs(own[0] - own[1]) < APART else np.full(2, np.percentile(height, LOW / 2))


def smooth(series: np.ndarray, reach: int) -> np.ndarray:
    """Moving mean over `reach` frames before and after, (T,)."""
    padded = np.pad(series, reach, mode="edge")
    return np.convolve(padded, np.ones(2 * reach + 1) / (2 * reach + 1), mode="valid")
