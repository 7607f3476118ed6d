"""MuJoCo's shapes in Drake, and their contact points.

Drake makes one contact for two shapes, at their deepest point: a flat sole or box would rock about a jumping point. So shapes touch the
ground with points: a capsule with a sphere at each end, a box with one in each corner, as MuJoCo does on a plane. Obstacles other than
planes also touch the shape itself.
"""

# Drake's type stubs swap shape and dtype of numpy arrays, and lack some names.
# pyright: reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import itertools
import logging

import mujoco
import numpy as np
from pydrake.common.eigen_geometry import Quaternion
from pydrake.geometry import (
    AddContactMaterial,
    Box,
    Capsule,
    Cylinder,
    Ellipsoid,
    HalfSpace,
    ProximityProperties,
    Shape,
    Sphere,
)
from pydrake.math import RigidTransform
from pydrake.multibody.plant import CoulombFriction

from envs.engines.drake.contact import Material

CORNER = 0.001  # m: radius of the spheres at a box's corners, which touch its faces from inside

# Drake warns at each half space that soft bodies would fall through it. There are none.
logging.getLogger("drake").addFilter(lambda record: "half spaces are not currently supported" not in record.getMessage())

_GEOM = mujoco.mjtGeom


def transform(position: np.ndarray, quat_wxyz: np.ndarray) -> RigidTransform:
    """A pose."""
    return RigidTransform(Quaternion(quat_wxyz / np.linalg.norm(quat_wxyz)), position)


def properties(material: Material, stiffness: float) -> ProximityProperties:
    """Drake's description of a surface."""
    made = ProximityProperties()
    friction = CoulombFriction(material.friction, material.friction)
    AddContactMaterial(made, dissipation=material.dissipation, point_stiffness=stiffness, friction=friction)
    return made


def shape_of(model: mujoco.MjModel, geom: int) -> Shape:
    """A geom's shape; the frames are the same."""
    a, b, c = (float(size) for size in model.geom_size[geom])
    kind = model.geom_type[geom]
    if kind == _GEOM.mjGEOM_PLANE:
        return HalfSpace()
    if kind == _GEOM.mjGEOM_SPHERE:
        return Sphere(a)
    if kind == _GEOM.mjGEOM_CAPSULE:
        return Capsule(a, 2 * b)
    if kind == _GEOM.mjGEOM_CYLINDER:
        return Cylinder(a, 2 * b)
    return Ellipsoid(a, b, c) if kind == _GEOM.mjGEOM_ELLIPSOID else Box(2 * a, 2 * b, 2 * c)


def points_of(model: mujoco.MjModel, geom: int) -> list[tuple[RigidTransform, Shape]]:
    """Spheres in the geom's frame with which a capsule or a box touches the ground; none for round shapes."""
    size, kind = model.geom_size[geom], model.geom_type[geom]
    if kind == _GEOM.mjGEOM_CAPSULE:
        return [(RigidTransform([0, 0, end * size[1]]), Sphere(float(size[0]))) for end in (-1, 1)]
    if kind == _GEOM.mjGEOM_BOX:
        radius = min(CORNER, float(size.min()) / 2)
        return [(RigidTransform(np.array(corner) * (size - radius)), Sphere(radius)) for corner in itertools.product((-1, 1), repeat=3)]
    return []
