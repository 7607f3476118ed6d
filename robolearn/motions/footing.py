"""Where a person's feet stand: the ground under a clip, and which foot carries load in which frame.

The height of the ground is not known: mocap has its own floor, people in video float. It is taken from the feet, as the height that the
ankles have at their lowest. Contacts are told as those of a robot's recording are, by `gait.stance`, for the lower of ankle and toe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robolearn.evaluation.gait.stance import ground, loaded
from robolearn.motions.person import Person

ANKLE = 0.0795
"""Height of the ankle over the sole against thigh and shank, 0.039 to 0.491 of a body's height (Winter, Biomechanics, table 4.1)."""
LOW = 10.0  # percentile of an ankle's or a toe's height that is its height in stance
APART = 0.04  # m between left and right, from which on one of them never stood and has no floor of its own
UNEVEN = 0.06  # m of range of the ground, from which on it is followed


@dataclass(frozen=True, kw_only=True)
class Footing:
    """The ground and the feet of a person, left before right.

    Attributes:
        ground: height of the ground [m], (T,).
        lift: height of ankle and toe above where they are in stance [m], (T, 2, 2).
        contact: feet that carry load, (T, 2).
        range: of the ground's height in the clip [m]; 0 where it is flat.
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
        person: whose.
        leg: thigh and shank [m].
        dt: between frames [s].
    """
    toes = person.has("left_toe") and person.has("right_toe")
    points = [np.stack([person[f"{side}_{name}"] for side in ("left", "right")], 1) for name in (("ankle", "toe") if toes else ("ankle",))]
    place = np.stack(points, 2)  # (T, 2 feet, ankle and toe, 3)
    height = place[..., 2]
    floor = np.stack([_floors(height[:, :, i]) for i in range(height.shape[2])], -1)  # (2, points)
    relative = height - floor
    below = ground(relative.min(2), dt).min(1)  # (T,), of the lower foot
    spread = float(np.percentile(below, 95) - np.percentile(below, 5))
    uneven = spread > UNEVEN
    drift = _smooth(below, round(0.3 / dt)) if uneven else np.zeros(len(below))
    lift = relative - drift[:, None, None]
    lower = lift.argmin(2)[..., None]
    lowest = np.take_along_axis(lift, lower, 2)[..., 0]
    speed = np.linalg.norm(np.gradient(place[..., :2], dt, axis=0), axis=-1)
    slow = np.take_along_axis(speed, lower, 2)[..., 0]
    level = floor[:, 0].mean() - ANKLE * leg
    lift = lift if toes else np.repeat(lift, 2, axis=2)
    return Footing(ground=level + drift, lift=lift, contact=loaded(lowest, slow, dt), range=spread if uneven else 0.0)


def _floors(height: np.ndarray) -> np.ndarray:
    """The height in stance of left and right (T, 2) [m], (2,): each its own, unless one of them did not stand."""
    own = np.percentile(height, LOW, axis=0)
    return own if abs(own[0] - own[1]) < APART else np.full(2, np.percentile(height, LOW / 2))


def _smooth(series: np.ndarray, reach: int) -> np.ndarray:
    """Moving mean over `reach` frames before and after, (T,)."""
    padded = np.pad(series, reach, mode="edge")
    return np.convolve(padded, np.ones(2 * reach + 1) / (2 * reach + 1), mode="valid")
