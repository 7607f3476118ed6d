"""Feet that stand still: a foot's path is made so that what touches the ground does not move while it carries load.

A sole is a set of points (`gait.soles.Sole`). While a foot stands, each step of its path is what keeps the points that touch where they
are, heel and toe alike, so that a foot rolls over its edge instead of sliding. The path's own place in a stance is the mean of what was
asked. In a swing the correction goes over from that of the stance before to that of the stance after, and the sole is kept above the
ground. After Kovar, Schreiner and Gleicher 2002 (footskate cleanup), with a sole in place of two joints.
"""

from __future__ import annotations

import itertools

import numpy as np

from robolearn.evaluation.gait.soles import LEVEL, Sole
from robolearn.motions.rotation import logarithm

PIVOT = np.radians(20.0)
"""How far a standing foot's yaw may be from what is asked before it turns along."""
CLEARANCE = 0.002  # m above the ground in a swing, at least


def stances(contact: np.ndarray) -> list[tuple[int, int]]:
    """First frames of one foot's stances and the frames after their last, of contacts (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], contact.astype(int), [0]])))
    return list(itertools.pairwise(edges.tolist()))[::2]


def hold(values: np.ndarray, contact: np.ndarray, locked: np.ndarray) -> np.ndarray:
    """`values` (T, ...) with `locked` in stance; in swings what was added goes over smoothly from one stance to the next.

    Args:
        values: what is asked.
        contact: (T,).
        locked: what is to be in stance, (T, ...); read there alone.
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

    It stays where the middle of a stance has it, as long as what is asked is less than `PIVOT` away. Where a person turns on a foot, it is
    dragged along behind what is asked: a leg that is twisted further than that is no pose.
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
    """Where a foot's body is to be [m], (T, 3), so that its sole neither slides in stance nor goes below the ground.

    Args:
        sole: of the foot.
        position: asked of its body [m], (T, 3); the ground is at 0.
        attitude: of its body, (T, 3, 3); kept.
        contact: frames in which it stands, (T,).
    """
    arms = np.einsum("tij,pj->tpi", attitude, sole.points)
    depth = (arms[..., 2] - sole.radius).min(1)  # of the lowest point below the body's origin
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
    """Planar steps of the body from frame to frame that leave what touches in its place [m], (T - 1, 2); see `Sole.slip`."""
    heights = arms[..., 2] - sole.radius
    low = heights <= heights.min(1, keepdims=True) + LEVEL
    both = low[:-1] & low[1:]
    lowest = heights[:-1] <= heights[:-1].min(1, keepdims=True)
    weight = np.where(both.any(1, keepdims=True), both, lowest).astype(float)
    spin = logarithm(attitude[1:] @ np.swapaxes(attitude[:-1], 1, 2))
    rolled = np.stack([-spin[:, 1], spin[:, 0]], -1)[:, None] * sole.radius[:, None]
    moved = np.diff(arms, axis=0)[..., :2] + rolled
    return -(moved * weight[..., None]).sum(1) / weight.sum(1)[:, None]
