"""A compiled MuJoCo model as a Drake plant: the same bodies, joints, inertias, limits and contact pairs, number for number.

Exact: the tree and its frames, masses, inertias, armature, joint damping, limits and dry friction, gravity, the torque of the position
actuators (`envs.engines.drake.world`), which shapes may touch and the friction of each contact (`envs.engines.drake.contact`). Drake's own:
the compliance of contacts and the integration.

Integration: the plant is discrete, with Drake's `lagged` contact: at each step a convex problem with Coulomb friction and Hunt and
Crossley's contact force is solved to convergence. It is stable without error control, does not glide as plain SAP does, and differs in
principle from MuJoCo's: contacts are springs in newtons per metre, not in accelerations, and their normal force depends only on the
material, not on sliding. It uses contact points, not hydroelastic patches, which need a mesh of each shape and cost several times more.
"""

# Drake's type stubs swap shape and dtype of numpy arrays, and lack some names.
# pyright: reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import itertools

import mujoco
import numpy as np
from pydrake.geometry import (
    CollisionFilterDeclaration,
    GeometryId,
    GeometrySet,
    RoleAssign,
    Shape,
)
from pydrake.math import RigidTransform
from pydrake.multibody.math import SpatialForce
from pydrake.multibody.plant import AddMultibodyPlant, ExternallyAppliedSpatialForce, MultibodyPlantConfig
from pydrake.multibody.tree import (
    FixedOffsetFrame,
    JointActuator,
    PdControllerGains,
    PrismaticJoint,
    QuaternionFloatingJoint,
    RevoluteJoint,
    RigidBody,
    SpatialInertia,
    UnitInertia,
    WeldJoint,
)
from pydrake.systems.framework import Context, DiagramBuilder

from envs.engines.drake.contact import GROUND, UNBOUNDED, Contacts, Material, Surface, contacts
from envs.engines.drake.refusals import refuse_unknown
from envs.engines.drake.shapes import points_of, properties, shape_of, transform
from envs.engines.face import EngineError
from envs.terms.disturbance import BALL

PENETRATION = 0.001  # m: penetration of one contact under the robot's whole weight
RIGID = 1e15  # N/m: stiffness of the ground, so high that its penetration is negligible
STICTION = 1e-4  # m/s: a sticking contact creeps more slowly than this
DRY_FRICTION_SLOPE = 1e3  # N m s/rad: slope of a joint's dry friction at zero velocity

_JOINT, _GEOM = mujoco.mjtJoint, mujoco.mjtGeom


