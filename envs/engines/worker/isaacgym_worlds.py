"""Isaac Gym (preview 4): its GPU pipeline, in the Python 3.6 to 3.8 that its binaries need.

Nobody has run this yet: every call is checked against the signatures of isaacgym-stubs, and what surrounds the calls against a stand-in.

The robot comes as URDF of ours, the ground as a plane or a triangle mesh. Motors are torques that are computed at every physics step from
the state, as legged_gym does, so gains, limits, joint damping and dry friction differ between worlds freely. Masses, centres of mass and
inertias go into each world's actor and must be written before the first step; gravity is the same everywhere. Sensors are computed from
joint states; a touch sensor is the net force on its body, along the world's up axis, as Isaac Gym tells no single contacts.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from . import kinematics as k
from . import urdf
from .face import Missing, Model, Physics, Refused
from .motors import Motors
from .sensors import Sensors
from .tree import poses

try:
    from isaacgym import (  # pyright: ignore[reportMissingImports]
        gymapi,  # before torch, or it refuses to start
        gymtorch,  # pyright: ignore  # the stubs lack it
    )
    import torch  # isort: skip
except ImportError as error:
    raise Missing("this Python cannot import isaacgym ({}): give the python3.8 of your Isaac Gym environment".format(error)) from error

PLANE, HFIELD = 0, 1
LARGEST = 1e8
FRICTION_SLOPE = 0.05  # rad/s: up to this speed a joint's dry friction grows
BODY_FIELDS = ("body_mass", "body_inertia", "body_ipos")
JOINT_FIELDS = ("dof_armature", "dof_damping", "dof_frictionloss")
SURFACE_FIELDS = ("geom_friction", "geom_solref")


class IsaacGymWorlds(Physics):
    """An environment for each world, with one actor."""

    version = "preview 4"
    fields = (*BODY_FIELDS, "body_gravcomp", *JOINT_FIELDS, *SURFACE_FIELDS, *Motors.fields)

    def __init__(self, model: Model, num_worlds: int, num_threads: int, shared: dict[str, np.ndarray]) -> None:
        super().__init__(model, num_worlds, num_threads, shared)
        self._urdf = urdf.written(model)
        self._floating = bool((model.jnt_type == 0).any())
        self._sensors, self._motors = Sensors(model), Motors(model)
        self._fields = {name: np.repeat(model.arrays[name][None], num_worlds, 0).astype(np.float64) for name in self.fields}
        self._timestep = float(model.options["numbers"]["timestep"])
        self._force = np.zeros((num_worlds, model.nbody, 6))
        self._position = np.repeat(model.qpos0[None], num_worlds, 0)
        self._velocity = np.zeros((num_worlds, model.nv))
        self._joints = np.flatnonzero(model.jnt_type > 1)
        self._gym = gymapi.acquire_gym()
        self._sim: Any = None
        self._stale: set[str] = set()
        self._read_motors()

    # making ----------------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        """The simulation, at the first step: by then the worlds have their masses."""
        gym, params = self._gym, gymapi.SimParams()
        params.dt, params.substeps, params.up_axis, params.use_gpu_pipeline = self._timestep, 1, gymapi.UP_AXIS_Z, True
        params.gravity = gymapi.Vec3(*self.model.arrays["opt.gravity"].tolist())
        params.physx.use_gpu, params.physx.solver_type = True, 1
        params.physx.num_position_iterations, params.physx.num_velocity_iterations = 4, 0
        params.physx.contact_offset, params.physx.rest_offset = 0.01, 0.0
        params.physx.bounce_threshold_velocity, params.physx.max_depenetration_velocity = 0.5, 1.0
        params.physx.contact_collection = gymapi.CC_ALL_SUBSTEPS
        self._sim = gym.create_sim(0, -1, gymapi.SIM_PHYSX, params)
        if self._sim is None:
            raise Refused("could not create its simulation: is there a GPU with a driver?")
        self._add_ground()
        options = gymapi.AssetOptions()
        options.fix_base_link, options.collapse_fixed_joints = not self._floating, False
        options.default_dof_drive_mode, options.replace_cylinder_with_capsule = int(gymapi.DOF_MODE_EFFORT), False
        options.angular_damping, options.linear_damping, options.armature = 0.0, 0.0, 0.0
        options.use_physx_armature, options.override_com, options.override_inertia = True, False, False
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "robot.urdf"), "w") as file:
                file.write(self._urdf)
            asset = gym.load_asset(self._sim, folder, "robot.urdf", options)
        if asset is None:
            raise Refused("did not read the robot's URDF")
        names, dofs = gym.get_asset_rigid_body_names(asset), gym.get_asset_dof_names(asset)
        self._bodies = np.array([int(name[1:]) for name in names])  # Isaac Gym's order -> ours
        order = {name: index for index, name in enumerate(dofs)}
        self._order = np.array([order["j{}".format(joint)] for joint in self._joints.tolist()], np.int64)  # ours -> Isaac Gym's
        self._ranges = [(shapes.start, shapes.count) for shapes in gym.get_asset_rigid_body_shape_indices(asset)]
        corner, place = gymapi.Vec3(0.0, 0.0, 0.0), gymapi.Transform()
        root = urdf.roots(self.model)[0]
        place.p = gymapi.Vec3(*self.model.body_pos[root].tolist())
        place.r = gymapi.Quat(*self.model.body_quat[root][[1, 2, 3, 0]].tolist())
        self._envs, self._actors = [], []
        for world in range(self.num_worlds):
            env = gym.create_env(self._sim, corner, corner, 1)
            self._envs.append(env)
            self._actors.append(gym.create_actor(env, asset, place, "robot", world, 1, 0))  # with itself it does not collide
            self._write_bodies(world)
            self._write_joints(world)
            self._write_surfaces(world)
        gym.prepare_sim(self._sim)
        wrap = gymtorch.wrap_tensor
        self._root = wrap(gym.acquire_actor_root_state_tensor(self._sim)).view(self.num_worlds, 13)
        self._dof = wrap(gym.acquire_dof_state_tensor(self._sim)).view(self.num_worlds, len(self._joints), 2)
        self._contact = wrap(gym.acquire_net_contact_force_tensor(self._sim)).view(self.num_worlds, len(self._bodies), 3)
        self._torque = torch.zeros(self.num_worlds, len(self._joints), device=self._dof.device)
        self._wrench = torch.zeros(self.num_worlds, len(self._bodies), 6, device=self._dof.device)
        self._stale = set()
        self._put(np.arange(self.num_worlds))

    def _add_ground(self) -> None:
        model = self.model
        ground = [geom for geom in range(model.ngeom) if model.body_weldid[model.geom_bodyid[geom]] == 0 and model.geom_bodyid[geom] == 0]
        for geom in ground:
            kind = int(model.geom_type[geom])
            if kind == PLANE:
                plane = gymapi.PlaneParams()
                plane.normal, plane.distance = gymapi.Vec3(0.0, 0.0, 1.0), -float(model.geom_pos[geom][2])
                plane.static_friction = plane.dynamic_friction = 0.0  # PhysX takes the mean: the robot's shapes have twice theirs
                plane.restitution = 0.0
                self._gym.add_ground(self._sim, plane)
            elif kind == HFIELD:
                vertices, triangles = surface(model, geom)
                mesh = gymapi.TriangleMeshParams()
                mesh.nb_vertices, mesh.nb_triangles = len(vertices), len(triangles)
                mesh.static_friction = mesh.dynamic_friction = mesh.restitution = 0.0
                self._gym.add_triangle_mesh(self._sim, vertices.ravel(), triangles.ravel(), mesh)
            else:
                raise Refused("has planes and height fields as ground, not {}".format(model.names["geom"][geom]))

    def _write_bodies(self, world: int) -> None:
        env, actor = self._envs[world], self._actors[world]
        props = self._gym.get_actor_rigid_body_properties(env, actor)
        for prop, body in zip(props, self._bodies.tolist()):
            R = k.matrix(self.model.body_iquat[body])
            inertia = R @ np.diag(self._fields["body_inertia"][world, body]) @ R.T
            prop.mass, prop.com = (
                float(self._fields["body_mass"][world, body]),
                gymapi.Vec3(*self._fields["body_ipos"][world, body].tolist()),
            )
            prop.invMass = 1.0 / max(prop.mass, 1e-9)
            for axis, row in zip("xyz", inertia):
                setattr(prop.inertia, axis, gymapi.Vec3(*row.tolist()))
        self._gym.set_actor_rigid_body_properties(env, actor, props, False)

    def _write_joints(self, world: int) -> None:
        env, actor = self._envs[world], self._actors[world]
        props = self._gym.get_actor_dof_properties(env, actor)
        props["driveMode"][:] = int(gymapi.DOF_MODE_EFFORT)
        props["stiffness"][:], props["damping"][:], props["friction"][:] = 0.0, 0.0, 0.0
        props["armature"][self._order] = self._fields["dof_armature"][world, self.model.jnt_dofadr[self._joints]]
        self._gym.set_actor_dof_properties(env, actor, props)

    def _write_surfaces(self, world: int) -> None:
        env, actor = self._envs[world], self._actors[world]
        props = self._gym.get_actor_rigid_shape_properties(env, actor)
        for (start, count), body in zip(self._ranges, self._bodies.tolist()):
            shapes = [geom for geom in np.flatnonzero(self.model.geom_bodyid == body).tolist() for _ in self._parts(geom)]
            for prop, geom in zip(props[start : start + count], shapes):
                slick = self.model.geom_condim[geom] == 1
                prop.friction = 0.0 if slick else 2.0 * float(self._fields["geom_friction"][world, geom, 0])
                ratio = min(float(self._fields["geom_solref"][world, geom, 1]), 1.0 - 1e-9)
                prop.restitution = min(1.0, 2.0 * float(np.exp(-np.pi * ratio / np.sqrt(1.0 - ratio**2))))
        self._gym.set_actor_rigid_shape_properties(env, actor, props)

    def _parts(self, geom: int) -> Any:
        """A geom's shapes in the URDF; none if it does not collide."""
        touching = self.model.geom_contype[geom] or self.model.geom_conaffinity[geom]
        return urdf.shapes(self.model, geom) if touching else []

    # stepping --------------------------------------------------------------------------------------------------------

    def step(self, controls: np.ndarray, substeps: int) -> None:
        if self._sim is None:
            self._make()
        self._refresh()
        gym = self._gym
        sim: Any = self._sim
        for stretch in range(controls.shape[1]):
            control = controls[:, stretch].astype(np.float64)
            for left in reversed(range(substeps)):
                qpos, qvel = self._position, self._velocity
                motors = self._motors.force(control, qpos, qvel)
                self._apply(motors, qvel)
                gym.simulate(sim)
                gym.fetch_results(sim, True)
                self._read()
                if left == 0 and stretch == controls.shape[1] - 1:
                    gym.refresh_net_contact_force_tensor(sim)
                    where = poses(self.model, qpos, qvel, self._fields["body_ipos"])
                    self._sensors.read(where, qpos, qvel, motors, self._touch(), self.sensordata)
        self.qpos[:], self.qvel[:] = self._position, self._velocity
        self._note_failures(controls)

    def _apply(self, motors: np.ndarray, qvel: np.ndarray) -> None:
        """Torques of the motors less the joints' own resistance, and forces on bodies, for one physics step."""
        total = np.zeros((self.num_worlds, self.model.nv))
        total[:, self._motors.dof] = motors
        total -= self._fields["dof_damping"] * qvel + self._fields["dof_frictionloss"] * np.clip(qvel / FRICTION_SLOPE, -1.0, 1.0)
        torque = np.zeros((self.num_worlds, len(self._joints)), np.float32)
        torque[:, self._order] = total[:, self.model.jnt_dofadr[self._joints]]
        self._torque.copy_(torch.from_numpy(torque))
        unwrap = gymtorch.unwrap_tensor
        self._gym.set_dof_actuation_force_tensor(self._sim, unwrap(self._torque))
        wrench = self._force[:, self._bodies].copy()
        weight = (self._fields["body_mass"] * self._fields["body_gravcomp"])[:, self._bodies, None]
        wrench[..., :3] -= weight * self.model.arrays["opt.gravity"]
        if wrench.any():
            self._wrench.copy_(torch.from_numpy(wrench.astype(np.float32)))
            force, turning = self._wrench[..., :3].contiguous(), self._wrench[..., 3:].contiguous()
            self._gym.apply_rigid_body_force_tensors(self._sim, unwrap(force), unwrap(turning), gymapi.GLOBAL_SPACE)

    def _refresh(self) -> None:
        for world in range(self.num_worlds) if self._stale else ():
            if self._stale & {"dof_armature"}:
                self._write_joints(world)
            if self._stale & set(SURFACE_FIELDS):
                self._write_surfaces(world)
        self._stale = set()

    def _touch(self) -> dict[int, np.ndarray]:
        contact = self._contact.cpu().numpy()
        place = {body: index for index, body in enumerate(self._bodies.tolist())}
        return {site: np.abs(contact[:, place[int(self.model.site_bodyid[site])], 2]) for site in self._sensors.touched}

    def _note_failures(self, controls: np.ndarray) -> None:
        fine = np.isfinite(controls).all((1, 2))
        for rows in (self._position, self._velocity, self.sensordata):
            fine &= (np.abs(rows) < LARGEST).all(1)
        bad = np.flatnonzero(~fine)
        if len(bad):
            self.failed[bad] = 1
            self._position[bad], self._velocity[bad] = self.model.qpos0, 0.0
            self._put(bad)
            self.qpos[bad], self.qvel[bad], self.sensordata[bad] = self._position[bad], 0.0, 0.0

    # state -----------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Isaac Gym's state in MuJoCo's form: root velocities there are those of the centre of mass, in the world."""
        model = self.model
        self._gym.refresh_actor_root_state_tensor(self._sim)
        self._gym.refresh_dof_state_tensor(self._sim)
        root, dof = self._root.cpu().numpy().astype(np.float64), self._dof.cpu().numpy().astype(np.float64)
        qpos, qvel = np.zeros((self.num_worlds, model.nq)), np.zeros((self.num_worlds, model.nv))
        qpos[:, model.jnt_qposadr[self._joints]] = dof[:, self._order, 0]
        qvel[:, model.jnt_dofadr[self._joints]] = dof[:, self._order, 1]
        if self._floating:
            quat, turn = root[:, [6, 3, 4, 5]], root[:, 10:13]
            center = self._fields["body_ipos"][:, urdf.roots(model)[0]]
            qpos[:, :3], qpos[:, 3:7] = root[:, :3], quat
            qvel[:, :3] = root[:, 7:10] - np.cross(turn, k.turned(quat, center))
            qvel[:, 3:6] = k.turned_back(quat, turn)
        self._position, self._velocity = qpos, qvel

    def _put(self, ids: np.ndarray) -> None:
        """Give Isaac Gym the state of some worlds."""
        if self._sim is None:
            return
        model, qpos, qvel = self.model, self._position, self._velocity
        rows, device = torch.as_tensor(ids, dtype=torch.long), self._dof.device
        dof = np.zeros((self.num_worlds, len(self._joints), 2), np.float32)
        dof[:, self._order, 0], dof[:, self._order, 1] = qpos[:, model.jnt_qposadr[self._joints]], qvel[:, model.jnt_dofadr[self._joints]]
        self._dof[rows] = torch.from_numpy(dof[ids]).to(device)
        actors = torch.as_tensor(ids, dtype=torch.int32).to(device)
        unwrap = gymtorch.unwrap_tensor
        if self._floating:
            quat = k.normalized(qpos[:, 3:7])
            turn = k.turned(quat, qvel[:, 3:6])
            center = self._fields["body_ipos"][:, urdf.roots(model)[0]]
            speed = qvel[:, :3] + np.cross(turn, k.turned(quat, center))
            root = np.concatenate([qpos[:, :3], quat[:, [1, 2, 3, 0]], speed, turn], 1).astype(np.float32)
            self._root[rows] = torch.from_numpy(root[ids]).to(device)
            self._gym.set_actor_root_state_tensor_indexed(self._sim, unwrap(self._root), unwrap(actors), len(ids))
        self._gym.set_dof_state_tensor_indexed(self._sim, unwrap(self._dof), unwrap(actors), len(ids))

    def write_state(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        self._position[ids], self._velocity[ids] = qpos, qvel
        self._put(ids)
        self.failed[ids] = 0
        self.qpos[ids], self.qvel[ids] = qpos, qvel
        sensors, nothing = np.zeros_like(self.sensordata), {site: np.zeros(self.num_worlds) for site in self._sensors.touched}
        motors = self._motors.force(np.zeros((self.num_worlds, self.model.nu)), self._position, self._velocity)
        where = poses(self.model, self._position, self._velocity, self._fields["body_ipos"])
        self._sensors.read(where, self._position, self._velocity, motors, nothing, sensors)
        self.sensordata[ids] = sensors[ids]

    def set_position(self, ids: np.ndarray, qpos: np.ndarray) -> None:
        self._position[ids] = qpos
        self._put(ids)

    def set_velocity(self, ids: np.ndarray, qvel: np.ndarray) -> None:
        self._velocity[ids] = qvel
        self._put(ids)

    # fields ----------------------------------------------------------------------------------------------------------

    def set_field(self, name: str, ids: np.ndarray, values: np.ndarray) -> None:
        if self._sim is not None and name in BODY_FIELDS and not np.allclose(self._fields[name][ids], values):
            raise Refused("lets {} differ between worlds, but not change after the first step: draw it with when=startup".format(name))
        self._fields[name][ids] = values
        self._stale.add(name)
        if name in Motors.fields:
            self._read_motors()

    def _read_motors(self) -> None:
        self._motors.read(*(self._fields[name] for name in Motors.fields))

    def field(self, name: str) -> np.ndarray:
        if name in self._fields:
            return self._fields[name]
        if name not in self.model.arrays:
            raise Refused("has no field {}".format(name))
        return np.repeat(self.model.arrays[name][None], self.num_worlds, 0)

    def set_const(self, ids: np.ndarray) -> None:
        """PhysX computes its constants itself."""

    def set_force(self, force: np.ndarray) -> None:
        self._force = force.astype(np.float64)

    def state(self) -> dict[str, np.ndarray]:
        return {"qpos": self._position.copy(), "qvel": self._velocity.copy()}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self._position, self._velocity = state["qpos"].copy(), state["qvel"].copy()
        self._put(np.arange(self.num_worlds))
        self.failed[:] = 0


def surface(model: Model, geom: int) -> Any:
    """A height field's vertices (V, 3) float32 and triangles (T, 3) uint32, in the world."""
    rows, columns = int(model.hfield_nrow[0]), int(model.hfield_ncol[0])
    width, depth, height = model.hfield_size[0][:3]
    x, y = np.meshgrid(np.linspace(-width, width, columns), np.linspace(-depth, depth, rows))
    z = model.hfield_data.reshape(rows, columns) * height
    vertices = np.stack([x, y, z], -1).reshape(-1, 3) + model.geom_pos[geom]
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).ravel()
    low = np.stack([corner, corner + 1, corner + columns + 1], 1)
    high = np.stack([corner, corner + columns + 1, corner + columns], 1)
    return vertices.astype(np.float32), np.concatenate([low, high]).astype(np.uint32)
