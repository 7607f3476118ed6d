"""Points of a robot and their Jacobians, for all frames of a motion at once.

MuJoCo places the bodies frame by frame; everything else is arithmetic on arrays of all frames. A pose has n = 6 + J coordinates: the
root's displacement in the world [m], its turn about the world's axes [rad], and the joints in policy order [rad].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.robot import Robot
from robolearn.evaluation.locomotion.limbs import bodies_above
from robolearn.motions.rig import Point
from robolearn.motions.rotation import exponential, matrix_of_quat, quat_of_matrix

ROOT = 6  # coordinates of the root


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A robot in T frames.

    Attributes:
        position, attitude: of bodies in the world, (T, B, 3) [m] and (T, B, 3, 3).
        anchor, axis: of the joints in policy order, (T, J, 3).
    """

    position: np.ndarray
    attitude: np.ndarray
    anchor: np.ndarray
    axis: np.ndarray

    def at(self, point: Point) -> np.ndarray:
        """The position of a point [m], (T, 3)."""
        return self.position[:, point.body] + self.attitude[:, point.body] @ point.local


class Kinematics:
    """Forward kinematics and its derivatives.

    Attributes:
        model: of its scene.
        joints: indices of the joints in qpos, in policy order, (J,).
        lower, upper: range of each joint [rad], infinite if unlimited, (J,).
        speed: largest speed of each joint [rad/s], (J,).
    """

    def __init__(self, robot: Robot) -> None:
        self.model = robot.compiled
        self._data = mujoco.MjData(self.model)
        self._ids = np.array([self.model.joint(name).id for name in robot.joint_names])
        self.joints = self.model.jnt_qposadr[self._ids]
        limited = self.model.jnt_limited[self._ids].astype(bool)
        self.lower = np.where(limited, self.model.jnt_range[self._ids, 0], -np.inf)
        self.upper = np.where(limited, self.model.jnt_range[self._ids, 1], np.inf)
        self.speed = np.array(robot.velocity_limit)
        self.turns = self.model.jnt_type[self._ids] == mujoco.mjtJoint.mjJNT_HINGE
        bodies = self.model.jnt_bodyid[self._ids]
        above = [set(bodies_above(self.model, body)) for body in range(self.model.nbody)]
        self.carries = np.array([[joint in chain for joint in bodies] for chain in above])  # (B, J)
        self._neutral = self.model.key("stand").qpos.copy()

    def qpos(self, position: np.ndarray, attitude: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Poses (T, nq) of root positions (T, 3) [m], root attitudes (T, 3, 3) and joints (T, J); other joints stay in their default
        pose.
        """
        found = np.tile(self._neutral, (len(position), 1))
        found[:, :3], found[:, 3:7], found[:, self.joints] = position, quat_of_matrix(attitude), joints
        return found

    def move(self, qpos: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Poses after a step in the coordinates (T, n)."""
        turned = exponential(step[:, 3:6]) @ matrix_of_quat(qpos[:, 3:7])
        return self.qpos(qpos[:, :3] + step[:, :3], turned, qpos[:, self.joints] + step[:, ROOT:])

    def place(self, qpos: np.ndarray) -> Placed:
        """Place the robot in the poses (T, nq)."""
        model, data, count = self.model, self._data, len(qpos)
        position, attitude = np.empty((count, model.nbody, 3)), np.empty((count, model.nbody, 9))
        anchor, axis = np.empty((count, model.njnt, 3)), np.empty((count, model.njnt, 3))
        place, where, turn, of_anchor, of_axis = data.qpos, data.xpos, data.xmat, data.xanchor, data.xaxis
        forward = mujoco.mj_kinematics
        for t in range(count):
            place[:] = qpos[t]
            forward(model, data)
            position[t], attitude[t], anchor[t], axis[t] = where, turn, of_anchor, of_axis
        return Placed(
            position=position,
            attitude=attitude.reshape(count, model.nbody, 3, 3),
            anchor=anchor[:, self._ids],
            axis=axis[:, self._ids],
        )

    def jacobian(self, placed: Placed, points: Sequence[Point]) -> np.ndarray:
        """Jacobians of points with respect to the coordinates, (T, P, 3, n)."""
        bodies = [point.body for point in points]
        at = np.stack([placed.at(point) for point in points], 1)  # (T, P, 3)
        found = np.zeros((*at.shape, ROOT + len(self._ids)))
        found[..., :3] = np.eye(3)
        x, y, z = np.moveaxis(at - placed.position[:, None, self.root], -1, 0)  # about the root: e_k x r
        found[..., 0, 4], found[..., 0, 5] = z, -y
        found[..., 1, 3], found[..., 1, 5] = -z, x
        found[..., 2, 3], found[..., 2, 4] = y, -x
        for p, body in enumerate(bodies):
            moving = np.flatnonzero(self.carries[body])
            arm = at[:, p, None] - placed.anchor[:, moving]
            along = np.where(self.turns[moving, None], np.cross(placed.axis[:, moving], arm), placed.axis[:, moving])
            found[:, p, :, ROOT + moving] = np.moveaxis(along, 1, 0)
        return found

    def turning(self, placed: Placed, bodies: Sequence[int]) -> np.ndarray:
        """Rotational Jacobians of bodies in the world [rad], (T, B, 3, n)."""
        found = np.zeros((len(placed.axis), len(bodies), 3, ROOT + len(self._ids)))
        found[..., 3:6] = np.eye(3)
        for b, body in enumerate(bodies):
            moving = np.flatnonzero(self.carries[body] & self.turns)
            found[:, b, :, ROOT + moving] = np.moveaxis(placed.axis[:, moving], 1, 0)
        return found

    @property
    def root(self) -> int:
        """Id of the floating body."""
        return int(np.flatnonzero(self.model.body_parentid[1:] == 0)[0]) + 1
