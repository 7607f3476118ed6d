"""Chooses gains, limits and action scales of each joint, from the load that its motor has to move and hold.

A leg has two loads. Hanging, joint j moves its own links, with inertia I (the diagonal of the mass matrix, including rotors). Standing, it
supports a share of the body: seen from the joint, an inertia I_s = m_s r^2 at the distance r of the foot from its axis. It can only support
the body if it is faster than the body falls, with rate sqrt(g / l). So

    kp = max(I (2 pi f)^2, I_s (c sqrt(g / l))^2, torque in the standing pose / sag),    kd = 2 zeta sqrt(kp I)

limited by the motor's torque limit and by a stable simulation at 5 ms. kd stays within a range of time constants kd / kp, as used on
hardware. An arm uses the first and the third.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.describe.limbs import Limbs, limited
from envs.robots.describe.links import Link, root_body
from envs.robots.describe.pose import Standing
from envs.robots.describe.stance import Leg

GRAVITY = 9.81
FREQUENCY = 4.0  # Hz, of a hanging leg with three or four joints
BIPED_FREQUENCY = 2.2  # Hz, of a biped's legs, which are heavy
ARM_FREQUENCY = 3.0  # Hz, of everything else
STIFF = 0.35  # share of a biped's m g l on each leg: least kp of its joints, which matters for ankles and hip yaw
FALLING = 1.3  # factor on sqrt(g / l): rate of a standing leg
SAG, ARM_SAG = 0.08, 0.02  # rad by which a joint sags under the weight in its default pose
DAMPING_RATIO, ARM_DAMPING_RATIO = 0.5, 1.0
TIME_CONSTANT = (0.02, 0.06)  # s, kd / kp
STABLE = 0.7  # as a share of 1 / dt: largest rate sqrt(kp / inertia) of a motor with its links
DT = 0.005  # s
AUTHORITY = 0.4  # share of the torque limit that one unit of action commands at rest
SCALE = (0.25, 0.5)  # rad
LEG_SCALE = 0.5  # rad, of a leg's joint: with 0.25 Booster T1 had not moved after 230 iterations, with 0.5 it steps after 100
MOTOR_RANGE = 0.3  # rad: least error at which a motor gives its full torque
ABSURD_EFFORT, ABSURD_SPEED = 2.5, 100.0  # of m g l; rad/s: larger limits are placeholders, not a motor's
LEG_ARMATURE, ARM_ARMATURE = 1.5e-4, 1e-3  # kg m^2 of a rotor seen through its gears, per N m of its limit


@dataclass(frozen=True, kw_only=True)
class Drive:
    """The drive of one joint; each `..._from` says where the value comes from.

    Attributes:
        effort, velocity: limits [N m, rad/s].
        armature: reflected inertia [kg m^2].
        inertia: inertia that the motor sees with the limb free, including the armature [kg m^2].
        load: torque in the default pose [N m].
        kp, kd: gains [N m / rad, N m s / rad].
        scale: change of the target per unit of action [rad].
    """

    effort: float
    effort_from: str
    velocity: float
    velocity_from: str
    armature: float
    armature_from: str
    inertia: float
    load: float
    kp: float
    kd: float
    gains_from: str
    scale: float
    scale_from: str

    @property
    def share(self) -> float:
        """Share of the torque limit that the default pose needs."""
        return abs(self.load) / self.effort


def loads(model: mujoco.MjModel, qpos: np.ndarray, standing: Standing | None) -> np.ndarray:
    """Torques that hold the robot still in a pose, with its weight shared by its feet [N m], (nv,)."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    torque = data.qfrc_bias.copy()
    if standing is None:
        return torque
    root = root_body(model)
    weight = GRAVITY * float(model.body_subtreemass[root])
    feet = [_foot(model, data, leg) for leg in standing.legs]
    com = data.subtree_com[root]
    balance = np.array([[1.0, foot[0] - com[0], foot[1] - com[1]] for foot in feet]).T
    forces = np.linalg.lstsq(balance, np.array([weight, 0.0, 0.0]), rcond=None)[0]
    for leg, foot, force in zip(standing.legs, feet, forces, strict=True):
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jac(model, data, jacobian, None, foot, leg.sole.body)
        torque -= jacobian[2] * force
    return torque


def _foot(model: mujoco.MjModel, data: mujoco.MjData, leg: Leg) -> np.ndarray:
    return data.xpos[leg.sole.body] + data.xmat[leg.sole.body].reshape(3, 3) @ leg.sole.position


