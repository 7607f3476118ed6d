"""The motion of one robot, computed from its poses: trunk, head, knees and soles; with forces if a simulation has them."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from robolearn.evaluation.gait.anatomy import Anatomy
from robolearn.evaluation.gait.stance import ground, loaded


@dataclass(frozen=True, kw_only=True)
class Motion:
    """T samples of a robot with F feet and J joints.

    Attributes:
        dt: time between samples [s].
        qpos: poses, (T, nq).
        joints: positions [rad], (T, J).
        velocity: of the base in the heading of the trunk's base: vx, vy [m/s] and yaw rate [rad/s], (T, 3).
        base: height of the base's origin [m], (T,).
        pitch, roll: of the trunk in the world [degrees]; leaning forward and to the right are positive, (T,).
        head: height of the highest point of the trunk [m], (T,).
        knee: bend of each leg's knee, 0 for a straight leg [degrees], NaN without a knee, (T, F).
        sole: middle of each sole in the world [m], (T, F, 3).
        height: of each sole's lowest point above the ground [m], (T, F).
        slip: planar speed of the points that touch the ground [m/s], see `Sole.slip`, (T, F).
        contact: feet that carry load, (T, F).
        torque: joint torques [N m], (T, J); None in a recording.
        power: sum of |torque * joint velocity| [W], (T,); None in a recording.
        mass: mass of the robot [kg].
    """

    dt: float
    qpos: np.ndarray
    joints: np.ndarray
    velocity: np.ndarray
    base: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    head: np.ndarray
    knee: np.ndarray
    sole: np.ndarray
    height: np.ndarray
    slip: np.ndarray
    contact: np.ndarray
    torque: np.ndarray | None = None
    power: np.ndarray | None = None
    mass: float


def motion_of(
    anatomy: Anatomy,
    qpos: np.ndarray,
    dt: float,
    contact: np.ndarray | None = None,
    torque: np.ndarray | None = None,
    power: np.ndarray | None = None,
    mass: float | None = None,
) -> Motion:
    """Follow the parts of a robot through poses.

    Args:
        anatomy: the robot's parts.
        qpos: poses (T, nq), T at least 2.
        dt: time between them [s].
        contact: feet that carry load (T, F); None to infer it from height and speed (`stance.loaded`), each foot over its own ground, since
            feet in recordings float.
        torque: joint torques [N m], (T, J).
        power: sum of |torque * joint velocity| [W], (T,).
        mass: mass including a payload [kg]; None for the robot's own.
    """
    bodies = [anatomy.trunk, *(sole.body for sole in anatomy.soles)]
    position, rotation = follow(anatomy.model, qpos, bodies)
    trunk = rotation[:, 0] @ anatomy.upright.T
    pitch = np.degrees(np.arcsin(np.clip(-trunk[:, 2, 0], -1.0, 1.0)))
    roll = np.degrees(np.arctan2(trunk[:, 2, 1], trunk[:, 2, 2]))
    head = position[:, 0, 2] + rotation[:, 0, 2] @ anatomy.head
    joints = qpos[:, anatomy.joints]
    knee = np.full((len(qpos), len(anatomy.soles)), np.nan)
    middle, height, slip = np.zeros((*knee.shape, 3)), np.zeros(knee.shape), np.zeros(knee.shape)
    for foot, sole in enumerate(anatomy.soles):
        if (joint := anatomy.knees[foot]) is not None:
            knee[:, foot] = np.degrees(anatomy.bends[foot] * (joints[:, joint] + anatomy.straight[foot]))
        at, turned = position[:, foot + 1], rotation[:, foot + 1]
        places = sole.places(at, turned)
        middle[:, foot] = at + turned @ sole.middle
        height[:, foot], slip[:, foot] = sole.height(places), sole.slip(places, turned, dt)
    if contact is None:
        height -= ground(height, dt)
        contact = loaded(height, slip, dt)
    return Motion(
        dt=dt,
        qpos=qpos,
        joints=joints,
        velocity=planar_velocity(qpos, dt),
        base=qpos[:, 2],
        pitch=pitch,
        roll=roll,
        head=head,
        knee=knee,
        sole=middle,
        height=height,
        slip=slip,
        contact=contact,
        torque=torque,
        power=power,
        mass=anatomy.robot.mass if mass is None else mass,
    )


def follow(model: mujoco.MjModel, qpos: np.ndarray, bodies: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Positions [m] (T, B, 3) and attitudes (T, B, 3, 3) of bodies in the poses qpos (T, nq)."""
    data = mujoco.MjData(model)
    position, rotation = np.empty((len(qpos), len(bodies), 3)), np.empty((len(qpos), len(bodies), 9))
    for t, pose in enumerate(qpos):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        position[t], rotation[t] = data.xpos[bodies], data.xmat[bodies]
    return position, rotation.reshape(*position.shape[:2], 3, 3)


def heading(qpos: np.ndarray) -> np.ndarray:
    """Yaw of the base without jumps [rad], (T,)."""
    w, x, y, z = qpos[:, 3:7].T
    return np.unwrap(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


def planar_velocity(qpos: np.ndarray, dt: float) -> np.ndarray:
    """vx, vy [m/s] in the base's heading and the yaw rate [rad/s], (T, 3), by central differences."""
    yaw = heading(qpos)
    vx, vy = np.gradient(qpos[:, :2], dt, axis=0).T
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([cos * vx + sin * vy, cos * vy - sin * vx, np.gradient(yaw, dt)], -1)
