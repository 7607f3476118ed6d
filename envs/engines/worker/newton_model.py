"""Our model in Newton: read from our MJCF without motors, once, and repeated for each world; and our per-world fields in its arrays."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np

from . import kinematics as k
from .face import Missing, Model, Refused
from .motors import Motors

try:
    import warp as wp

    wp.config.log_level = wp.LOG_ERROR  # before it is initialized
    import newton  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise Missing("this Python has no package newton: pip install 'newton[sim]' there, or name another Python") from error

FIELDS = ("body_mass", "body_inertia", "body_ipos", "body_gravcomp", "geom_friction", "geom_solref", "dof_damping", "dof_armature",
          "dof_frictionloss", "actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "opt.gravity", "body_pos", "geom_pos",
          "geom_size", "site_pos", "geom_rbound", "geom_aabb")  # fmt: skip
"""Bounds of MuJoCo's own collision search, the last two, have no effect here."""
SHAPES = (0, 2, 3, 4, 5, 6)
"""mjtGeom: plane, sphere, capsule, ellipsoid, cylinder, box."""
UNLIMITED = 1e6  # N m


def refuse(model: Model) -> None:
    """Raises `Refused` for what Newton does not get from us."""
    for what, there in (
        ("ball joints", (model.jnt_type == 1).any()),
        ("bodies with several joints", (model.body_jntnum > 1).any()),
        ("joint springs", model.jnt_stiffness.any()),
        ("joints whose zero is not at qpos0", model.qpos0[model.jnt_qposadr[model.jnt_type > 1]].any()),
        ("height fields and meshes that collide", not np.isin(model.geom_type[_touching(model)], SHAPES).all()),
        ("excluded pairs of bodies", len(model.exclude_signature)),
    ):
        if there:
            raise Refused("does not get {} from us".format(what))


def _touching(model: Model) -> np.ndarray:
    found = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    found[model.pair_geom1] = found[model.pair_geom2] = True
    return found


def restitution(damping_ratio: np.ndarray) -> np.ndarray:
    """How much of its speed a contact of MuJoCo with this damping ratio gives back."""
    under = np.clip(damping_ratio, 0.0, 1.0 - 1e-9)
    return np.where(damping_ratio >= 1, 0.0, np.exp(-math.pi * under / np.sqrt(1 - under**2)))


