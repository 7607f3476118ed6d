"""How a legged robot crouches and rises on its feet: which joints bend, and by how much, from its geometry."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.robot import Robot
from envs.robots.spots import foot_site
from robolearn.errors import UserError
from robolearn.identify.recording import FloatArray

ACROSS = 0.8  # least component of a joint's axis along the base's y axis, for a joint that bends the leg in the x-z plane
SMALL = 0.05  # share of the largest


@dataclass(frozen=True, kw_only=True)
class Crouch:
    """Directions in joint space at the default pose.

    Attributes:
        down: lowers the base vertically over fixed feet; scaled so that each leg's least-turning joint turns by 1 rad, (J,).
        forward: moves the base forward over its feet; scaled to 1 rad of each leg's first bending joint, (J,).
    """

    down: FloatArray
    forward: FloatArray


def crouch_of(robot: Robot) -> Crouch:
    """The crouch of a robot.

    Raises:
        UserError: a leg lacks two joints that bend it in the x-z plane of the base, so the robot cannot squat.
    """
    model = robot.compiled
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    names = robot.joint_names
    dofs = [int(model.joint(name).dofadr[0]) for name in names]
    across = np.array([abs(data.xaxis[model.joint(name).id][1]) > ACROSS for name in names])
    down, forward = np.zeros(len(names)), np.zeros(len(names))
    for foot in robot.feet:
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jacSite(model, data, jacobian, None, model.site(foot_site(foot)).id)
        of_leg = jacobian[:, dofs]
        bending = np.flatnonzero(across & (np.abs(of_leg[[0, 2]]).max(axis=0) > 1e-6))
        if len(bending) < 2:
            raise UserError(f"{robot.name} cannot squat: its leg {foot} lacks two joints that bend it in the x-z plane of the base")
        turns, *_ = np.linalg.lstsq(of_leg[[0, 2]][:, bending], np.array([0.0, 1.0]), rcond=1e-6)
        moving = np.abs(turns) > SMALL * np.abs(turns).max()
        down[bending[moving]] = turns[moving] / np.abs(turns[moving]).min()
        forward[bending[0]] = -np.sign(of_leg[0, bending[0]])
    return Crouch(down=down, forward=forward)
