"""The start of an episode with an object: it lies before the arm, and some hands begin close above it.

An arm that starts far away from what it should grasp finds by chance where to go, hardly ever how to close its fingers. So a share of the
episodes (`helped`) begins with the open hand above the object or around it, turned as it lies, and some of these (`held`) with the object
between the fingers in the air; evaluations have none of these. Starting near the goal is an old method (Florensa et al. 2017, arXiv
1707.05300; Nair et al. 2018, arXiv 1709.10089).
"""

from __future__ import annotations

import mujoco
import numpy as np
import torch

from envs.robots.spots import TOOL
from envs.scene.objects import OBJECT
from envs.seeds import uniform
from envs.terms.face import Env
from envs.terms.objects import half_extents
from envs.terms.resets import around_default

Pair = tuple[float, float]
POSES = 256
"""Poses of the hand above the floor among which a helped start chooses."""
CLEARANCE, HIGHEST = 0.005, 0.4  # m: least height of the tips and largest height of the tool above the floor
LOW = 3  # power of a uniform number that spreads the poses between these: most are low
CLEAR = 0.01  # m above the floor from which an object may be held
SQUEEZE = 0.0015  # m by which fingers that hold an object begin too far closed
STEPS, STEP, DAMPING = 200, 0.4, 1e-3
EXACT = 2e-3  # largest error of a pose [m], [rad]


class ObjectBeforeHand:
    """An arm near its default pose, its gripper open, and the object at rest on the floor before it."""

    def __init__(
        self, env: Env, x: Pair = (0.38, 0.52), y: Pair = (-0.1, 0.1), turn: float = 3.14, joint_spread: float = 0.1,
        helped: float = 0.0, held: float = 0.3,
    ) -> None:  # fmt: skip
        """Find the poses of helped starts.

        Args:
            env: the environment.
            x: where the object lies in front of the base [m].
            y: where the object lies to the left of the base [m].
            turn: largest turn of the object about the vertical [rad].
            joint_spread: largest deviation of a joint of the arm from the default pose [rad].
            helped: share of the episodes that begin with the hand above the object or around it.
            held: share of these in which the fingers hold the object in the air.
        """
        self._held = held
        self._x, self._y, self._turn, self._spread, self._helped = x, y, turn, joint_spread, helped
        self._at = int(env.engine.model.joint(OBJECT).qposadr[0])
        self._fingers = fingers(env)
        if helped > 0:
            self._poses, self._places = (env.tensor(values) for values in hand_poses(env, x, y))

    def __call__(self, env: Env, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        qpos, qvel = around_default(env, ids, self._spread)
        n, draws = len(ids), env.generator
        x, y, yaw = uniform(*self._x, (n,), draws), uniform(*self._y, (n,), draws), uniform(-self._turn, self._turn, (n,), draws)
        half = half_extents(env)[ids]
        z, grip = half[:, 2].clone(), env.rest[self._fingers].expand(n, -1).clone()
        if self._helped > 0:
            helped = torch.rand(n, generator=draws, device=env.device) < self._helped
            which = torch.randint(len(self._poses), (n,), generator=draws, device=env.device)
            columns = env.joints.in_qpos
            qpos[:, columns] = torch.where(helped[:, None], self._poses[which], qpos[:, columns])
            *place, high = self._places[which].unbind(1)
            x, y, yaw = (torch.where(helped, there, now) for there, now in zip(place, (x, y, yaw), strict=True))
            held = helped & (high > z + CLEAR) & (torch.rand(n, generator=draws, device=env.device) < self._held)
            z = torch.where(held, high, z)
            grip = torch.where(held[:, None], (half[:, 1:2] - SQUEEZE).minimum(grip), grip)
        qpos[:, self._fingers] = grip
        zero = torch.zeros_like(z)
        qpos[:, self._at : self._at + 7] = torch.stack([x, y, z, torch.cos(yaw / 2), zero, zero, torch.sin(yaw / 2)], dim=1)
        return qpos, qvel


def fingers(env: Env) -> list[int]:
    """Where in qpos the gripper's joint and those that follow it are; empty without a gripper."""
    model, gripper = env.engine.model, env.robot.gripper
    if gripper is None:
        return []
    moved = [model.joint(gripper.joint).id]
    moved += [int(model.eq_obj1id[i]) for i in range(model.neq) if model.eq_obj2id[i] == moved[0]]
    return [int(model.jnt_qposadr[joint]) for joint in moved]


def hand_poses(env: Env, x: Pair, y: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Joint positions of the robot (K, J) with its hand pointing down above the floor, and the x, y [m], turn [rad] and height
    [m] of the tool there, (K, 4).

    Poses by damped least squares from the default pose; those that miss are left out.

    Raises:
        ValueError: the arm reaches none of them.
    """
    model, rng = env.engine.model, np.random.default_rng(0)
    data, site = mujoco.MjData(model), model.site(TOOL).id
    columns = [int(model.joint(name).qposadr[0]) for name in env.robot.joints]
    dofs = [int(model.joint(name).dofadr[0]) for name in env.robot.joints]
    lowest = CLEARANCE + (0.0 if env.robot.gripper is None else env.robot.gripper.tips)
    lower, upper = (bound.cpu().numpy() for bound in (env.joints.soft_lower, env.joints.soft_upper))
    poses: list[np.ndarray] = []
    places: list[tuple[float, float, float, float]] = []
    for _ in range(POSES):
        turn = rng.uniform(-1.0, 1.0)
        goal = np.array([rng.uniform(*x), rng.uniform(*y), lowest + (HIGHEST - lowest) * rng.uniform() ** LOW])
        wanted = np.array([[np.cos(turn), np.sin(turn), 0.0], [np.sin(turn), -np.cos(turn), 0.0], [0.0, 0.0, -1.0]])  # axes as columns
        data.qpos[:] = env.rest.cpu().numpy()
        error = np.full(6, np.inf)
        for _ in range(STEPS):
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            axes = data.site_xmat[site].reshape(3, 3)
            error = np.concatenate([goal - data.site_xpos[site], 0.5 * np.cross(axes.T, wanted.T).sum(0)])
            if np.abs(error).max() < EXACT / 4:
                break
            jacobian = np.zeros((6, model.nv))
            mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site)
            mine = jacobian[:, dofs]
            step = STEP * mine.T @ np.linalg.solve(mine @ mine.T + DAMPING * np.eye(6), error)
            data.qpos[columns] = np.clip(data.qpos[columns] + step, lower, upper)
        if np.abs(error).max() < EXACT:
            poses.append(data.qpos[columns].copy())
            places.append((goal[0], goal[1], turn, goal[2]))
    if not poses:
        raise ValueError(f"{env.robot.name} cannot hold its hand down above x {x}, y {y} [m]: give the reset another region")
    return np.array(poses), np.array(places)
