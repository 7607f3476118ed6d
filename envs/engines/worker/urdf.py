"""Our compiled model as URDF, with primitives alone: what Isaac Gym reads.

A link for each body, called `b3`, with its inertia as it is; a joint for each hinge or slide, called `j3`, and fixed ones for bodies
without. A capsule is a cylinder with a sphere at each end, as URDF has none. The ground is not part of it.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np

from . import kinematics as k
from .face import Model, Refused


def rpy(quat: np.ndarray) -> tuple[float, float, float]:
    """Roll, pitch and yaw of a quaternion (w, x, y, z)."""
    R = k.matrix(k.normalized(np.asarray(quat, np.float64)))
    return math.atan2(R[2, 1], R[2, 2]), math.asin(min(1.0, max(-1.0, -R[2, 0]))), math.atan2(R[1, 0], R[0, 0])


def written(model: Model) -> str:
    """The robot as URDF.

    Raises:
        Refused: it has parts that URDF or Isaac Gym has no place for.
    """
    for what, there in (
        ("ball joints", (model.jnt_type == 1).any()),
        ("bodies with several joints", (model.body_jntnum > 1).any()),
        ("joints that are not at their body's origin", model.jnt_pos.any()),
        ("joints whose zero is not at qpos0", model.qpos0[model.jnt_qposadr[model.jnt_type > 1]].any()),
        ("joint springs", model.jnt_stiffness.any()),
        ("several robots or loose objects (e.g. thrown balls: --env.randomization.thrown_speed=null)", len(roots(model)) != 1),
    ):
        if there:
            raise Refused("does not get {} from us".format(what))
    root = ET.Element("robot", name="robolearn")
    for body in range(1, model.nbody):
        _link(model, body, root)
    for body in range(1, model.nbody):
        if model.body_parentid[body] != 0:
            _joint(model, body, root)
    return ET.tostring(root, encoding="unicode")


def roots(model: Model) -> list[int]:
    """Bodies that hang on the world."""
    return [body for body in range(1, model.nbody) if model.body_parentid[body] == 0]


def _text(values: Any) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


def _link(model: Model, body: int, root: ET.Element) -> None:
    link = ET.SubElement(root, "link", name="b{}".format(body))
    inertial = ET.SubElement(link, "inertial")
    R = k.matrix(model.body_iquat[body])
    inertia = R @ np.diag(model.body_inertia[body]) @ R.T
    ET.SubElement(inertial, "origin", xyz=_text(model.body_ipos[body]), rpy="0 0 0")
    ET.SubElement(inertial, "mass", value=_text(model.body_mass[body]))
    names = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
    ET.SubElement(inertial, "inertia", dict(zip(names, (_text(value) for value in inertia[np.triu_indices(3)]))))
    for geom in np.flatnonzero(model.geom_bodyid == body).tolist():
        if model.geom_contype[geom] or model.geom_conaffinity[geom]:
            for position, shape, sizes in shapes(model, geom):
                collision = ET.SubElement(link, "collision", name="g{}".format(geom))
                ET.SubElement(collision, "origin", xyz=_text(position), rpy=_text(rpy(model.geom_quat[geom])))
                ET.SubElement(ET.SubElement(collision, "geometry"), shape, {name: _text(size) for name, size in sizes.items()})


def shapes(model: Model, geom: int) -> list[Any]:
    """Position in the body, element and sizes of each shape of a geom.

    Raises:
        Refused: it is no primitive.
    """
    size, kind = model.geom_size[geom], int(model.geom_type[geom])
    position, axis = model.geom_pos[geom], k.turned(model.geom_quat[geom], np.array([0.0, 0.0, 1.0]))
    if kind == 2:
        return [(position, "sphere", {"radius": size[0]})]
    if kind == 6:
        return [(position, "box", {"size": 2 * size})]
    if kind in (3, 5):
        cylinder = (position, "cylinder", {"radius": size[0], "length": 2 * size[1]})
        ends = [(position + end * size[1] * axis, "sphere", {"radius": size[0]}) for end in (-1, 1)]
        return [cylinder, *ends] if kind == 3 else [cylinder]
    raise Refused("has only spheres, boxes, capsules and cylinders, not {}".format(model.names["geom"][geom]))


def _joint(model: Model, body: int, root: ET.Element) -> None:
    moving = bool(model.body_jntnum[body])
    joint = int(model.body_jntadr[body])
    kind = "fixed" if not moving else {2: "prismatic", 3: "revolute"}[int(model.jnt_type[joint])]
    element = ET.SubElement(root, "joint", name="j{}".format(joint) if moving else "fixed{}".format(body), type=kind)
    if kind == "fixed":
        element.set("dont_collapse", "true")
    ET.SubElement(element, "parent", link="b{}".format(model.body_parentid[body]))
    ET.SubElement(element, "child", link="b{}".format(body))
    ET.SubElement(element, "origin", xyz=_text(model.body_pos[body]), rpy=_text(rpy(model.body_quat[body])))
    if moving:
        low, high = model.jnt_range[joint] if model.jnt_limited[joint] else (-1e4, 1e4)
        ET.SubElement(element, "axis", xyz=_text(model.jnt_axis[joint]))
        ET.SubElement(element, "limit", lower=_text(low), upper=_text(high), effort="1000.0", velocity="100.0")
