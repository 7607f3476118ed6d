"""A simulated robot whose parameters are hidden from the fit, to test and demonstrate the method.

Its simulation is independent of the fit's: one world, an eighth of the step, and commands that take effect on arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.robot import Robot
from envs.terms.ids import actuator_ids
from robolearn.identify.excitation import Commands
from robolearn.identify.model import make_model, model_fields, nominal_of, standing_qpos, tilted
from robolearn.identify.parameters import Nominal, Parameter, Physical, physical
from robolearn.identify.recording import FloatArray, Mount, Recording

DELAY_UNIT_S = 0.0005  # hidden delays are multiples of it, so that they fall on physics steps
STEP_S = 0.00025


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Standard deviations of a robot's readings; white.

    Attributes:
        position: [rad].
        velocity: [rad/s].
        effort: [N m].
        attitude: of the IMU, each axis [rad].
    """

    position: float = 5e-4
    velocity: float = 0.03
    effort: float = 0.1
    attitude: float = 2e-3


def draw(parameters: Sequence[Parameter], seed: int) -> FloatArray:
    """Hidden values (P,) within the usual spread of robots."""
    rng = np.random.default_rng(seed)
    spans = {"kp": (0.75, 1.2), "kd": (0.7, 1.3), "motor_strength": (0.8, 1.1), "damping": (0.6, 3.0), "armature": (0.7, 1.5)}
    values = []
    for parameter in parameters:
        if parameter.kind == "delay":
            values.append(round(rng.uniform(0.003, 0.012) / DELAY_UNIT_S) * DELAY_UNIT_S)
        elif parameter.kind == "tilt":
            values.append(rng.uniform(-0.01, 0.01))
        elif parameter.kind == "mass":
            values.append(rng.uniform(0.15, 0.4) * 10 * parameter.reference)
        elif parameter.is_factor:
            values.append(rng.uniform(*spans[parameter.kind]))
        else:
            values.append(rng.uniform(0.5, 1.5) * parameter.reference)
    return np.array(values)


def record(
    robot: Robot,
    hidden: Physical,
    commands: Commands,
    *,
    mount: Mount = "held",
    seed: int = 0,
    rate_hz: float = 500.0,
    noise: Noise | None = None,
    step_s: float = STEP_S,
) -> Recording:
    """Let a robot with hidden parameters follow commands and read its sensors."""
    noise, rng = noise or Noise(), np.random.default_rng(seed)
    model = make_model(robot, mount)
    model.opt.timestep, model.opt.integrator = step_s, mujoco.mjtIntegrator.mjINT_RK4
    for name, value in model_fields(model, robot, hidden).items():
        getattr(model, name)[:] = value
    data = mujoco.MjData(model)
    mujoco.mj_setConst(model, data)
    qpos = [int(model.joint(name).qposadr[0]) for name in robot.joints]
    dofs = [int(model.joint(name).dofadr[0]) for name in robot.joints]
    actuators = actuator_ids(model, robot.joint_names)
    mujoco.mj_resetData(model, data)
    if mount == "standing":
        data.qpos[:] = standing_qpos(model, robot, np.array([1.0, 0, 0, 0]), commands.target[0])
    data.qpos[qpos] = commands.target[0]
    arrives = np.round((commands.time_s + hidden.delay_s) / step_s).astype(int)
    every, root = round(1 / rate_hz / step_s), model.body_rootid[model.body(robot.base).id]
    rows: list[tuple[float, FloatArray, FloatArray, FloatArray, FloatArray]] = []
    next_command = 0
    for step in range(round(commands.time_s[-1] / step_s)):
        while next_command < len(arrives) and (arrives[next_command] <= step or next_command == 0):
            k, strength = next_command, hidden.strength
            kp, kd = strength * hidden.kp * commands.kp[k], strength * hidden.kd * commands.kd[k]
            data.ctrl[actuators] = kp * commands.target[k] + kd * commands.velocity[k] + strength * commands.effort[k]
            model.actuator_biasprm[actuators, 1], model.actuator_biasprm[actuators, 2] = -kp, -kd
            next_command += 1
        mujoco.mj_step(model, data)
        if (step + 1) % every == 0:
            quat = data.qpos[3:7].copy() if mount == "standing" else model.body_quat[root].copy()
            rows.append(((step + 1) * step_s, data.qpos[qpos].copy(), data.qvel[dofs].copy(), data.actuator_force[actuators].copy(), quat))
    time, position, velocity, effort, quats = (np.array(column) for column in zip(*rows, strict=True))
    tilt = np.concatenate([np.ones((len(time), 1)), 0.5 * noise.attitude * rng.standard_normal((len(time), 3))], axis=1)
    measured = np.array([tilted(_product(q, dq), -hidden.tilt) for q, dq in zip(quats, tilt, strict=True)])
    return Recording(
        time_s=time,
        position=position + noise.position * rng.standard_normal(position.shape),
        velocity=velocity + noise.velocity * rng.standard_normal(velocity.shape),
        effort=effort + noise.effort * rng.standard_normal(effort.shape),
        imu_quat_wxyz=measured if robot.floating_base else None,
        command_time_s=commands.time_s,
        target=commands.target,
        command_velocity=commands.velocity,
        command_effort=commands.effort,
        kp=commands.kp,
        kd=commands.kd,
        mount=mount,
        source=f"simulated {robot.name}, {mount}",
    )


def hidden_physical(robot: Robot, parameters: Sequence[Parameter], values: FloatArray) -> tuple[Nominal, Physical]:
    """The robot's nominal values, and those under hidden values (P,) of the parameters."""
    nominal = nominal_of(robot)
    return nominal, physical(parameters, values, nominal)


def _product(a: FloatArray, b: FloatArray) -> FloatArray:
    result = np.zeros(4)
    mujoco.mju_mulQuat(result, a, b / np.linalg.norm(b))
    return result
