"""Tests whether a robot stands, or an arm holds its pose: a few seconds of simulation with the step and gains of the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.describe.gains import DT, Drive
from envs.robots.describe.links import root_body

SECONDS = 5.0
FALLEN = 0.5  # rad of tilt, or this share of the height lost


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The result of a simulation with the robot's gains.

    Attributes:
        seconds: time until it fell, or the whole duration [s].
        stands: whether it did not fall.
        sunk: how much the base sank by the end [m].
        tilt: tilt of the base at the end [rad].
        sag: largest distance of a joint from its default at the end [rad].
        speed: largest speed of a joint at the end [rad/s], which shows trembling.
    """

    seconds: float
    stands: bool
    sunk: float
    tilt: float
    sag: float
    speed: float

    @property
    def trembles(self) -> bool:
        return self.speed > 0.5


def stage(spec: mujoco.MjSpec, drives: Mapping[str, Drive], floating: bool) -> mujoco.MjSpec:
    """The robot on a floor with position actuators, as in tasks; `spec` is not changed."""
    spec = spec.copy()
    spec.option.timestep, spec.option.integrator = DT, mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    if floating:
        spec.worldbody.add_geom(name="describe_floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], friction=[1.0, 0.005, 0.0001])
    for name, drive in drives.items():
        spec.joint(name).armature = drive.armature
        actuator = spec.add_actuator(name=f"{name}_drive", trntype=mujoco.mjtTrn.mjTRN_JOINT, target=name)
        actuator.set_to_position(kp=drive.kp, kv=drive.kd)
        actuator.forcelimited, actuator.forcerange = True, [-drive.effort, drive.effort]
    return spec


def without_self_collision(model: mujoco.MjModel, free: bool) -> None:
    """Make the robot touch only the ground, and an arm nothing."""
    for geom in range(model.ngeom):
        floor = free and model.geom(geom).name == "describe_floor"
        collides = bool(model.geom_contype[geom] or model.geom_conaffinity[geom])
        model.geom_contype[geom], model.geom_conaffinity[geom] = (1, 0) if floor else (0, int(collides and free))


def stand(model: mujoco.MjModel, qpos: np.ndarray, height: float | None, names: list[str], seconds: float = SECONDS) -> Trial:
    """Hold a pose with the model's actuators.

    Args:
        model: a compiled `stage`.
        qpos: the pose (nq,).
        height: height of the base above the ground [m]; None for a fixed base.
        names: names of the joints, in the actuators' order.
        seconds: duration [s].
    """
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    addresses = [model.jnt_qposadr[model.joint(name).id] for name in names]
    dofs = [model.jnt_dofadr[model.joint(name).id] for name in names]
    root = root_body(model)
    if height is not None:
        data.qpos[2] = height
    data.ctrl[:] = qpos[addresses]
    mujoco.mj_forward(model, data)
    start = data.xpos[root][2]
    steps = round(seconds / DT)
    speed = 0.0
    for step in range(steps):
        mujoco.mj_step(model, data)
        tilt = float(np.arccos(np.clip(data.xmat[root].reshape(3, 3)[2, 2], -1, 1)))
        lost = height is not None and (tilt > FALLEN or data.xpos[root][2] < FALLEN * start)
        if lost or not np.isfinite(data.qpos).all() or data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number:
            return Trial(seconds=step * DT, stands=False, sunk=0.0, tilt=tilt, sag=0.0, speed=float(np.abs(data.qvel[dofs]).max(initial=0)))
        if step > steps - 100:
            speed = max(speed, float(np.abs(data.qvel[dofs]).max(initial=0.0)))
    sag = float(np.abs(data.qpos[addresses] - qpos[addresses]).max(initial=0.0))
    return Trial(seconds=seconds, stands=True, sunk=float(start - data.xpos[root][2]), tilt=tilt, sag=sag, speed=speed)
