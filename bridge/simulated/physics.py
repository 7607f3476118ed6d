"""A simulated robot in MuJoCo, with joint impedance control, encoders, IMU and its own watchdog, like a real robot's firmware.

The firmware applies torque = kp (q* - q) + kd (dq* - dq) + effort at every physics step, clipped to the effort limit. The law is put
into MuJoCo's actuators, so the implicit integrator treats the damping exactly as in training.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.control.command import JointCommand, damping
from bridge.control.joints import FloatArray, JointMap
from bridge.simulated.fitted_model import ModelError, fit_model, put_on_ground
from bridge.simulated.gantry import MODES, Gantry
from policies.contract.spec import PolicySpec, RobotSpec

WATCHDOG_S = 0.1


@dataclass(slots=True)
class Sample:
    """The robot's sensor readings, joints in the order of `PhysicsRobot.names`; units as in `bridge.control.reading.Reading`."""

    position: FloatArray
    velocity: FloatArray
    effort: FloatArray
    imu_quat_wxyz: FloatArray | None
    imu_angular_velocity_b: FloatArray | None
    stamp_ns: int


class PhysicsRobot:
    """One simulated robot.

    Attributes:
        names: joint order of `sample` and `apply`, (J,).
        time_s: simulated time [s].
        watchdog_trips: number of times the robot damped itself because commands were missing.
        dt: physics step [s].
        gantry: the gantry; None for none.
        clock_ns: how far its own clock is ahead of the simulated time [ns].
        notes: notes on a model that is not built like ours, one line each.
    """

    def __init__(
        self,
        spec: RobotSpec,
        mjcf: Path,
        dt: float = 0.002,
        permute: int | None = None,
        key: str | None = None,
        gantry: str = "auto",
    ) -> None:
        """Build the scene: the robot above a floor.

        Args:
            spec: joint names, limits and default pose.
            mjcf: a model with the spec's joints, built as its maker likes; see `bridge.simulated.fitted_model`.
            dt: step [s]; the physics makes shorter ones where the model asks for them.
            permute: seed of a random joint order for the wire; None for the spec's order.
            key: keyframe to start from; None for the model's initial state with the joints in the default pose.
            gantry: what holds the robot up, one of `bridge.simulated.gantry.MODES`.

        Raises:
            FileNotFoundError: there is no model.
            ModelError: it cannot be read, or is not of this robot; says what it has and lacks.
        """
        mujoco: Any = importlib.import_module("mujoco")  # only needed for a simulated robot
        if gantry not in MODES:
            raise ModelError(f"gantry is {gantry!r}; valid: {', '.join(MODES)}")
        self._mujoco: Any = mujoco
        order = np.arange(spec.num_joints) if permute is None else np.random.default_rng(permute).permutation(spec.num_joints)
        self.names = tuple(spec.joint_names[i] for i in order)
        fitted = fit_model(mujoco, mjcf, spec, self.names, dt, gantry, key)
        self.model: Any = fitted.model
        self.data: Any = mujoco.MjData(self.model)
        self.notes = fitted.notes
        self.dt, self.time_s, self.watchdog_trips, self.clock_ns = dt, 0.0, 0, 0
        self._substeps = round(dt / self.model.opt.timestep)
        to_wire = JointMap(spec.joint_names, self.names).to_wire
        self._qpos: Any
        self._qvel: Any
        self._qpos, self._qvel = self.model.jnt_qposadr[fitted.joints], self.model.jnt_dofadr[fitted.joints]
        self._actuator = fitted.motors
        self._damping = damping(to_wire(np.array(spec.kd)))
        base = fitted.base
        self._base = None if base is None else int(self.model.jnt_qposadr[base])
        self._base_dof = None if base is None else int(self.model.jnt_dofadr[base])
        if fitted.key:
            for name, value in fitted.key.items():
                if name != "ctrl":
                    getattr(self.data, name)[: len(value)] = value  # a gantry's body is the last one
        else:
            self.data.qpos[self._qpos] = to_wire(np.array(spec.default_pose))
        for actuator, value in fitted.controls.items():
            self.data.ctrl[actuator] = value
        if base is not None and not fitted.key:
            put_on_ground(mujoco, self.model, self.data, base)
        mujoco.mj_forward(self.model, self.data)
        hangs = 0 if base is None else int(self.model.jnt_bodyid[base])
        self.gantry = Gantry(self.model, self.data, hangs, gantry == "always") if fitted.held else None
        self.apply(self._damping)

    def apply(self, command: JointCommand) -> None:
        """Take a command, joints in the order of `names`; it holds until the next one or the watchdog."""
        model, actuator = self.model, self._actuator
        model.actuator_gainprm[actuator, 0] = command.kp
        model.actuator_biasprm[actuator, 0] = command.kd * command.velocity + command.effort
        model.actuator_biasprm[actuator, 1] = -command.kp
        model.actuator_biasprm[actuator, 2] = -command.kd
        self.data.ctrl[actuator] = command.position
        self._commanded_s, self._damped = self.time_s, not command.drives

    @property
    def damped(self) -> bool:
        """Whether no joint is driven to a target now."""
        return self._damped

    def step(self) -> None:
        """Advance by `dt`; without a command for `WATCHDOG_S` the robot damps itself."""
        if self.time_s - self._commanded_s > WATCHDOG_S and not self._damped:
            self.apply(self._damping)
            self.watchdog_trips += 1
        if self.gantry is not None:
            self.gantry.advance(self.dt)
        self._mujoco.mj_step(self.model, self.data, self._substeps)
        self.time_s += self.dt

    def sample(self) -> Sample:
        """Read the sensors."""
        data = self.data
        base, dof = self._base, self._base_dof
        return Sample(
            position=data.qpos[self._qpos].copy(),
            velocity=data.qvel[self._qvel].copy(),
            effort=data.actuator_force[self._actuator].copy(),
            imu_quat_wxyz=None if base is None else data.qpos[base + 3 : base + 7].copy(),
            imu_angular_velocity_b=None if dof is None else data.qvel[dof + 3 : dof + 6].copy(),
            stamp_ns=round(self.time_s * 1e9) + 1 + self.clock_ns,
        )

    @property
    def joints(self) -> tuple[str, ...]:
        """The names of all joints of the scene, those of objects too, in the order of `qpos`."""
        return tuple(str(self.model.joint(i).name) for i in range(self.model.njnt))

    @property
    def qpos(self) -> FloatArray:
        """The positions of all joints of the scene, (nq,): 7 of a free joint (position [m], quaternion wxyz), 4 of a ball joint."""
        return self.data.qpos.copy()

    def truth(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """For evaluation: base position in the world [m] (3,), base velocity (linear [m/s], angular [rad/s]) in the base frame (6,),
        attitude wxyz (4,). A fixed base is at rest at the origin.
        """
        if self._base is None or self._base_dof is None:
            return np.zeros(3), np.zeros(6), np.array([1.0, 0, 0, 0])
        quat = self.data.qpos[self._base + 3 : self._base + 7].copy()
        inverse, linear = np.zeros(4), np.zeros(3)
        self._mujoco.mju_negQuat(inverse, quat)
        self._mujoco.mju_rotVecQuat(linear, self.data.qvel[self._base_dof : self._base_dof + 3].copy(), inverse)
        velocity = np.concatenate([linear, self.data.qvel[self._base_dof + 3 : self._base_dof + 6]])
        return self.data.qpos[self._base : self._base + 3].copy(), velocity, quat


def physics_dt(spec: PolicySpec, rate_hz: float) -> float:
    """Physics step [s] that is at most 1 / rate_hz and divides the control step."""
    return spec.control_dt / max(1, round(spec.control_dt * rate_hz))
