"""From the desired motion of base and feet to torques: inverse dynamics, with forces that the ground can provide.

Feet and posture determine the joint accelerations for any acceleration b of the base, since each leg's joints follow from its foot:

    a = S b + s

The six unactuated rows of the equations of motion then give b for any forces of the ground, b = A f + c. The forces are chosen such that b
comes nearest to the desired one, see `robolearn.controllers.forces`; the other rows are the torques. (It is inverse dynamics as in Righetti
et al. 2013; here the base's acceleration is eliminated, so that the remaining problem is small and only has bounds.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robolearn.controllers.body import FREE, Body
from robolearn.controllers.forces import EDGES, SMALL, best_weights

HEAVIEST = 4.0  # of the robot's weight: the largest force of a contact


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The desired motion of base and joints at one moment.

    Attributes:
        base: rows R of R b + r = values, the desired acceleration b of the base (linear in the world, angular in its own frame),
            in SI units, (m, 6).
        offset: r, (m,).
        values: (m,).
        weights: weight of each row's error, (m,).
        feet: acceleration of each foot, linear and for a sole angular, in the world, (rows,) each.
        joints: acceleration of all degrees of freedom outside the legs, (nv,).
    """

    base: np.ndarray
    offset: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    feet: Sequence[np.ndarray]
    joints: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Motion:
    """The nearest feasible motion.

    Attributes:
        acceleration: of all degrees of freedom, (nv,).
        torque: of the joints in policy order [N m], (J,).
        forces: of the ground on each contact point of the feet that stand, in the world [N], (P, 3).
        points: their contact points [m], (P, 3).
    """

    acceleration: np.ndarray
    torque: np.ndarray
    forces: np.ndarray
    points: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Following:
    """Accelerations of all joints as a function of the base's: a = slope b + start.

    Attributes:
        slope: S, (nv, 6).
        start: s, (nv,).
    """

    slope: np.ndarray
    start: np.ndarray


def following(body: Body, feet: Sequence[np.ndarray], joints: np.ndarray) -> Following:
    """The joint accelerations that give the feet the desired ones, for any acceleration of the base. Arguments as in `Wanted`."""
    nv = body.model.nv
    slope, start = np.zeros((nv, FREE)), joints.copy()
    slope[:FREE] = np.eye(FREE)
    start[:FREE] = 0.0
    for leg in body.legs:
        start[leg.dofs] = 0.0
    others = start.copy()
    for index, leg in enumerate(body.legs):
        inverse, jacobian = body.inverses[index], body.jacobians[index]
        start[leg.dofs] = inverse @ (feet[index] - body.drifts[index] - jacobian @ others)
        slope[leg.dofs] = -inverse @ jacobian[:, :FREE]
    return Following(slope=slope, start=start)


def solve(body: Body, wanted: Wanted, stands: np.ndarray, follow: Following | None = None, small: float = SMALL) -> Motion:
    """The feasible motion nearest to the desired one.

    Args:
        body: the robot, after `look` at the present state.
        wanted: the desired motion of base, feet and joints.
        stands: stance feet, whose forces are used, (F,) bool.
        follow: `following` of the same feet and joints, if already computed.
        small: weight of the forces themselves.
    """
    follow = follow or following(body, wanted.feet, wanted.joints)
    mass, bias = body.mass_matrix, body.bias
    found = [body.contact_points(index) for index in np.flatnonzero(stands).tolist()]
    points = np.concatenate([places for places, _ in found]) if found else np.zeros((0, 3))
    jacobians = np.concatenate([jacobian for _, jacobian in found]) if found else np.zeros((0, 3, len(bias)))  # (P, 3, nv)
    edges = np.einsum("pij,ik->jpk", jacobians, EDGES).reshape(len(bias), -1)  # J^T G, (nv, 4 P)
    inertia = mass[:FREE] @ follow.slope
    needed = mass[:FREE] @ follow.start + bias[:FREE]
    if found:
        both = np.linalg.solve(inertia, np.column_stack([edges[:FREE], needed]))
        gives, falls = both[:, :-1], -both[:, -1]
        matrix = wanted.weights[:, None] * (wanted.base @ gives)
        target = wanted.weights * (wanted.values - wanted.offset - wanted.base @ falls)
        weights = best_weights(matrix, target, HEAVIEST * body.mass * 9.81, small)
        base = gives @ weights + falls
    else:
        weights, base = np.zeros(0), np.linalg.solve(inertia, -needed)
    acceleration = follow.slope @ base + follow.start
    torque = mass @ acceleration + bias - edges @ weights
    forces = weights.reshape(-1, 4) @ EDGES.T
    return Motion(acceleration=acceleration, torque=torque[body.joint_dofs], forces=forces, points=points)