class NewtonModel:
    """Newton's model of N worlds.

    Attributes:
        model: it.
        fields: our fields of all worlds (N, ...); after writing one, `changed`.
        compensation: force on each body against gravity (N, nbody, 3) [N].
        shape: Newton's number in a world of each geom, or -1.
        shapes: shapes in a world.
        motors: the drives.
    """

    def __init__(self, source: Model, num_worlds: int, mujoco: bool) -> None:
        refuse(source)
        self._source, self._mujoco, self.num_worlds = source, mujoco, num_worlds
        self.motors = Motors(source)
        self.fields = {name: np.repeat(source.arrays[name][None], num_worlds, 0).astype(np.float64) for name in FIELDS}
        self._stale: set[str] = set(FIELDS)
        one = self._world(source)
        self.bodies, self.dofs, self.coordinates = one.body_count, one.joint_dof_count, one.joint_coord_count
        self.shapes = one.shape_count
        if (self.bodies, self.dofs, self.coordinates) != (source.nbody - 1, source.nv, source.nq):
            raise Refused("reads another tree from our model: {} bodies, {} dofs".format(self.bodies, self.dofs))
        self.shape = np.full(source.ngeom, -1)
        for number, label in enumerate(one.shape_label):
            self.shape[int(label.rsplit("/", 1)[1][1:])] = number
        all_worlds = newton.ModelBuilder()
        if mujoco:
            newton.solvers.SolverMuJoCo.register_custom_attributes(all_worlds)
        all_worlds.replicate(one, num_worlds)
        self.model = all_worlds.finalize(device="cpu")
        self.compensation = np.zeros((num_worlds, source.nbody, 3))
        self.transfer()

    def _world(self, source: Model) -> Any:
        root = ET.fromstring(source.mjcf)
        for tag in ("actuator", "sensor"):
            for part in root.findall(tag):
                root.remove(part)
        for body in root.iter("body"):
            body.set("gravcomp", "0")  # applied as a force
        builder = newton.ModelBuilder()
        if self._mujoco:
            newton.solvers.SolverMuJoCo.register_custom_attributes(builder)
        builder.add_mjcf(ET.tostring(root, encoding="unicode"), parse_sites=False, parse_mujoco_options=self._mujoco)
        gain, bias = source.actuator_gainprm, source.actuator_biasprm
        for actuator, dof in enumerate(self.motors.dof.tolist()):
            builder.joint_target_mode[dof] = int(newton.JointTargetMode.POSITION)
            builder.joint_target_ke[dof], builder.joint_target_kd[dof] = float(gain[actuator, 0]), float(-bias[actuator, 2])
            builder.joint_effort_limit[dof] = float(source.actuator_forcerange[actuator, 1]) or UNLIMITED
        for shape in range(builder.shape_count if not self._mujoco else 0):  # MuJoCo's contacts begin at the surface
            builder.shape_gap[shape] = 0.005
        return builder

    def pairs(self) -> np.ndarray:
        """Pairs of shapes that may touch, in all worlds: those of the collision bits and those that are listed."""
        own = self.model.shape_contact_pairs.numpy().reshape(-1, 2)
        listed = np.stack([self.shape[self._source.pair_geom1], self.shape[self._source.pair_geom2]], 1)
        world = np.arange(self.num_worlds)[:, None, None] * self.shapes
        return np.concatenate([own, (np.sort(listed, 1)[None] + world).reshape(-1, 2)]).astype(np.int32)

    def changed(self, name: str) -> None:
        """A field was written."""
        self._stale.add(name)

    def transfer(self) -> int:
        """Write changed fields to Newton's arrays. Returns its flags for what changed."""
        if not self._stale:
            return 0
        flags, stale = newton.ModelFlags, self._stale
        told = 0
        if stale & {"body_mass", "body_inertia", "body_ipos", "body_gravcomp", "opt.gravity"}:
            self._inertias()
            told |= flags.BODY_INERTIAL_PROPERTIES | flags.MODEL_PROPERTIES
        if stale & {"dof_damping", "dof_armature", "dof_frictionloss", *Motors.fields}:
            self._joints()
            told |= flags.JOINT_DOF_PROPERTIES
        if stale & {"body_pos"}:
            self._links()
            told |= flags.JOINT_PROPERTIES
        if stale & {"geom_friction", "geom_solref", "geom_pos", "geom_size"}:
            self._surfaces()
            told |= flags.SHAPE_PROPERTIES
        if stale & {"geom_pos", "geom_size"}:
            self._shapes()
        self._stale = set()
        return int(told)

    def _inertias(self) -> None:
        fields, model, worlds = self.fields, self.model, self.num_worlds
        mass, gravity = fields["body_mass"], fields["opt.gravity"]
        self.compensation = -(mass * fields["body_gravcomp"])[..., None] * gravity[:, None]
        moving = slice(1, None)
        R = k.matrix(self._source.body_iquat[moving])
        inertia = np.einsum("bij,wbj,bkj->wbik", R, fields["body_inertia"][:, moving], R)
        inertia += 1e-12 * np.eye(3)
        heavy = np.maximum(mass[:, moving], 1e-9)
        _put(model.body_mass, mass[:, moving])
        _put(model.body_inv_mass, np.where(mass[:, moving] > 0, 1.0 / heavy, 0.0))
        _put(model.body_inertia, inertia)
        _put(model.body_inv_inertia, np.where((mass[:, moving] > 0)[..., None, None], np.linalg.inv(inertia), 0.0))
        _put(model.body_com, fields["body_ipos"][:, moving])
        every = model.gravity.numpy().copy()
        every[:worlds] = gravity
        model.gravity.assign(every)

    def _links(self) -> None:
        """Where each body hangs on its parent: the parent's side of its joint, of which a free one has none."""
        source, places = self._source, self.model.joint_X_p.numpy().reshape(self.num_worlds, self.bodies, 7).copy()
        hanging = np.array([not (source.body_jntnum[b] and source.jnt_type[source.body_jntadr[b]] == 0) for b in range(1, source.nbody)])
        places[:, hanging, :3] = self.fields["body_pos"][:, 1:][:, hanging]
        _put(self.model.joint_X_p, places)

    def _shapes(self) -> None:
        there = np.flatnonzero((self.shape >= 0) & (self._source.geom_bodyid != 0))
        places = self.model.shape_transform.numpy().reshape(self.num_worlds, self.shapes, 7).copy()
        sizes = self.model.shape_scale.numpy().reshape(self.num_worlds, self.shapes, 3).copy()
        places[:, self.shape[there], :3] = self.fields["geom_pos"][:, there]
        sizes[:, self.shape[there]] = self.fields["geom_size"][:, there]
        _put(self.model.shape_transform, places)
        _put(self.model.shape_scale, sizes)

    def _joints(self) -> None:
        fields, model, motors = self.fields, self.model, self.motors
        for name, target in (("dof_damping", "joint_damping"), ("dof_armature", "joint_armature"), ("dof_frictionloss", "joint_friction")):
            _put(getattr(model, target), fields[name])
        motors.read(*(fields[name] for name in Motors.fields))
        for target, values in (
            ("joint_target_ke", motors.stiffness),
            ("joint_target_kd", motors.damping),
            ("joint_effort_limit", motors.limit),
        ):
            rows = getattr(model, target).numpy().reshape(self.num_worlds, self.dofs).copy()
            rows[:, motors.dof] = values
            _put(getattr(model, target), rows)

    def _surfaces(self) -> None:
        """Friction and restitution. Newton's own contacts take the mean of two surfaces, MuJoCo the prior's or the larger: so the ground
        has none and the robot twice its own.
        """
        source, fields, model = self._source, self.fields, self.model
        there = np.flatnonzero(self.shape >= 0)
        friction, solref = fields["geom_friction"][:, there], fields["geom_solref"][:, there]
        mu = model.shape_material_mu.numpy().reshape(self.num_worlds, self.shapes).copy()
        mu[:, self.shape[there]] = friction[..., 0]
        if not self._mujoco:
            ground = source.body_weldid[source.geom_bodyid[there]] == 0
            prior = source.geom_priority[there] > source.geom_priority[there][ground].max(initial=-1)
            floor = friction[:, ground, 0].max(1, initial=0.0)[:, None]
            of_pair = np.where(prior, friction[..., 0], np.maximum(friction[..., 0], floor))
            of_pair = np.where(source.geom_condim[there] == 1, 0.0, of_pair)
            mu[:, self.shape[there]] = np.where(ground, 0.0, 2.0 * of_pair)
            bounce = model.shape_material_restitution.numpy().reshape(self.num_worlds, self.shapes).copy()
            bounce[:, self.shape[there]] = np.where(ground, 0.0, 2.0 * restitution(solref[..., 1])).clip(0.0, 1.0)
            _put(model.shape_material_restitution, bounce)
        elif hasattr(model, "mujoco") and getattr(model.mujoco, "solref", None) is not None:
            rows = model.mujoco.solref.numpy().reshape(self.num_worlds, self.shapes, 2).copy()
            rows[:, self.shape[there]] = solref
            _put(model.mujoco.solref, rows)
        _put(model.shape_material_mu, mu)


def _put(array: Any, values: np.ndarray) -> None:
    """Overwrite one of Newton's arrays."""
    array.assign(np.ascontiguousarray(values, np.float32).reshape(array.numpy().shape))
