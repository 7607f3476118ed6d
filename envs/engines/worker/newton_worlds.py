"""Newton: its MuJoCo solver, or one that is not MuJoCo's, on Warp's CPU device or a GPU of that Python's.

`newton` steps MuJoCo Warp with the model's own options. `newton-steel` solves contacts, limits and drives as impulses in reduced
coordinates by projected Gauss-Seidel, as PhysX does, with Newton's own collisions: another contact law and solver. Sensors are read from
Newton's poses, velocities and contact forces; after `write_state` the touch sensors are zero until a step has been made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kinematics as k
from .face import Model, Physics, Refused
from .newton_model import FIELDS, NewtonModel, newton, wp
from .sensors import Poses, Sensors

LARGEST = 1e8
STEEL_STEP = 0.00125  # s: longest step
STEEL_SWEEPS = 16
ROWS = 160  # constraint rows of a world
FRICTION_SLOPE = 0.05  # rad/s: dry friction of joints is a torque that grows up to this speed, where the solver has none on a CPU
CONTACTS = 64  # a world's share of the contact buffer


class NewtonWorlds(Physics):
    """N worlds of Newton."""

    version = newton.__version__
    fields = FIELDS
    solver = "mujoco"

    @classmethod
    def with_solver(cls, name: str) -> type[NewtonWorlds]:
        """The class for another solver."""
        if name != "steel":
            raise Refused("has no solver {!r}; valid: newton, newton-steel".format(name))
        return type("Steel", (cls,), {"solver": name})

    def __init__(self, model: Model, num_worlds: int, num_threads: int, shared: dict[str, np.ndarray]) -> None:
        super().__init__(model, num_worlds, num_threads, shared)
        self._sensors = Sensors(model)
        self._newton = NewtonModel(model, num_worlds, self.solver == "mujoco")
        self._sensors.site_pos, self._sensors.geom_pos = (self._newton.fields[name] for name in ("site_pos", "geom_pos"))
        self._motors = self._newton.motors
        own = self._newton.model
        self._states = [own.state(), own.state()]
        self._control = own.control()
        self._free = [
            (int(model.jnt_qposadr[j]), int(model.jnt_dofadr[j]), int(model.jnt_bodyid[j])) for j in np.flatnonzero(model.jnt_type == 0)
        ]
        self._timestep, self._substeps = float(model.options["numbers"]["timestep"]), 1
        self._force = np.zeros((num_worlds, model.nbody, 6))
        self._solve(own)
        self._dry = np.zeros((num_worlds, model.nv))
        self._applied = np.zeros((num_worlds, model.nbody - 1, 6), np.float32)

    def _solve(self, own: Any) -> None:
        numbers, choices = self.model.options["numbers"], self.model.options["choices"]
        kinds = newton.solvers.SolverBase.ObservableKind
        if self.solver == "mujoco":
            self._solver = newton.solvers.SolverMuJoCo(
                own, iterations=max(20, numbers["iterations"]), ls_iterations=max(20, numbers["ls_iterations"]),
                cone=choices["cone"][1].rsplit("_", 1)[1].lower(), integrator=choices["integrator"][1].rsplit("_", 1)[1].lower(),
                impratio=numbers["impratio"], tolerance=numbers["tolerance"], njmax=ROWS, nconmax=CONTACTS,
            )  # fmt: skip
            self._contacts = newton.Contacts(self._solver.get_max_contact_count(), 0, device="cpu")
            self._pipeline = None
        else:
            self._substeps = max(1, int(np.ceil(self._timestep / STEEL_STEP - 1e-9)))
            pairs = wp.array(self._newton.pairs(), dtype=wp.vec2i, device="cpu")
            most = CONTACTS * self.num_worlds
            self._pipeline = newton.CollisionPipeline(own, broad_phase="explicit", shape_pairs_filtered=pairs, rigid_contact_max=most)
            self._contacts = self._pipeline.contacts()
            self._solver = newton.solvers.SolverSteel(
                own, iterations=STEEL_SWEEPS, enable_joint_limits=True, joint_limit_activation_gap=0.2, articulation_constraint_max=ROWS,
                drive_mode="rows", warn_constraint_overflow=False,
            )  # fmt: skip
        self._observed = self._solver.observables([kinds.CONTACT_F], contacts=self._contacts)

    # stepping --------------------------------------------------------------------------------------------------------

    def step(self, controls: np.ndarray, substeps: int) -> None:
        self._refresh()
        steps = substeps * self._substeps
        for stretch in range(controls.shape[1]):
            control = controls[:, stretch].astype(np.float64)
            self._target(control)
            for left in reversed(range(steps)):
                last = left == 0 and stretch == controls.shape[1] - 1
                if last:
                    qpos, qvel = self._read()
                    poses, motors = self._poses(), self._motors.force(control, qpos, qvel)
                self._advance(last)
        touch = self._touch()
        self._sensors.read(poses, qpos, qvel, motors, touch, self.sensordata)
        self.qpos[:], self.qvel[:] = self._read()
        self._note_failures(controls)

    def _advance(self, last: bool) -> None:
        before, after = self._states
        if self.solver != "mujoco" and self._dry.any():  # no rows for it on a CPU
            speed = before.joint_qd.numpy().reshape(self._dry.shape)
            self._control.joint_f.assign((-self._dry * np.clip(speed / FRICTION_SLOPE, -1.0, 1.0)).ravel().astype(np.float32))
        before.body_f.assign(self._applied.reshape(-1, 6))
        contacts = self._contacts if last else None  # of MuJoCo's: filled for the sensors
        if self._pipeline is not None:
            contacts = self._contacts
            self._pipeline.collide(before, contacts)
        timestep = self._timestep / self._substeps
        self._solver.step(before, after, self._control, contacts, timestep, observables=self._observed if last else None)
        self._states = [after, before]

    def _target(self, control: np.ndarray) -> None:
        rows = self._control.joint_target_q.numpy().reshape(self.num_worlds, -1).copy()
        rows[:, self._motors.qpos] = self._motors.target(control)
        self._control.joint_target_q.assign(rows.ravel())

    def _refresh(self) -> None:
        flags = self._newton.transfer()
        if flags:
            self._solver.notify_model_changed(flags)
            self._dry = self._newton.fields["dof_frictionloss"]
        total = self._force.copy()
        total[..., :3] += self._newton.compensation
        self._applied = total[:, 1:].astype(np.float32)

    def _note_failures(self, controls: np.ndarray) -> None:
        """Failed worlds rest in the reference pose until they are written, so that nothing stays NaN."""
        fine = np.isfinite(controls).all((1, 2))
        for rows in (self.qpos, self.qvel, self.sensordata):
            fine &= (np.abs(rows) < LARGEST).all(1)
        bad = np.flatnonzero(~fine)
        if len(bad):
            self.failed[bad] = 1
            rest = np.repeat(self.model.qpos0[None], len(bad), 0)
            self._write(bad, rest, np.zeros((len(bad), self.model.nv)))
            self.qpos[bad], self.qvel[bad], self.sensordata[bad] = rest, 0.0, 0.0

    # state -----------------------------------------------------------------------------------------------------------

    def _read(self) -> Any:
        """qpos and qvel of all worlds in MuJoCo's form."""
        state, model = self._states[0], self.model
        qpos = state.joint_q.numpy().reshape(self.num_worlds, model.nq).astype(np.float64)
        qvel = state.joint_qd.numpy().reshape(self.num_worlds, model.nv).astype(np.float64)
        for at, dof, body in self._free:
            quat = qpos[:, [at + 6, at + 3, at + 4, at + 5]]
            turn = qvel[:, dof + 3 : dof + 6]
            qvel[:, dof : dof + 3] -= np.cross(turn, k.turned(quat, self._newton.fields["body_ipos"][:, body]))
            qvel[:, dof + 3 : dof + 6] = k.turned_back(quat, turn)
            qpos[:, at + 3 : at + 7] = quat
        return qpos, qvel

    def _write(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Put worlds into a state in MuJoCo's form."""
        state = self._states[0]
        qpos, qvel = np.array(qpos, np.float64), np.array(qvel, np.float64)
        for at, dof, body in self._free:
            quat = k.normalized(qpos[:, at + 3 : at + 7])
            turn = k.turned(quat, qvel[:, dof + 3 : dof + 6])
            qvel[:, dof : dof + 3] += np.cross(turn, k.turned(quat, self._newton.fields["body_ipos"][ids, body]))
            qvel[:, dof + 3 : dof + 6] = turn
            qpos[:, at + 3 : at + 7] = quat[:, [1, 2, 3, 0]]
        for array, rows in ((state.joint_q, qpos), (state.joint_qd, qvel)):
            values = array.numpy().reshape(self.num_worlds, -1).copy()
            values[ids] = rows
            array.assign(values.ravel())
        newton.eval_fk(self._newton.model, state.joint_q, state.joint_qd, state)

    def _poses(self) -> Poses:
        worlds, bodies = self.num_worlds, self.model.nbody
        poses = self._states[0].body_q.numpy().reshape(worlds, bodies - 1, 7).astype(np.float64)
        speeds = self._states[0].body_qd.numpy().reshape(worlds, bodies - 1, 6).astype(np.float64)
        position, quat = np.zeros((worlds, bodies, 3)), np.tile([1.0, 0.0, 0.0, 0.0], (worlds, bodies, 1))
        velocity, turn = np.zeros((worlds, bodies, 3)), np.zeros((worlds, bodies, 3))
        position[:, 1:], quat[:, 1:] = poses[..., :3], poses[..., [6, 3, 4, 5]]
        velocity[:, 1:], turn[:, 1:] = speeds[..., :3], speeds[..., 3:]
        return Poses(position, quat, velocity, turn, self._newton.fields["body_ipos"])

    def _touch(self) -> dict[int, np.ndarray]:
        """Normal force in the volume of each touch sensor [N], site -> (N,)."""
        found = {site: np.zeros(self.num_worlds) for site in self._sensors.touched}
        contacts = self._contacts
        count = min(int(contacts.rigid_contact_count.numpy()[0]), contacts.rigid_contact_max)
        if not count or not found:
            return found
        shapes = [getattr(contacts, "rigid_contact_shape{}".format(side)).numpy()[:count] for side in (0, 1)]
        points = [getattr(contacts, "rigid_contact_point{}".format(side)).numpy()[:count] for side in (0, 1)]
        force = np.abs((self._observed.contact_f.numpy()[:count, :3] * contacts.rigid_contact_normal.numpy()[:count]).sum(1))
        body_of = self._newton.model.shape_body.numpy()
        for site in found:
            body = int(self.model.site_bodyid[site]) - 1
            for shape, point in zip(shapes, points):
                owner = body_of[np.maximum(shape, 0)]
                mine = np.flatnonzero((shape >= 0) & (owner >= 0) & (owner % self._newton.bodies == body))
                mine = mine[self._sensors.inside(site, point[mine], owner[mine] // self._newton.bodies)]
                np.add.at(found[site], owner[mine] // self._newton.bodies, force[mine])
        return found

    def write_state(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        self._refresh()
        good = np.isfinite(qpos).all(1) & np.isfinite(qvel).all(1)
        self._write(ids[good], qpos[good], qvel[good])
        if not good.all():  # it fails at its next step
            values = self._states[0].joint_q.numpy().reshape(self.num_worlds, -1).copy()
            values[ids[~good]] = np.nan
            self._states[0].joint_q.assign(values.ravel())
        mask = np.zeros(self.num_worlds + 1, bool)
        mask[ids] = True
        self._solver.reset(self._states[0], wp.array(mask, dtype=wp.bool, device="cpu"), flags=0)
        self.failed[ids] = 0
        self.qpos[ids], self.qvel[ids] = qpos, qvel
        sensors, nothing = np.zeros_like(self.sensordata), {site: np.zeros(self.num_worlds) for site in self._sensors.touched}
        now = self._read()
        self._sensors.read(
            self._poses(), now[0], now[1], self._motors.force(np.zeros((self.num_worlds, self.model.nu)), *now), nothing, sensors
        )
        self.sensordata[ids] = sensors[ids]

    def set_position(self, ids: np.ndarray, qpos: np.ndarray) -> None:
        self._write(ids, qpos, self._read()[1][ids])

    def set_velocity(self, ids: np.ndarray, qvel: np.ndarray) -> None:
        self._write(ids, self._read()[0][ids], qvel)

    # fields ----------------------------------------------------------------------------------------------------------

    def set_field(self, name: str, ids: np.ndarray, values: np.ndarray) -> None:
        qpos, qvel = self._read()
        self._newton.fields[name][ids] = values
        self._newton.changed(name)
        if name == "body_ipos":  # Newton's velocities are those of the centres of mass
            self._write(ids, qpos[ids], qvel[ids])

    def field(self, name: str) -> np.ndarray:
        if name in self._newton.fields:
            return self._newton.fields[name]
        if name not in self.model.arrays:
            raise Refused("has no field {}".format(name))
        return np.repeat(self.model.arrays[name][None], self.num_worlds, 0)

    def set_const(self, ids: np.ndarray) -> None:
        """Newton's solvers compute their constants themselves."""

    def set_force(self, force: np.ndarray) -> None:
        self._force = force.astype(np.float64)

    def state(self) -> dict[str, np.ndarray]:
        state = self._states[0]
        return {"joint_q": state.joint_q.numpy().copy(), "joint_qd": state.joint_qd.numpy().copy()}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self._states[0].joint_q.assign(state["joint_q"])
        self._states[0].joint_qd.assign(state["joint_qd"])
        newton.eval_fk(self._newton.model, self._states[0].joint_q, self._states[0].joint_qd, self._states[0])
        self._refresh()
        self._solver.reset(self._states[0], None, flags=0)
        self.failed[:] = 0
