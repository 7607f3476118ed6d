"""The start of the search: a linear regression of torques, which needs no simulation.

With smoothed accelerations the torque law is linear in everything but the delay, which is tried on a grid:

    kp_factor kp (q* - q) + kd_factor kd (dq* - dq) + effort - damping dq - friction sign(dq) - armature ddq - mass dtau/dmass = tau_rigid

Noise in the regressors biases it by a few percent, so it is only a start; from further away the fit takes ten times the steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import mujoco
import numpy as np

from envs.robots.robot import Robot
from robolearn.identify.model import make_model, model_fields
from robolearn.identify.parameters import Nominal, Parameter, physical
from robolearn.identify.recording import FloatArray, Recording
from robolearn.identify.smoothing import Smoothing

DELAYS_S = np.arange(0.0, 0.0505, 0.001)
SLOW = 0.05  # rad/s: below it the direction of friction is unknown


def starting_values(recordings: Sequence[Recording], robot: Robot, parameters: Sequence[Parameter], nominal: Nominal) -> FloatArray:
    """Values (P,) to start from, inside the bounds; the parameters' own start if no base is held."""
    held = next((recording for recording in recordings if recording.mount == "held"), None)
    own = np.array([p.start for p in parameters])
    if held is None or len(held.time_s) < 50:
        return own
    regression = _Regression(held, robot, parameters, nominal)
    delays = DELAYS_S if any(p.kind == "delay" for p in parameters) else DELAYS_S[:1]
    found = min((regression.solve(float(delay)) for delay in delays), key=lambda result: result[1])[0]
    low, high = (np.array([getattr(p, name) for p in parameters]) for name in ("low", "high"))
    return np.clip(found, low + 0.02 * (high - low), high - 0.02 * (high - low))


class _Regression:
    """One recording's torque equations, for any delay."""

    def __init__(self, recording: Recording, robot: Robot, parameters: Sequence[Parameter], nominal: Nominal) -> None:
        self._parameters, self._nominal, self._recording = parameters, nominal, recording
        self._smoothing = smooth = Smoothing(recording)
        self._position, self._velocity = smooth.mean(recording.position), smooth.mean(recording.velocity)
        self._acceleration = smooth.slope(recording.velocity)
        self._rigid = self._inverse_dynamics(robot, 0.0)
        self._per_mass = self._inverse_dynamics(robot, 1.0) - self._rigid if any(p.kind == "mass" for p in parameters) else None
        self._usable = (np.abs(self._velocity) > SLOW) & smooth.driven[:, None]
        self._noise = 0.02 * np.array(robot.effort_limit)  # noise of a torque equation [N m]; a rough value is enough

    def _inverse_dynamics(self, robot: Robot, payload: float) -> FloatArray:
        """Torques (n, J) that move the links, without friction and armature."""
        quat = self._recording.imu_quat_wxyz
        model = make_model(robot, "held", None if quat is None else quat[len(quat) // 2])
        loaded = dataclasses.replace(physical((), np.zeros(0), self._nominal), payload=payload)
        for name, field in model_fields(model, robot, loaded).items():
            getattr(model, name)[:] = field
        model.dof_damping[:], model.dof_armature[:], model.dof_frictionloss[:] = 0.0, 0.0, 0.0
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
        data = mujoco.MjData(model)
        qpos = [int(model.joint(name).qposadr[0]) for name in robot.joints]
        dofs = [int(model.joint(name).dofadr[0]) for name in robot.joints]
        torques = np.empty_like(self._position)
        for row in range(len(torques)):
            data.qpos[qpos], data.qvel[dofs], data.qacc[dofs] = self._position[row], self._velocity[row], self._acceleration[row]
            mujoco.mj_inverse(model, data)
            torques[row] = data.qfrc_inverse[dofs]
        return torques

    def solve(self, delay_s: float) -> tuple[FloatArray, float]:
        """Parameters (P,) and the residual for a delay [s]."""
        spring, damper, effort = self._smoothing.motor_torques(delay_s)
        motors = spring + damper + effort
        passive = {"damping": -self._velocity, "friction": -np.sign(self._velocity), "armature": -self._acceleration}
        told = motors + sum(getattr(self._nominal, kind) * column for kind, column in passive.items())
        columns = {"kp": spring, "kd": damper, "motor_strength": motors} | passive
        matrix = np.zeros((*told.shape, len(self._parameters)))
        for i, p in enumerate(self._parameters):
            if p.kind == "mass" and self._per_mass is not None:
                matrix[..., i] = -self._per_mass
            elif p.kind in columns:
                unit = getattr(self._nominal, p.kind) if p.is_factor and p.kind in passive else np.ones(told.shape[1])
                joints = list(p.joints)
                matrix[:, joints, i] = (columns[p.kind] * unit)[:, joints]
        return self._least_squares(matrix, self._rigid - told, delay_s)

    def _least_squares(self, matrix: FloatArray, target: FloatArray, delay_s: float) -> tuple[FloatArray, float]:
        """Deviations from the nominal values by weighted least squares with the prior."""
        spread = np.array([p.spread for p in self._parameters])
        weight = self._usable / self._noise
        rows = (matrix * weight[..., None]).reshape(-1, len(spread)) * spread
        right = (target * weight).reshape(-1)
        deviation = np.linalg.solve(rows.T @ rows + np.eye(len(spread)), rows.T @ right)
        values = np.array([p.nominal for p in self._parameters]) + deviation * spread
        values = np.where([p.kind == "delay" for p in self._parameters], delay_s, values)
        return values, float(np.sum((rows @ deviation - right) ** 2))
