"""Finds where a leg touches the ground: a round foot at its lowest point, a flat sole at the flat face of the foot away from the ankle.

A link's frame does not show its sole, since a foot may point anywhere in the file's zero pose. So faces are searched for in all directions
away from the ankle: the farthest points in a direction give a plane, whose normal is the next direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.describe.limbs import Chain
from envs.robots.describe.shapes import Cloud, directions, extent_across, main_axes

ANKLE_JOINTS = 5  # a leg with this many joints can lay its sole on the ground
FLAT = 0.01  # share of the leg's length: largest distance of a sole's points from one plane
LONG, WIDE = 0.08, 0.03  # share of the leg's length: smallest size of a flat sole


@dataclass(frozen=True, kw_only=True)
class Sole:
    """The contact area of a leg.

    Attributes:
        body: id of the body that carries the foot.
        position: middle of the sole, in the body's frame [m], (3,).
        flat: whether the sole is flat and the leg can lay it on the ground.
        up: its upward normal in the body's frame, (3,).
        along: direction of its length in the body's frame (3,); None if it is as wide as long.
        length, width: size of the contact area [m].
    """

    body: int
    position: np.ndarray
    flat: bool
    up: np.ndarray
    along: np.ndarray | None
    length: float
    width: float


def find_sole(model: mujoco.MjModel, leg: Chain, down: np.ndarray, straight: float) -> Sole:
    """The sole of a leg, with the ground in about the direction `down` of its last link's frame.

    Args:
        model: the robot.
        leg: the leg.
        down: unit vector in the frame of the leg's last link, (3,).
        straight: the leg's length [m].
    """
    shape = leg.cloud
    face = _flattest(shape, leg.tip.anchor, down, straight) if len(leg.own) >= ANKLE_JOINTS else None
    normal = down if face is None else face
    touching = shape.support(normal, FLAT * straight)
    length, width = extent_across(touching)
    middle = shape.lowest(down) if face is None else (touching.min(axis=0) + touching.max(axis=0)) / 2
    geom = int(shape.geoms[np.argmax(shape.points @ normal + shape.radii)])
    body = int(model.geom_bodyid[geom]) if geom >= 0 else next(iter(leg.tip.bodies))
    to_body = np.linalg.inv(leg.tip.bodies[body])
    return Sole(
        body=body,
        position=to_body[:3, :3] @ middle + to_body[:3, 3],
        flat=face is not None,
        up=-(to_body[:3, :3] @ normal),
        along=None if face is None or length < 1.3 * width else to_body[:3, :3] @ main_axes(touching)[1][0],
        length=length,
        width=width,
    )


def _flattest(shape: Cloud, ankle: np.ndarray, down: np.ndarray, straight: float) -> np.ndarray | None:
    """The outward normal of the largest face away from the ankle, preferably downwards, (3,); None if none is flat."""
    best, most = None, 0.0
    for start in (down, *np.eye(3), *-np.eye(3), *directions(60)):
        normal = _settled(shape, start, straight)
        points = shape.support(normal, FLAT * straight)
        length, width = extent_across(points)
        away = float(normal @ (points.mean(axis=0) - ankle))
        worth = length * width * (1.0 + 0.5 * float(normal @ down))
        if away > 0 and normal @ down > -0.3 and length > LONG * straight and width > WIDE * straight and worth > 1.02 * most:
            best, most = normal, worth
    return best


def _settled(shape: Cloud, start: np.ndarray, straight: float) -> np.ndarray:
    """The normal of the plane through the farthest points in a direction, iterated along the normal, (3,)."""
    normal = start / np.linalg.norm(start)
    for tolerance in (5 * FLAT, 3 * FLAT, FLAT, FLAT):
        points = shape.support(normal, tolerance * straight)
        if len(points) < 3:
            break
        spreads, axes = main_axes(points)
        if spreads[1] < 0.1 * WIDE * straight:
            break
        normal = axes[2] * np.sign(axes[2] @ normal or 1.0)
    return normal