def find_drives(
    model: mujoco.MjModel,
    qpos: np.ndarray,
    limbs: Limbs,
    standing: Standing | None,
    efforts: Mapping[str, float | None],
    velocities: Mapping[str, float | None],
    file_gains: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Drive]:
    """Decide on the drive of each joint of the policy.

    Args:
        model: the robot alone.
        qpos: its default pose (nq,).
        limbs: its limbs.
        standing: standing pose of a legged robot; None for an arm.
        efforts, velocities: limits in the file [N m, rad/s]; None if it has none.
        file_gains: kp and kd of the file's own position actuators, for comparison.
    """
    mass = float(model.body_subtreemass[root_body(model)])
    length = standing.leg_length if standing else max((chain.reach for chain in limbs.arms), default=0.5)
    torque = loads(model, qpos, standing)
    legs = {link.name: leg for leg in (standing.legs if standing else []) for link in leg.chain.own}
    effort: dict[str, tuple[float, str]] = {}
    armature: dict[str, tuple[float, str]] = {}
    model = copy.copy(model)
    for link in limbs.joints:
        dof = model.jnt_dofadr[link.joint]
        effort[link.name] = _effort(efforts.get(link.name), mass * GRAVITY * length, abs(float(torque[dof])), link.name in legs, standing)
        armature[link.name] = _armature(float(model.dof_armature[dof]), effort[link.name][0], standing is not None)
        model.dof_armature[dof] = armature[link.name][0]
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    matrix = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, matrix)
    free = 1.0 / np.diag(np.linalg.inv(matrix))
    drives: dict[str, Drive] = {}
    for link in limbs.joints:
        dof = int(model.jnt_dofadr[link.joint])
        inertia, load = float(matrix[dof, dof]), float(torque[dof])
        arm = standing is None
        walks = link.name in legs
        frequency = ARM_FREQUENCY if not walks else BIPED_FREQUENCY if standing and len(standing.legs) == 2 else FREQUENCY
        wanted = {
            f"moves its links at {frequency:g} Hz": inertia * (2 * math.pi * frequency) ** 2,
            f"sags by {ARM_SAG if arm else SAG:g} rad under its load": abs(load) / (ARM_SAG if arm else SAG),
        }
        if standing is not None and walks:
            distance = _distance(data, link, _foot(model, data, legs[link.name]))
            share = 2 * mass / len(standing.legs)
            wanted[f"holds the body at {FALLING:g} sqrt(g/l)"] = share * distance**2 * FALLING**2 * GRAVITY / length
            if len(standing.legs) == 2:
                wanted[f"{STIFF:g} m g l on a leg"] = STIFF * share / 2 * GRAVITY * length
        why, kp = max(wanted.items(), key=lambda entry: entry[1])
        limits = {
            f"its torque limit for {MOTOR_RANGE:g} rad": effort[link.name][0] / MOTOR_RANGE,
            "stable at 5 ms": float(free[dof]) * (STABLE / DT) ** 2,
        }
        cap, most = min(limits.items(), key=lambda entry: entry[1])
        if kp > most:
            why, kp = f"{cap} (otherwise: {why}, kp {kp:.3g})", most
        ratio = ARM_DAMPING_RATIO if arm else DAMPING_RATIO
        kd = 2 * ratio * math.sqrt(kp * inertia)
        kd = kd if arm else float(np.clip(kd, TIME_CONSTANT[0] * kp, TIME_CONSTANT[1] * kp))
        if file_gains and link.name in file_gains:
            why += "; the file's own: kp {:.4g}, kd {:.4g}".format(*file_gains[link.name])
        scale, scale_from = _scale(model, link, kp, effort[link.name][0], arm, walks)
        speed, speed_from = _velocity(velocities.get(link.name), length, arm)
        drives[link.name] = Drive(
            effort=effort[link.name][0], effort_from=effort[link.name][1], velocity=speed, velocity_from=speed_from,
            armature=armature[link.name][0], armature_from=armature[link.name][1], inertia=inertia, load=load, kp=kp, kd=kd,
            gains_from=why, scale=scale, scale_from=scale_from,
        )  # fmt: skip
    return drives


def _distance(data: mujoco.MjData, link: Link, point: np.ndarray) -> float:
    off = point - data.xanchor[link.joint]
    axis = data.xaxis[link.joint]
    return float(np.linalg.norm(off - axis * (off @ axis)))


def _effort(given: float | None, mgl: float, load: float, leg: bool, standing: Standing | None) -> tuple[float, str]:
    filler = given is not None and given > ABSURD_EFFORT * mgl
    if given is not None and given > 0 and not filler:
        return given, "the file's"
    why = f"the file has {given:g}, which is too large for its motor" if filler else "the file has none"
    if standing is not None and leg:
        guess = max(1.6 * mgl / len(standing.legs) * (1.5 if len(standing.legs) > 2 else 1.0), 3 * load)
        return guess, f"a guess, from the weight and the legs' length: {why}; set your motor's"
    guess = max(3 * load, 0.02 * mgl)
    return guess, f"a guess, three times what its own weight needs: {why}; set your motor's"


def _velocity(given: float | None, length: float, arm: bool) -> tuple[float, str]:
    if given is not None and 0 < given <= ABSURD_SPEED:
        return given, "the file's"
    why = "the file has none" if not given else f"the file has {given:g}, which no motor reaches"
    if arm:
        return 2.5, f"a guess: {why}; set your motor's"
    return 5 * math.sqrt(GRAVITY / length), f"a guess, 5 sqrt(g/l): {why}; set your motor's"


def _armature(given: float, effort: float, legged: bool) -> tuple[float, str]:
    if given > 0:
        return given, "the file's"
    per = LEG_ARMATURE if legged else ARM_ARMATURE
    return per * effort, f"a guess, {per:g} kg m^2 per N m of its limit: the file has none (rotor inertia times gear ratio squared)"


def _scale(model: mujoco.MjModel, link: Link, kp: float, effort: float, arm: bool, walks: bool) -> tuple[float, str]:
    if arm:
        return 0.5, "a unit of action in tasks that set positions"
    low, high = limited(model, link.joint)
    if walks:
        return min(LEG_SCALE, (high - low) / 2), "far enough for first steps by chance"
    scale = float(np.clip(AUTHORITY * effort / kp, *SCALE))
    return min(scale, (high - low) / 2), f"{AUTHORITY:g} effort / kp, within {SCALE[0]:g} and {SCALE[1]:g} rad"
