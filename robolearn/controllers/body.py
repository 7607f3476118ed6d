"""A robot's equations of motion and its feet, from its nominal model only.

    M(q) a + h(q, v) = tau + sum over feet of J^T f

M is the mass matrix, h the forces of gravity, rotation and passive joints, tau the motor torques, f the ground's forces on the feet. A leg
consists of the joints that move one foot and no other.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots import spots
from envs.robots.robot import Robot
from robolearn.controllers.face import State
from robolearn.evaluation.gait.soles import sole

DAMPED = 1e-5  # m2: of a leg's inverse, for a stretched leg
FREE = 6  # degrees of freedom of the root


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One foot and what moves it.

    Attributes:
        name: of the foot.
        site: id of the foot's site.
        body: id of the body that carries the foot.
        dofs: the leg's degrees of freedom, (L,).
        joints: their indices in policy order, (L,).
        rows: number of the foot's coordinates that the leg controls: 3, or 6 for a foot with a sole.
        points: its contact points, in the body's frame [m], (P, 3).
    """

    name: str
    site: int
    body: int
    dofs: np.ndarray
    joints: np.ndarray
    rows: int
    points: np.ndarray


class Body:
    """A robot in a state, shared by the controllers of all worlds: call `look` with a state before reading.

    Attributes:
        robot: the robot.
        model: its nominal model, read only.
        legs: in the order of `Robot.feet`.
        joint_qpos, joint_dofs: addresses of the joints in policy order, (J,).
        mass: of the whole robot [kg].
        standing: qpos of the default pose, (nq,).
        mass_matrix: (nv, nv).
        bias: h, (nv,).
        velocity: v, (nv,).
        rotation: of the root, (3, 3).
        foot, foot_velocity: of the feet in the world [m], [m/s], (F, 3).
        jacobians: of each foot, linear rows first, (rows, nv).
        inverses: from a foot's velocity to its leg's joint velocities: J^T (J J^T + damping)^-1 of the leg's own part of J, (L, rows).
        drifts: acceleration of each foot if all joints keep their velocities, (rows,).
    """

    def __init__(self, robot: Robot) -> None:
        self.robot, self.model = robot, robot.compiled
        self.data = mujoco.MjData(self.model)
        model = self.model
        joints = [model.joint(name).id for name in robot.joint_names]
        self.joint_qpos, self.joint_dofs = model.jnt_qposadr[joints].copy(), model.jnt_dofadr[joints].copy()
        self.mass = float(model.body_mass.sum())
        self.standing = model.key("stand").qpos.copy()
        above = {name: self._moves(foot.body) for name, foot in robot.feet.items()}
        self.legs = [self._leg(name, above) for name in robot.feet]
        nv = int(model.nv)
        self.mass_matrix, self.bias = np.zeros((nv, nv)), np.zeros(nv)
        self._dot = np.zeros((6, nv))
        self.stand()

    def stand(self) -> None:
        """Start with the default pose, at rest."""
        self.look(State(qpos=self.standing, qvel=np.zeros(self.model.nv), contact=np.ones(len(self.legs), bool)))

    def look(self, state: State) -> None:
        """Compute everything for a state."""
        model, data = self.model, self.data
        data.qpos[:], data.qvel[:] = state.qpos, state.qvel
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_makeM(model, data)
        mujoco.mj_fullM(model, data, self.mass_matrix)
        mujoco.mj_comVel(model, data)
        mujoco.mj_rne(model, data, 0, self.bias)
        mujoco.mj_passive(model, data)
        self.bias -= data.qfrc_passive
        self.velocity = data.qvel.copy()
        root = self.legs[0].body
        self.rotation = data.xmat[model.body_rootid[root]].reshape(3, 3).copy()
        self.jacobians, self.drifts, self.inverses = [], [], []
        for leg in self.legs:
            jacobian = np.zeros((6, model.nv))
            mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:] if leg.rows == 6 else None, leg.site)
            place = data.site_xpos[leg.site]
            mujoco.mj_jacDot(model, data, self._dot[:3], self._dot[3:] if leg.rows == 6 else None, place, leg.body)
            self.jacobians.append(jacobian[: leg.rows])
            own = jacobian[: leg.rows, leg.dofs]
            self.inverses.append(np.linalg.solve(own @ own.T + DAMPED * np.eye(leg.rows), own).T)
            self.drifts.append(self._dot[: leg.rows] @ self.velocity)
        self.foot = data.site_xpos[[leg.site for leg in self.legs]].copy()
        self.foot_velocity = np.array([jacobian[:3] @ self.velocity for jacobian in self.jacobians])

    @property
    def position(self) -> np.ndarray:
        """Position of the root in the world [m], (3,)."""
        return self.data.qpos[:3]

    @property
    def yaw(self) -> float:
        """Heading [rad]."""
        return float(np.arctan2(self.rotation[1, 0], self.rotation[0, 0]))

    @property
    def mass_center(self) -> np.ndarray:
        """Centre of mass of the robot in the world [m], (3,)."""
        return self.data.subtree_com[self.model.body_rootid[self.legs[0].body]]

    def foot_rotation(self, index: int) -> np.ndarray:
        """Attitude of a foot's sole in the world, (3, 3)."""
        return self.data.site_xmat[self.legs[index].site].reshape(3, 3)

    def foot_yaw(self, index: int) -> float:
        """Heading of a foot [rad]."""
        rotation = self.foot_rotation(index)
        return float(np.arctan2(rotation[1, 0], rotation[0, 0]))

    def contact_points(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Contact points of a foot in the world [m], (P, 3), and their Jacobians, (P, 3, nv)."""
        leg, data = self.legs[index], self.data
        if leg.rows == 3:
            return self.foot[index][None], self.jacobians[index][None]
        places = data.xpos[leg.body] + leg.points @ data.xmat[leg.body].reshape(3, 3).T
        linear, angular = self.jacobians[index][:3], self.jacobians[index][3:]
        arms = places - self.foot[index]
        crossed = np.cross(angular.T[None], arms[:, None]).transpose(0, 2, 1)  # omega x arm, (P, 3, nv)
        return places, linear + crossed

    def _moves(self, body: str) -> set[int]:
        """Degrees of freedom above a body that are driven by a motor."""
        found, at = set[int](), int(self.model.body(body).id)
        while at:
            start, count = int(self.model.body_dofadr[at]), int(self.model.body_dofnum[at])
            found |= set(range(start, start + count)) if count else set()
            at = int(self.model.body_parentid[at])
        return found & {int(dof) for dof in self.joint_dofs}

    def _leg(self, name: str, above: dict[str, set[int]]) -> Leg:
        model, foot = self.model, self.robot.feet[name]
        others = set[int]().union(*(dofs for other, dofs in above.items() if other != name))
        site = int(model.site(spots.foot_site(name)).id)
        dofs = np.array(sorted(above[name] - others), int)
        geoms = self.robot.foot_geoms(model)[list(self.robot.feet).index(name)]
        shape = sole(model, site, geoms)
        places = shape.points - shape.radius[:, None] * np.asarray(foot.up)
        rows = 6 if foot.sole and len(dofs) >= 6 else 3
        joints = np.array([int(np.flatnonzero(self.joint_dofs == dof)[0]) for dof in dofs], int)
        return Leg(name=name, site=site, body=int(model.site_bodyid[site]), dofs=dofs, joints=joints, rows=rows, points=places)
