"""The path of a swing foot, and its foothold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EARTH = 9.81  # m/s2


@dataclass(frozen=True)
class Point:
    """The state of a foot at one moment, in the world.

    Attributes:
        position: x, y, z [m], and further coordinates that move along, (3 + K,).
        velocity: [m/s], (3 + K,).
        acceleration: [m/s2], (3 + K,).
    """

    position: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray


def swing(start: np.ndarray, end: np.ndarray, height: float, share: float, duration_s: float) -> Point:
    """A swing that begins and ends at rest: quintic in the plane, and up and down by `height`.

    Args:
        start: where it left the ground [m], and further coordinates that move along, such as its heading, (3 + K,).
        end: where it will come down, (3 + K,).
        height: height of the middle of the path above the straight line [m].
        share: elapsed share of the path's time; beyond 1 it waits at the end.
        duration_s: duration of the whole path [s].
    """
    s = min(max(share, 0.0), 1.0)
    blend = s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
    rate = 30.0 * s**2 * (1.0 - s) ** 2 / duration_s
    change = 60.0 * s * (1.0 - s) * (1.0 - 2.0 * s) / duration_s**2
    way = end - start
    position, velocity, acceleration = start + blend * way, rate * way, change * way
    bump = s * (1.0 - s)  # height (4 bump)^2, with zero slope at both ends
    position[2] += height * 16.0 * bump**2
    velocity[2] += height * 32.0 * bump * (1.0 - 2.0 * s) / duration_s
    acceleration[2] += height * 32.0 * ((1.0 - 2.0 * s) ** 2 - 2.0 * bump) / duration_s**2
    return Point(position, velocity, acceleration)


def foothold(below: np.ndarray, velocity: np.ndarray, wanted: np.ndarray, stance_s: float, gain_s: float) -> np.ndarray:
    """The foothold after Raibert (1986, Legged Robots That Balance, chapter 2): x = x_hip + v T / 2 + k (v - v_wanted).

    Args:
        below: the point below the hip at touchdown [m], (2,).
        velocity: velocity of the hip [m/s], (2,).
        wanted: its desired velocity [m/s], (2,).
        stance_s: how long the foot will stand, T [s].
        gain_s: k [s].
    """
    return below + velocity * stance_s / 2 + gain_s * (velocity - wanted)
