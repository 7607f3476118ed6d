"""One world of the Drake engine: a context of a plant, in MuJoCo's coordinates, with MuJoCo's position actuators.

A free joint is (position, quaternion; velocity of the body's origin in the world, angular velocity in the body) in MuJoCo and
(quaternion, position; angular velocity, velocity of the origin, both in the world) in Drake. The actuators' force, gain * ctrl + bias
clamped to its range, is computed from each step's state and held over the step, as a motor controller with that rate does. Where a joint
is so light that damping held over a step would shake it, the joint has the motor's damping, which Drake solves with the contacts.
"""

# Drake's type stubs swap shape and dtype of numpy arrays, and lack some names.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np
from pydrake.common.value import Value
from pydrake.multibody.plant import ExternallyAppliedSpatialForce
from pydrake.systems.analysis import Simulator

from envs.engines.drake.model import DrakeModel
from envs.engines.drake.sensors import DrakeSensors, Reading
from envs.engines.face import EngineError

LARGEST = 1e10  # MuJoCo also treats this as a failed simulation
EXPLICIT = 0.5
"""Largest damping of a motor that is held over a step, as a share of what would stop its joint within the step; twice that and it rings."""

REBUILD = frozenset(("body_pos", "body_quat", "geom_pos", "geom_quat", "geom_size", "jnt_pos", "jnt_axis", "jnt_range", "dof_frictionloss"))
"""Fields that are built into a plant: a world that changes them gets its own plant."""
FIELDS: dict[str, tuple[str, ...]] = {
    "body_mass": ("inertias", "forces"),
    "body_ipos": ("inertias", "forces"),
    "body_iquat": ("inertias",),
    "body_inertia": ("inertias",),
    "dof_damping": ("joints",),
    "dof_armature": ("joints",),
    "geom_friction": ("materials",),
    "geom_solref": ("materials",),
    "body_gravcomp": ("forces",),
    "opt.gravity": ("forces",),
    **dict.fromkeys(("actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "actuator_ctrlrange"), ("motors",)),
    **dict.fromkeys(("site_pos", "site_quat", "site_size"), ()),
    **dict.fromkeys(("geom_rbound", "geom_aabb"), ()),
    **dict.fromkeys(REBUILD, ("plant",)),
}
"""Fields that may differ between worlds -> what depends on them. Bounds of MuJoCo's own collision search have no effect here."""


class DrakeWorld:
    """One world.

    Attributes:
        model: the model with this world's fields; call `changed` after writing them.
        external: force and torque on each body in the world frame (nbody, 6); call `changed` after writing it.
        sensordata: (nsensordata,).
    """

    def __init__(self, model: mujoco.MjModel, nominal: mujoco.MjModel, drake: DrakeModel, sensors: DrakeSensors) -> None:
        self.model, self._nominal, self._sensors = model, nominal, sensors
        self._data = mujoco.MjData(model)
        self.external = np.zeros((model.nbody, 6))
        self.sensordata = np.zeros(model.nsensordata)
        self._stale: set[str] = set()
        self._attach(drake)

    def _attach(self, drake: DrakeModel) -> None:
        self._drake, plant = drake, drake.plant
        self._simulator = Simulator(drake.diagram)
        self._root = self._simulator.get_mutable_context()
        self._context = plant.GetMyMutableContextFromRoot(self._root)
        self._timestep, self._steps = plant.time_step(), 0
        self._damped = np.zeros(self.model.nu, bool)  # motors whose damping their joints have now
        self._torque = plant.get_applied_generalized_force_input_port().FixValue(self._context, np.zeros(plant.num_velocities()))
        if drake.has_dry_friction:
            port = plant.get_desired_state_input_port(plant.GetModelInstanceByName("DefaultModelInstance"))
            port.FixValue(self._context, np.zeros(port.size()))
        self._applied = False
        self._simulator.Initialize()
        self._stale |= {"forces", "motors"}

    # fields ----------------------------------------------------------------------------------------------------------

    def changed(self, *what: str) -> None:
        """Mark fields, or the `external` force, as written."""
        for name in what:
            self._stale |= {"forces"} if name == "external" else set(FIELDS[name])

    def refresh(self) -> None:
        """Transfer written fields to Drake.

        Raises:
            EngineError: Drake cannot represent it.
        """
        if not self._stale:
            return
        model, drake = self.model, self._drake
        if not np.allclose(model.geom_solref[:, 0], self._nominal.geom_solref[:, 0], rtol=1e-6):
            raise EngineError("engine 'drake' has its own contact stiffness: the time constant geom_solref[:, 0] cannot differ")
        if "plant" in self._stale:
            state = self.raw
            self._attach(DrakeModel(model, self._timestep))
            self.raw = state
        else:
            if "inertias" in self._stale:
                drake.set_inertias(self._context, model)
            if "joints" in self._stale:
                drake.set_joints(self._context, model)
                self._damped[:] = False
            if "materials" in self._stale:
                drake.set_materials(drake.scene_graph.GetMyMutableContextFromRoot(self._root), model)
        if "forces" in self._stale:
            forces = self._drake.forces(model, self.external)
            if forces or self._applied:
                self._drake.plant.get_applied_spatial_force_input_port().FixValue(
                    self._context, Value[list[ExternallyAppliedSpatialForce]](forces)
                )
                self._applied = True
        if "motors" in self._stale:
            if self._damped.any():
                self._damp(np.zeros_like(self._damped))
            self._read_motors()
        self._stale.clear()

    def _read_motors(self) -> None:
        model, drake = self.model, self._drake
        joint, gear = model.actuator_trnid[:, 0], model.actuator_gear[:, 0]
        self._length_at = drake.position[model.jnt_qposadr[joint]]
        self._speed_at = model.nq + drake.velocity[model.jnt_dofadr[joint]]
        affine = model.actuator_biastype == int(mujoco.mjtBias.mjBIAS_AFFINE)
        bias = np.where(affine[:, None], model.actuator_biasprm[:, :3], 0.0)
        self._gain, self._bias = model.actuator_gainprm[:, 0].copy(), (bias[:, 0], bias[:, 1] * gear, bias[:, 2] * gear)
        unlimited = np.full((model.nu, 2), [-np.inf, np.inf])
        self._force_range = np.where(model.actuator_forcelimited[:, None] != 0, model.actuator_forcerange, unlimited).T
        self._ctrl_range = np.where(model.actuator_ctrllimited[:, None] != 0, model.actuator_ctrlrange, unlimited).T
        self._transmission = np.zeros((model.nv, model.nu))
        self._transmission[drake.velocity[model.jnt_dofadr[joint]], np.arange(model.nu)] = gear
        self._light = -self._bias[2] * gear * _mobility(model)[model.jnt_dofadr[joint]] * self._timestep > EXPLICIT

    # state -----------------------------------------------------------------------------------------------------------

    @property
    def raw(self) -> np.ndarray:
        """Drake's state, (nq + nv,)."""
        return self._context.get_discrete_state_vector().value()

    @raw.setter
    def raw(self, state: np.ndarray) -> None:
        self._drake.plant.SetPositionsAndVelocities(self._context, state)

    def recover(self) -> None:
        """After a failure: set any finite state, with a fresh simulator."""
        self._root.SetTime(0.0)
        self._steps = 0
        self.set_state(self.model.qpos0, np.zeros(self.model.nv))
        self._simulator.Initialize()

    def state(self) -> tuple[np.ndarray, np.ndarray]:
        """qpos (nq,) and qvel (nv,) in MuJoCo's convention."""
        return self._to_mujoco(self.raw)

    def _to_mujoco(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        drake, R = self._drake, np.zeros(9)
        qpos, qvel = state[drake.position], state[self.model.nq + drake.velocity]
        for at, dof in drake.free:
            qpos[at + 3 : at + 7] /= np.linalg.norm(qpos[at + 3 : at + 7])
            mujoco.mju_quat2Mat(R, qpos[at + 3 : at + 7])
            qvel[dof + 3 : dof + 6] = R.reshape(3, 3).T @ qvel[dof + 3 : dof + 6]
        return qpos, qvel

    def set_state(self, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Put the world into a MuJoCo state, without memory of the old one; fields and external forces are kept."""
        drake, R = self._drake, np.zeros(9)
        qpos, qvel = np.array(qpos, float), np.array(qvel, float)
        for at, dof in drake.free:
            qpos[at + 3 : at + 7] /= np.linalg.norm(qpos[at + 3 : at + 7])
            mujoco.mju_quat2Mat(R, qpos[at + 3 : at + 7])
            qvel[dof + 3 : dof + 6] = R.reshape(3, 3) @ qvel[dof + 3 : dof + 6]
        state = np.zeros(len(qpos) + len(qvel))
        state[drake.position], state[len(qpos) + drake.velocity] = qpos, qvel
        self.raw = state

    # time ------------------------------------------------------------------------------------------------------------

    def advance(self, control: np.ndarray, steps: int, sense: bool) -> bool:
        """Hold a control (nu,) for some steps; optionally read sensors at the start of the last step. Returns whether all went well."""
        for left in reversed(range(steps)):
            state = self.raw
            if not np.abs(state).max() < LARGEST:  # also if it is NaN
                return False
            force = self._actuate(state, control)
            if not np.isfinite(force).all():
                return False
            if sense and left == 0:
                self._sense(state, force)
            self._steps += 1
            # the step happens when time passes a multiple of its length: times half-way between are safe from rounding
            self._simulator.AdvanceTo((self._steps - 0.5) * self._timestep, interruptible=False)
        return bool(np.abs(self.raw).max() < LARGEST)

    def sense(self, control: np.ndarray) -> None:
        """Update `sensordata` to the present state under a control."""
        state = self.raw
        self._sense(state, self._actuate(state, control))

    def _actuate(self, state: np.ndarray, control: np.ndarray) -> np.ndarray:
        """Set the joints' torques. Returns the actuators' forces (nu,)."""
        constant, stiffness, damping = self._bias
        length, speed = state[self._length_at], state[self._speed_at]
        control = np.clip(control, *self._ctrl_range)
        asked = self._gain * control + constant + stiffness * length + damping * speed
        force = np.clip(asked, *self._force_range)
        self._damp(self._light & (force == asked))
        self._torque.GetMutableData().get_mutable_value().SetFromVector(self._transmission @ (force - self._damped * damping * speed))
        return force

    def _damp(self, motors: np.ndarray) -> None:
        """Let the joints of some motors (nu,) have the motors' damping; a motor at its limit has none."""
        if (motors == self._damped).all():
            return
        model = self.model
        joints = model.actuator_trnid[:, 0]
        added = -self._bias[2] * model.actuator_gear[:, 0] * motors
        for joint in {*joints[motors != self._damped].tolist()}:
            self._drake.set_damping(self._context, joint, float(model.dof_damping[model.jnt_dofadr[joint]] + added[joints == joint].sum()))
        self._damped = motors

    def _sense(self, state: np.ndarray, force: np.ndarray) -> None:
        drake = self._drake
        self._data.qpos[:], self._data.qvel[:] = self._to_mujoco(state)
        mujoco.mj_kinematics(self.model, self._data)
        contacts = drake.plant.get_contact_results_output_port().Eval(self._context)
        reading = Reading(self.model, self._data, drake.plant, self._context, drake.bodies, force, contacts)
        self._sensors.read(reading, self.sensordata)


def _mobility(model: mujoco.MjModel) -> np.ndarray:
    """How fast a unit of force or torque speeds up each degree of freedom, all others free, at `qpos0`: (nv,) [1/kg, 1/(kg m2)]."""
    data, columns = mujoco.MjData(model), np.zeros((model.nv, model.nv))
    mujoco.mj_forward(model, data)
    mujoco.mj_solveM(model, data, columns, np.eye(model.nv))
    return np.diag(columns)
