"""A fingerprint of a robot's model: a policy file contains it, so that a later change of the model is noticed.

It covers what physics depends on: links, joints, colliding shapes, motors, constraints. It does not cover names (except joints', which
wires are matched by), colours, visual meshes, the world around the robot, sensors, and the time step. Numbers are rounded to six digits,
and quantities that MuJoCo computes from eigenvectors, whose signs differ between platforms, are used in a form without these signs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import mujoco
import numpy as np

DIGITS = 6
ZERO = 1e-9  # smaller values are rounding errors

_BODY = ("body_parentid", "body_pos", "body_mass", "body_ipos", "body_gravcomp")
_JOINT = ("jnt_type", "jnt_bodyid", "jnt_pos", "jnt_axis", "jnt_limited", "jnt_range", "jnt_stiffness", "jnt_margin", "qpos_spring")
_DOF = ("dof_armature", "dof_damping", "dof_frictionloss")
_GEOM = ("geom_type", "geom_bodyid", "geom_contype", "geom_conaffinity", "geom_condim", "geom_priority", "geom_friction", "geom_solref",
         "geom_solimp", "geom_margin", "geom_gap")  # fmt: skip
_ACTUATOR = ("actuator_trntype", "actuator_trnid", "actuator_gear", "actuator_gainprm", "actuator_biasprm", "actuator_forcerange")
_EQUALITY = ("eq_type", "eq_obj1id", "eq_obj2id", "eq_active0", "eq_data")
_TENDON = ("tendon_range", "tendon_stiffness", "tendon_damping", "tendon_lengthspring", "wrap_type", "wrap_objid", "wrap_prm")
_PAIR = ("pair_geom1", "pair_geom2", "pair_dim", "pair_friction")


def model_sha256(model: mujoco.MjModel) -> str:
    """The SHA-256 of a compiled scene's robot, 64 hexadecimal digits; the same on every platform and for every floor."""
    digest = hashlib.sha256()
    for line in _lines(model):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _lines(model: mujoco.MjModel) -> Iterator[str]:
    yield "joints " + " ".join(repr(model.joint(i).name) for i in range(model.njnt) if model.jnt_type[i] != mujoco.mjtJoint.mjJNT_FREE)
    for name in (*_BODY, *_JOINT, *_DOF, *_ACTUATOR, *_EQUALITY, *_TENDON):
        yield f"{name} {_text(getattr(model, name))}"
    yield f"body_quat {_text(_signed(model.body_quat))}"
    yield f"inertia {_text([_inertia(model, body) for body in range(model.nbody)])}"
    solid = ((model.geom_contype != 0) | (model.geom_conaffinity != 0) | _paired(model)) & (model.geom_bodyid != 0)
    for name in _GEOM:
        yield f"{name} {_text(getattr(model, name)[solid])}"
    for geom in np.flatnonzero(solid):
        yield f"shape {_text(_shape(model, int(geom)))}"
    rank = np.cumsum(solid) - 1  # index among the solid shapes, since visual ones may change
    for name in _PAIR:
        values = getattr(model, name)
        yield f"{name} {_text(rank[values] if name.startswith('pair_geom') else values)}"


def _text(values: object) -> str:
    """Numbers rounded so that all platforms give the same text."""
    numbers = np.asarray(values, dtype=float).ravel()
    return " ".join(f"{0.0 if abs(value) < ZERO else value:.{DIGITS}g}" for value in numbers)


def _signed(quats: np.ndarray) -> np.ndarray:
    """Quaternions (n, 4) with a positive first non-zero entry, since q and -q are the same attitude."""
    signed = quats.copy()
    for quat in signed:
        leading = quat[np.abs(quat) > ZERO]
        if len(leading) and leading[0] < 0:
            quat *= -1
    return signed


def _rotation(quat: np.ndarray) -> np.ndarray:
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)


def _inertia(model: mujoco.MjModel, body: int) -> np.ndarray:
    """Inertia about the centre of mass in the body's frame, (3, 3), relative to its size; without principal axes, whose order is
    arbitrary.
    """
    axes, scale = _rotation(model.body_iquat[body]), max(float(model.body_inertia[body].max()), 1e-12)
    relative = axes @ np.diag(model.body_inertia[body]) @ axes.T / scale
    relative[np.abs(relative) < 1e-6] = 0.0
    return np.append(np.round(relative, 5), scale)


def _paired(model: mujoco.MjModel) -> np.ndarray:
    return np.isin(np.arange(model.ngeom), [*model.pair_geom1, *model.pair_geom2])


def _shape(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Size and place of a primitive; for a mesh the bounding box and mean of its vertices, in the body's frame, to a micrometre."""
    rotation = _rotation(model.geom_quat[geom])
    if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_MESH:
        return np.concatenate([model.geom_size[geom], model.geom_pos[geom], rotation.ravel()])
    mesh = int(model.geom_dataid[geom])
    start, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
    vertices = model.mesh_vert[start : start + count] @ rotation.T + model.geom_pos[geom]
    return np.round(np.concatenate([vertices.min(0), vertices.max(0), vertices.mean(0)]), 5)
