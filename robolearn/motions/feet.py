"""Locks feet in stance: a foot's path is changed so that its touching points do not move while it carries load.

A sole is a set of points (`gait.soles.Sole`). In stance, each step of the path keeps the touching points in place, heel or toe, so that a
foot rolls over its edge instead of sliding. The place of a stance is the mean of the desired path. In a swing the correction blends from
that of the stance before to that of the stance after, and the sole is kept above the ground. After Kovar, Schreiner and Gleicher 2002
(footskate cleanup), with a sole in place of two joints.
"""

from __future__ import annotations

import itertools

import numpy as np

from robolearn.evaluation.gait.soles import LEVEL, Sole
from robolearn.motions.rotation import logarithm

PIVOT = np.radians(20.0)
"""Largest difference between a standing foot's yaw and the desired one before it turns along [rad]."""
CLEARANCE = 0.002  # m: least height above the ground in a swing


def stances(contact: np.ndarray) -> list[tuple[int, int]]:
    """First frames of one foot's stances and the frames after their last, of contacts (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], contact.astype(int), [0]])))
    return list(itertools.pairwise(edges.tolist()))[::2]


def hold(values: np.ndarray, contact: np.ndarray, locked: np.ndarray) -> np.ndarray:
    """`values` (T, ...) with `locked` in stance; in swings the correction blends smoothly from one stance to the next.

    Args:
        values: the desired values.
        contact: (T,).
        locked: the values in stance, (T, ...); only read there.
    """
    spans, added = stances(contact), np.zeros_like(values)
    if not spans:
        return values.copy()
    for start, end in spans:
        added[start:end] = locked[start:end] - values[start:end]
    for (_, before), (after, _) in itertools.pairwise(spans):
        x = (np.arange(before, after) - before + 1) / (after - before + 1)
        share = (x * x * (3 - 2 * x)).reshape(-1, *[1] * (values.ndim - 1))
        added[before:after] = (1 - share) * added[before - 1] + share * added[after]
    added[: spans[0][0]], added[spans[-1][1] :] = added[spans[0][0]], added[spans[-1][1] - 1]
    return values + added


def steady_yaw(yaw: np.ndarray, contact: np.ndarray) -> np.ndarray:
    """Yaw of a foot [rad], (T,), that does not turn while it stands.

    It keeps its yaw from the middle of the stance as long as the desired yaw is less than `PIVOT` away. If a person turns on a foot, it is
    dragged along behind the desired yaw, since a leg that is twisted further is not a valid pose.
    """
    locked = yaw.copy()
    for start, end in stances(contact):
        own = yaw[start:end]
        middle = float(own.max() + own.min()) / 2
        if np.ptp(own) <= 2 * PIVOT:
            locked[start:end] = middle
            continue
        kept = float(own[0])
        for t in range(start, end):
            kept = min(max(kept, yaw[t] - PIVOT), yaw[t] + PIVOT)
            locked[t] = kept
    return hold(yaw, contact, locked)


def lock(sole: Sole, position: np.ndarray, attitude: np.ndarray, contact: np.ndarray) -> np.ndarray:
    """Desired positions of a foot's body [m], (T, 3), such that its sole neither slides in stance nor goes below the ground.

    Args:
        sole: the foot's sole.
        position: desired positions of its body [m], (T, 3); the ground is at 0.
        attitude: attitudes of its body, (T, 3, 3); kept.
        contact: frames in which it is down, (T,).
    """
    arms = np.einsum("tij,pj->tpi", attitude, sole.points)
    depth = (arms[..., 2] - sole.radius).min(1)  # distance of the lowest point below the body's origin
    grounded = position.copy()
    grounded[:, 2] = -depth
    moves = _rolling(sole, arms, attitude)
    for start, end in stances(contact):
        path = np.concatenate([np.zeros((1, 2)), np.cumsum(moves[start : end - 1], axis=0)])
        grounded[start:end, :2] = path + (position[start:end, :2] - path).mean(0)
    found = hold(position, contact, grounded)
    found[:, 2] = np.where(contact, -depth, np.maximum(found[:, 2], CLEARANCE - depth))
    return found


def _rolling(sole: Sole, arms: np.ndarray, attitude: np.ndarray) -> np.ndarray:
    """Planar steps of the body from frame to frame that keep its touching points in place [m], (T - 1, 2); see `Sole.slip`."""
    heights = arms[..., 2] - sole.radius
    low = heights <= heights.min(1, keepdims=True) + LEVEL
    both = low[:-1] & low[1:]
    lowest = heights[:-1] <= heights[:-1].min(1, keepdims=True)
    weight = np.where(both.any(1, keepdims=True), both, lowest).astype(float)
    spin = logarithm(attitude[1:] @ np.swapaxes(attitude[:-1], 1, 2))
    rolled = np.stack([-spin[:, 1], spin[:, 0]], -1)[:, None] * sole.radius[:, None]
    moved = np.diff(arms, axis=0)[..., :2] + rolled
    return -(moved * weight[..., None]).sum(1) / weight.sum(1)[:, None]
