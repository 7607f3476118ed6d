"""Corrects masses and inertias that MuJoCo refuses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SMALLEST_MASS = 1e-6  # [kg]
SMALLEST_INERTIA = 1e-12  # [kg m^2], well above MuJoCo's 1e-15
TOLERANCE = 1e-9  # share of the largest principal moment


@dataclass(frozen=True, kw_only=True)
class Inertial:
    """Mass and inertia of a link.

    Attributes:
        mass: [kg].
        position: centre of mass in the link's frame [m], shape (3,).
        matrix: inertia about the centre of mass, along the link's axes [kg m^2], shape (3, 3).
    """

    mass: float
    position: np.ndarray
    matrix: np.ndarray


def moved(inertial: Inertial, rotation: np.ndarray, position: np.ndarray) -> Inertial:
    """The same body in a parent frame, in which its own frame is at `position` (3,) with `rotation` (3, 3)."""
    return Inertial(mass=inertial.mass, position=rotation @ inertial.position + position, matrix=rotation @ inertial.matrix @ rotation.T)


def joined(parts: list[Inertial]) -> Inertial:
    """Several bodies in one frame combined (parallel axis theorem)."""
    mass = sum(part.mass for part in parts)
    if mass <= 0:
        return parts[0]
    position = sum((part.mass * part.position for part in parts), np.zeros(3)) / mass
    matrix = np.zeros((3, 3))
    for part in parts:
        d = part.position - position
        matrix += part.matrix + part.mass * (d @ d * np.eye(3) - np.outer(d, d))
    return Inertial(mass=mass, position=position, matrix=matrix)


def sphere(mass: float, density: float = 1000.0) -> np.ndarray:
    """Inertia (3, 3) of a solid ball with that mass [kg] and density [kg/m^3]."""
    radius = (3 * mass / (4 * math.pi * density)) ** (1 / 3)
    return np.eye(3) * 0.4 * mass * radius**2


def physical(inertial: Inertial, smallest_mass: float) -> tuple[Inertial, list[str]]:
    """A physically possible inertia, and the changes, as sentence endings after the names of links.

    If A + B < C, the two smaller principal moments are raised; a moment that is not positive is set to a hundredth of the largest.

    Args:
        inertial: the file's values.
        smallest_mass: mass for a moving body without one [kg].
    """
    if inertial.mass < SMALLEST_MASS:
        light = Inertial(mass=smallest_mass, position=inertial.position, matrix=sphere(smallest_mass))
        return light, [f"without a mass: set to {smallest_mass:.3g} kg, as a ball of water"]
    matrix = (inertial.matrix + inertial.matrix.T) / 2
    values, axes = np.linalg.eigh(matrix)
    if values[2] < SMALLEST_INERTIA:
        ball = Inertial(mass=inertial.mass, position=inertial.position, matrix=sphere(inertial.mass))
        return ball, ["without rotational inertia: set to that of a ball of water with their mass"]
    changes = []
    if values[0] <= max(SMALLEST_INERTIA, TOLERANCE * values[2]):
        changes.append("with a principal moment of inertia that is not positive: raised to a hundredth of the largest")
        values = np.maximum(values, 0.01 * values[2])
    lack = values[2] - values[0] - values[1]
    if lack > 0:
        if lack > 1e-3 * values[2]:  # smaller differences are rounding in the file and not reported
            changes.append("with principal moments A + B < C, which is physically impossible: A and B raised")
        values = values + np.array([0.5, 0.5, 0]) * lack * (1 + 1e-6)
    elif not changes:
        return inertial, []
    return Inertial(mass=inertial.mass, position=inertial.position, matrix=(axes * values) @ axes.T), changes


def equal_box(inertial: Inertial) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The solid box with that mass and inertia: half sizes (3,), centre (3,) and rotation (3, 3) in the link's frame [m]."""
    values, axes = np.linalg.eigh((inertial.matrix + inertial.matrix.T) / 2)
    if np.linalg.det(axes) < 0:
        axes[:, 0] = -axes[:, 0]
    squares = 1.5 * (values.sum() - 2 * values) / max(inertial.mass, SMALLEST_MASS)
    return np.sqrt(np.maximum(squares, 1e-6)), inertial.position, axes
