"""The start of an episode: functions of the environment and of world ids (n,) that return qpos (n, nq) and qvel (n, nv)."""

from __future__ import annotations

import torch

from envs.seeds import uniform
from envs.terms.face import Env


def standing(
    env: Env,
    ids: torch.Tensor,
    drop: float = 0.03,
    joint_spread: float = 0.1,
    velocity: float = 0.3,
    angular_velocity: float = 0.3,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A standing robot with a random heading.

    Args:
        env: the environment.
        ids: worlds, (n,).
        drop: largest height from which it is dropped [m].
        joint_spread: largest deviation of a joint from the default pose [rad].
        velocity: largest velocity of the base along each axis [m/s].
        angular_velocity: largest rate of the base about each axis [rad/s].
    """
    n, generator = len(ids), env.generator
    qpos = env.rest.repeat(n, 1)
    qpos[:, 2] += uniform(0.0, drop, (n,), generator)
    yaw = uniform(-torch.pi, torch.pi, (n,), generator)
    qpos[:, 3], qpos[:, 6] = torch.cos(yaw / 2), torch.sin(yaw / 2)
    qpos[:, env.joints.in_qpos] += uniform(-joint_spread, joint_spread, (n, len(env.joints.default)), generator)
    qvel = torch.zeros(n, env.engine.model.nv, device=env.device)
    qvel[:, :3] = uniform(-velocity, velocity, (n, 3), generator)
    qvel[:, 3:6] = uniform(-angular_velocity, angular_velocity, (n, 3), generator)
    return qpos, qvel


def around_default(env: Env, ids: torch.Tensor, joint_spread: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """A robot at rest, with joints near the default pose and within 95 % of their range.

    Args:
        env: the environment.
        ids: worlds, (n,).
        joint_spread: largest deviation of a joint from the default pose [rad].
    """
    n, joints = len(ids), env.joints
    qpos = env.rest.repeat(n, 1)
    pose = joints.default + uniform(-joint_spread, joint_spread, (n, len(joints.default)), env.generator)
    qpos[:, joints.in_qpos] = torch.minimum(torch.maximum(pose, joints.soft_lower), joints.soft_upper)
    return qpos, torch.zeros(n, env.engine.model.nv, device=env.device)
