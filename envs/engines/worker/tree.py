"""Where a robot's bodies are and how they move, from qpos and qvel: forward kinematics of all worlds at once, in numpy."""

from __future__ import annotations

import numpy as np

from . import kinematics as k
from .face import Model
from .sensors import Poses


def poses(model: Model, qpos: np.ndarray, qvel: np.ndarray, center: np.ndarray) -> Poses:
    """Poses and velocities of all bodies.

    Args:
        model: bodies with at most one joint each, free, hinge or slide.
        qpos, qvel: in MuJoCo's form, (N, nq), (N, nv).
        center: centres of mass in the bodies' frames (N, nbody, 3).
    """
    worlds = len(qpos)
    position, quat = np.zeros((worlds, model.nbody, 3)), np.tile([1.0, 0.0, 0.0, 0.0], (worlds, model.nbody, 1))
    speed, turn = np.zeros((worlds, model.nbody, 3)), np.zeros((worlds, model.nbody, 3))  # of the frames' origins
    for body in range(1, model.nbody):
        parent, joint = int(model.body_parentid[body]), int(model.body_jntadr[body])
        kind = int(model.jnt_type[joint]) if model.body_jntnum[body] else -1
        if kind == 0:
            at, dof = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
            position[:, body], quat[:, body] = qpos[:, at : at + 3], k.normalized(qpos[:, at + 3 : at + 7])
            speed[:, body], turn[:, body] = qvel[:, dof : dof + 3], k.turned(quat[:, body], qvel[:, dof + 3 : dof + 6])
            continue
        outer = quat[:, parent]
        lever = k.turned(outer, np.broadcast_to(model.body_pos[body], (worlds, 3)))
        own = k.product(outer, np.broadcast_to(model.body_quat[body], (worlds, 4)))
        place = position[:, parent] + lever
        moving, turning = speed[:, parent] + np.cross(turn[:, parent], lever), turn[:, parent]
        if kind > 0:
            at, dof = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
            axis, anchor = model.jnt_axis[joint], np.broadcast_to(model.jnt_pos[joint], (worlds, 3))
            q, v = qpos[:, at, None] - model.qpos0[at], qvel[:, dof, None]
            along = k.turned(own, np.broadcast_to(axis, (worlds, 3)))
            if kind == 2:
                place, moving = place + q * along, moving + np.cross(turning, q * along) + v * along
            else:
                before = k.turned(own, anchor)
                own = k.product(own, np.concatenate([np.cos(q / 2), np.sin(q / 2) * axis], 1))
                after = k.turned(own, anchor)
                moving = moving + np.cross(turning, before)
                place, turning = place + before - after, turning + v * along
                moving = moving - np.cross(turning, after)
        position[:, body], quat[:, body], speed[:, body], turn[:, body] = place, own, moving, turning
    velocity = speed + np.cross(turn, k.turned(quat, center))
    return Poses(position, quat, velocity, turn, center)