class DrakeModel:
    """The plant of one model; its contexts are the worlds that share its geometry.

    Attributes:
        plant, scene_graph, diagram: Drake's systems.
        bodies: Drake's body of each MuJoCo body.
        position, velocity: index of each of MuJoCo's qpos and qvel in Drake's.
        free: (qpos address, dof address) of each free joint.
        has_dry_friction: whether dry friction of joints was built in.
    """

    def __init__(self, model: mujoco.MjModel, timestep: float) -> None:
        refuse_unknown(model)
        config = MultibodyPlantConfig(
            time_step=timestep,
            contact_model="point",
            discrete_contact_approximation="lagged",
            stiction_tolerance=STICTION,
            sap_near_rigid_threshold=0.0,
            use_sampled_output_ports=False,
        )
        builder = DiagramBuilder()
        self.plant, self.scene_graph = AddMultibodyPlant(config, builder)
        self.gravity = model.opt.gravity.copy()
        self.plant.mutable_gravity_field().set_gravity_vector(self.gravity)
        self.contacts: Contacts = contacts(model)
        self.stiffness = max(_robot_mass(model) * np.linalg.norm(self.gravity), 1.0) / PENETRATION
        self.bodies: list[RigidBody] = [self.plant.world_body()]
        self.position, self.velocity = np.zeros(model.nq, int), np.zeros(model.nv, int)
        self.free: list[tuple[int, int]] = []
        self._joints: list = []
        for body in range(1, model.nbody):
            self._add_body(model, body)
        self._rotors = self._add_rotors(model)
        self.has_dry_friction = bool(model.dof_frictionloss.any())
        self._geometries = self._add_geometries(model)
        self.plant.Finalize()
        self._index(model)
        self.diagram = builder.Build()
        self._filter_collisions(model)

    # the tree --------------------------------------------------------------------------------------------------------

    def _add_body(self, model: mujoco.MjModel, body: int) -> None:
        plant = self.plant
        added = plant.AddRigidBody(f"{body}:{model.body(body).name}", spatial_inertia(model, body))
        self.bodies.append(added)
        parent = self.bodies[model.body_parentid[body]].body_frame()
        pose = transform(model.body_pos[body], model.body_quat[body])
        if not model.body_jntnum[body]:
            plant.AddJoint(WeldJoint(f"weld:{body}", parent, added.body_frame(), pose))
            return
        joint = int(model.body_jntadr[body])
        name, kind, damping = f"{joint}:{model.joint(joint).name}", model.jnt_type[joint], float(model.dof_damping[model.jnt_dofadr[joint]])
        if kind == _JOINT.mjJNT_FREE:
            self._joints.append(plant.AddJoint(QuaternionFloatingJoint(name, parent, added.body_frame())))
            return
        offset = RigidTransform(model.jnt_pos[joint])
        outer = plant.AddFrame(FixedOffsetFrame(f"{name}:parent", parent, pose @ offset))
        inner = plant.AddFrame(FixedOffsetFrame(f"{name}:child", added.body_frame(), offset))
        kind = RevoluteJoint if kind == _JOINT.mjJNT_HINGE else PrismaticJoint
        one = plant.AddJoint(kind(name, outer, inner, model.jnt_axis[joint], damping))
        if model.jnt_limited[joint]:
            one.set_position_limits(model.jnt_range[joint, :1], model.jnt_range[joint, 1:])
        self._joints.append(one)

    def _add_rotors(self, model: mujoco.MjModel) -> dict[int, JointActuator]:
        """An actuator for each hinge and slide, for its armature and dry friction: Drake's velocity controller, solved with the contacts,
        and limited to the friction. The motors' torques are generalized forces.
        """
        rotors: dict[int, JointActuator] = {}
        for joint, one in enumerate(self._joints):
            if model.jnt_type[joint] != _JOINT.mjJNT_FREE:
                dof = int(model.jnt_dofadr[joint])
                loss = float(model.dof_frictionloss[dof])
                rotors[dof] = self.plant.AddJointActuator(f"rotor:{joint}", one, loss or np.inf)
                rotors[dof].set_default_rotor_inertia(float(model.dof_armature[dof]))
                if loss > 0:
                    rotors[dof].set_controller_gains(PdControllerGains(p=0.0, d=DRY_FRICTION_SLOPE))
        return rotors

    def _index(self, model: mujoco.MjModel) -> None:
        for joint, one in enumerate(self._joints):
            qpos, dof = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
            at, speed = one.position_start(), one.velocity_start()
            if model.jnt_type[joint] == _JOINT.mjJNT_FREE:
                self.free.append((qpos, dof))
                self.position[qpos : qpos + 7] = at + np.array([4, 5, 6, 0, 1, 2, 3])
                self.velocity[dof : dof + 6] = speed + np.array([3, 4, 5, 0, 1, 2])
            else:
                self.position[qpos], self.velocity[dof] = at, speed

    # shapes ----------------------------------------------------------------------------------------------------------

    def _add_geometries(self, model: mujoco.MjModel) -> dict[Surface, tuple[list[GeometryId], list[GeometryId]]]:
        """Register the contact shapes: surface -> its points (or, if it has none, its shape) and the shapes that only touch obstacles."""
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        registered: dict[Surface, tuple[list[GeometryId], list[GeometryId]]] = {}
        materials = self.contacts.materials(model)
        for geom in self.contacts.static:
            quat = np.zeros(4)
            mujoco.mju_mat2Quat(quat, data.geom_xmat[geom])
            pose = transform(data.geom_xpos[geom], quat)
            surface, material = Surface(geom, GROUND), Material(UNBOUNDED, 0.0)
            registered[surface] = [self._register(0, pose, shape_of(model, geom), surface, material, RIGID)], []
        planes = all(model.geom_type[geom] == _GEOM.mjGEOM_PLANE for geom in self.contacts.static)
        for surface, material in materials.items():
            geom = surface.geom
            pose, body = transform(model.geom_pos[geom], model.geom_quat[geom]), int(model.geom_bodyid[geom])
            shape = shape_of(model, geom)
            points = points_of(model, geom) if surface.partner == GROUND else []
            stiffness = RIGID if material.friction == UNBOUNDED else self.stiffness
            ids = [self._register(body, pose @ at, point, surface, material, stiffness) for at, point in points]
            whole = [] if points and planes else [self._register(body, pose, shape, surface, material, stiffness)]
            registered[surface] = (ids, whole) if points else (whole, [])
        return registered

    def _register(
        self, body: int, pose: RigidTransform, shape: Shape, surface: Surface, material: Material, stiffness: float
    ) -> GeometryId:
        name = f"{surface.geom}:{surface.partner}:{len(self.plant.GetCollisionGeometriesForBody(self.bodies[body]))}"
        return self.plant.RegisterCollisionGeometry(self.bodies[body], pose, shape, name, properties(material, stiffness))

    def _filter_collisions(self, model: mujoco.MjModel) -> None:
        all_ids = [one for points, whole in self._geometries.values() for one in (*points, *whole)]
        filters = CollisionFilterDeclaration().ExcludeWithin(GeometrySet(all_ids))

        def allow(first: list[GeometryId], second: list[GeometryId]) -> None:
            if first and second:
                filters.AllowBetween(GeometrySet(first), GeometrySet(second))

        grounds = sorted(self.contacts.ground.items(), key=lambda item: item[1])
        for static, group in itertools.groupby(grounds, key=lambda item: item[1]):
            moving = [Surface(geom, GROUND) for geom, _ in group]
            points, whole = ([one for s in moving for one in self._geometries[s][part]] for part in (0, 1))
            planes, obstacles = [], []
            for geom in static:
                (planes if model.geom_type[geom] == _GEOM.mjGEOM_PLANE else obstacles).append(self._geometries[Surface(geom, GROUND)][0][0])
            allow(points, planes + obstacles)
            allow(whole, obstacles)
        for pair in self.contacts.between:
            first, second = self.contacts.surfaces_between(model, *pair)
            allow(self._geometries[first][0], self._geometries[second][0])
        self.scene_graph.collision_filter_manager().Apply(filters)

    # what may differ between contexts of one plant ---------------------------------------------------------------------

    def set_inertias(self, context: Context, model: mujoco.MjModel) -> None:
        """Masses, centres of mass and inertias of a world."""
        for body in range(1, model.nbody):
            self.bodies[body].SetSpatialInertiaInBodyFrame(context, spatial_inertia(model, body))

    def set_joints(self, context: Context, model: mujoco.MjModel) -> None:
        """Joint damping and armature of a world."""
        for joint, one in enumerate(self._joints):
            if model.jnt_type[joint] != _JOINT.mjJNT_FREE:
                dof = int(model.jnt_dofadr[joint])
                one.SetDampingVector(context, model.dof_damping[dof : dof + 1])
                self._rotors[dof].SetRotorInertia(context, float(model.dof_armature[dof]))

    def set_damping(self, context: Context, joint: int, damping: float) -> None:
        """Damping of one joint of a world [N s/m or N m s/rad]."""
        self._joints[joint].SetDampingVector(context, np.array([damping]))

    def set_materials(self, context: Context, model: mujoco.MjModel) -> None:
        """Friction and restitution of a world; `context` is the scene graph's."""
        for surface, material in self.contacts.materials(model).items():
            stiffness = RIGID if material.friction == UNBOUNDED else self.stiffness
            for one in itertools.chain(*self._geometries[surface]):
                self.scene_graph.AssignRole(context, self.plant.get_source_id(), one, properties(material, stiffness), RoleAssign.kReplace)

    def forces(self, model: mujoco.MjModel, external: np.ndarray) -> list[ExternallyAppliedSpatialForce]:
        """Forces on the bodies besides the plant's gravity: the difference of this world's gravity and its compensation, and external force
        and torque (nbody, 6), all at the centres of mass.
        """
        applied = []
        for body in range(1, model.nbody):
            force = model.body_mass[body] * ((1 - model.body_gravcomp[body]) * model.opt.gravity - self.gravity) + external[body, :3]
            if model.body_weldid[body] and (force.any() or external[body, 3:].any()):
                one = ExternallyAppliedSpatialForce()
                one.body_index, one.p_BoBq_B = self.bodies[body].index(), model.body_ipos[body]
                one.F_Bq_W = SpatialForce(tau=external[body, 3:], f=force)
                applied.append(one)
        return applied


def _robot_mass(model: mujoco.MjModel) -> float:
    """Mass of all bodies except a thrown ball [kg]."""
    ball = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, BALL)
    return float(model.body_mass.sum() - (model.body_mass[ball] if ball >= 0 else 0.0))


def spatial_inertia(model: mujoco.MjModel, body: int) -> SpatialInertia:
    """Mass, centre of mass and inertia about the body's origin, in its frame."""
    mass, center = float(model.body_mass[body]), model.body_ipos[body]
    if mass == 0:
        return SpatialInertia.Zero()
    R = transform(np.zeros(3), model.body_iquat[body]).rotation().matrix()
    inertia = R @ np.diag(model.body_inertia[body]) @ R.T / mass + center @ center * np.eye(3) - np.outer(center, center)
    unit = UnitInertia(*np.diag(inertia), inertia[0, 1], inertia[0, 2], inertia[1, 2])
    try:
        return SpatialInertia(mass, center, unit)
    except RuntimeError as error:
        raise EngineError(f"engine 'drake' refuses the inertia of body {model.body(body).name!r}: it is physically impossible") from error
