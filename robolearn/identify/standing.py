"""Estimates the base's mass of a robot that squats on its feet.

Standing feet are subject to contact forces that are not measured, and to internal stresses that a simulation from a measured state cannot
know. Both drop out of the virtual work of a motion that does not move the feet: the base moves straight up with 1 m/s, and the joints
follow. With N the velocities (nv,) of that motion:

    N' (M a + h) + m N' d(M a + h)/dm = N' torques

is one equation per reading, linear in the payload m. Torques are computed from the commands with the joints' estimated parameters.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.robot import Robot
from envs.robots.spots import lowest_point
from robolearn.identify.model import make_model, model_fields, tilted
from robolearn.identify.parameters import Nominal, Physical, physical
from robolearn.identify.recording import FloatArray, Recording, RecordingError
from robolearn.identify.smoothing import Smoothing
from robolearn.identify.uncertainty import long_run

SLOW = 0.1  # rad/s: below it dry friction may have either sign
CORRELATION_S = 0.3  # correlation time of model errors in a repeated motion
HUBER, ROBUST_PASSES = 1.5, 10  # the equations do not hold if the belly or a shin touches the ground
CLEAR = 0.006  # m; parts less than this above the ground may touch it
WEIGHT_ERROR = 0.001  # smoothing and rolling feet cause an error of about this share of the weight
UP = 2  # index of the base's vertical velocity


class StandingBalance:
    """The vertical balance of one standing recording.

    Attributes:
        period_s: time between two used readings [s].
        robot_mass: of the whole nominal robot [kg].
    """

    def __init__(self, recording: Recording, robot: Robot, nominal: Nominal, tilt: FloatArray | None = None) -> None:
        """Prepare what only depends on the motion; `tilt` (2,) [rad] is the rotation of the base relative to its IMU's attitude.

        Raises:
            RecordingError: the recording is too short, or the legs do not move.
        """
        if recording.imu_quat_wxyz is None:
            raise RecordingError(f"{recording.source}: a standing recording needs the IMU's attitude")
        self._recording, self._nominal, self._robot = recording, nominal, robot
        self._model = make_model(robot, "standing")
        self._joints = [int(self._model.joint(name).dofadr[0]) for name in robot.joints]
        self._qpos = [int(self._model.joint(name).qposadr[0]) for name in robot.joints]
        self._feet = robot.foot_geoms(self._model)
        self.robot_mass = float(self._model.body_mass.sum())
        self._smoothing = smooth = Smoothing(recording, most=1000)
        self.period_s = smooth.period_s
        self._position, self._velocity = smooth.mean(recording.position), smooth.mean(recording.velocity)
        self._acceleration = smooth.slope(recording.velocity)
        quats = recording.imu_quat_wxyz
        quat = smooth.mean(quats * np.sign(quats @ quats[0])[:, None])
        self._quat = quat if tilt is None else np.array([tilted(row, tilt) for row in quat])
        self._base_velocity, self._lift, height = self._motions()
        self._base_acceleration = np.gradient(self._base_velocity, self.period_s, axis=0)
        self._rigid = self._virtual_work(0.0)
        self._per_mass = self._virtual_work(1.0) - self._rigid
        work = np.abs(self._lift) * np.array(robot.effort_limit)
        self._slow = np.abs(self._velocity) < SLOW
        moves = (np.where(self._slow, work, 0.0).sum(axis=1) < 0.15 * work.sum(axis=1)) & smooth.driven
        self._usable = moves & (height > CLEAR)
        if self._usable.sum() < 20:
            raise RecordingError(
                f"{recording.source}: the legs move faster than {SLOW:g} rad/s in {int(moves.sum())} readings, and in"
                f" {int(self._usable.sum())} of these only the feet are within {1e3 * CLEAR:g} mm of the ground, according to the"
                " joints: record squats on flat ground, less deep if the shins touch it"
            )

    def _motions(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The base's velocity (n, 6), joint velocities (n, J) that lift it with 1 m/s, height of all but the feet above ground (n,)."""
        model, data = self._model, mujoco.MjData(self._model)
        count = len(self._position)
        lift, base_velocity, height = np.empty_like(self._position), np.empty((count, 6)), np.empty(count)
        of_foot = np.zeros((3, model.nv))
        floor = next(g for g in range(model.ngeom) if model.geom_type[g] == mujoco.mjtGeom.mjGEOM_PLANE)
        standing = {geom for foot in self._feet for geom in foot}
        others = [g for g in range(model.ngeom) if model.geom_bodyid[g] and g not in standing and model.geom_conaffinity[g]]
        for row in range(count):
            self._place(data, row)
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            jacobian = np.empty((3 * len(self._feet), model.nv))
            lowest = 0.0
            for i, foot in enumerate(self._feet):
                # a round foot rolls: the point that touches the ground is at rest
                point = lowest_point(model, data, foot)
                lowest += point[2] / len(self._feet)
                mujoco.mj_jac(model, data, of_foot, None, point, model.geom_bodyid[foot[0]])
                jacobian[3 * i : 3 * i + 3] = of_foot
            of_base, of_joints = jacobian[:, :6], jacobian[:, self._joints]
            lift[row] = -np.linalg.lstsq(of_joints, of_base[:, UP], rcond=None)[0]
            base_velocity[row] = -np.linalg.lstsq(of_base, of_joints @ self._velocity[row], rcond=None)[0]
            height[row] = min(mujoco.mj_geomDistance(model, data, floor, g, 9.0, None) for g in others) - lowest
        return base_velocity, lift, height

    def _place(self, data: mujoco.MjData, row: int) -> None:
        data.qpos[2], data.qpos[3:7] = 1.0, self._quat[row] / np.linalg.norm(self._quat[row])
        data.qpos[self._qpos] = self._position[row]

    def _virtual_work(self, payload: float) -> FloatArray:
        """The force that moves the links without a payload, (n,)."""
        model = make_model(self._robot, "standing")
        loaded = dataclasses.replace(physical((), np.zeros(0), self._nominal), payload=payload)
        for name, field in model_fields(model, self._robot, loaded).items():
            getattr(model, name)[:] = field
        model.dof_damping[:], model.dof_armature[:] = 0.0, 0.0
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
        data = mujoco.MjData(model)
        work = np.empty(len(self._position))
        for row in range(len(work)):
            self._place(data, row)
            data.qvel[:6], data.qacc[:6] = self._base_velocity[row], self._base_acceleration[row]
            data.qvel[self._joints], data.qacc[self._joints] = self._velocity[row], self._acceleration[row]
            mujoco.mj_inverse(model, data)
            work[row] = data.qfrc_inverse[UP] + self._lift[row] @ data.qfrc_inverse[self._joints]
        return work

    def equations(self, values: Physical) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The usable equations, (n,) each: factor of the payload, right side, and largest error from dry friction [N]."""
        spring, damper, effort = self._smoothing.motor_torques(values.delay_s)
        torque = values.strength * (values.kp * spring + values.kd * damper + effort)
        dry = values.friction * np.where(self._slow, 0.0, np.sign(self._velocity))
        torque -= values.damping * self._velocity + dry + values.armature * self._acceleration
        right = (self._lift * torque).sum(axis=1) - self._rigid
        unknown = (np.abs(self._lift) * np.where(self._slow, values.friction, 0.0)).sum(axis=1)
        return self._per_mass[self._usable], right[self._usable], unknown[self._usable]


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """The payload that balances a standing robot.

    Attributes:
        payload: mass added to the base [kg].
        deviation: its standard deviation for known joints [kg].
        imbalance: residual of the balance in a typical reading of the worst recording [N].
    """

    payload: float
    deviation: float
    imbalance: float


def weigh(balances: Sequence[StandingBalance], values: Physical) -> Weighing:
    """Find the payload by robust least squares (Huber 1964)."""
    parts = [balance.equations(values) for balance in balances]
    weights = [np.ones_like(factor) for factor, _, _ in parts]
    mass, square = 0.0, 1.0
    for _ in range(ROBUST_PASSES):
        square = sum(float(w @ factor**2) for w, (factor, _, _) in zip(weights, parts, strict=True))
        mass = sum(float((w * factor) @ right) for w, (factor, right, _) in zip(weights, parts, strict=True)) / square
        errors = [right - factor * mass for factor, right, _ in parts]
        typical = 1.4826 * float(np.median(np.abs(np.concatenate(errors))))
        weights = [np.minimum(1.0, HUBER * typical / np.maximum(np.abs(error), 1e-9)) for error in errors]
    variance, unknown = 0.0, 0.0
    for balance, weight, (factor, right, slow) in zip(balances, weights, parts, strict=True):
        scores = weight * factor * (right - factor * mass)
        variance += float(long_run(scores[:, None], max(1, round(CORRELATION_S / balance.period_s)))[0, 0])
        unknown += float((weight * np.abs(factor)) @ slow)
    # friction of slow joints is uniformly distributed between its bounds
    weighed = WEIGHT_ERROR * (balances[0].robot_mass + mass)
    return Weighing(
        payload=mass,
        deviation=math.sqrt(variance / square**2 + (unknown / square) ** 2 / 3 + weighed**2),
        imbalance=max(1.4826 * float(np.median(np.abs(right - factor * mass))) for factor, right, _ in parts),
    )
