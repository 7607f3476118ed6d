"""Figures of the present step for a training's log: functions of the environment that return (N,) or ()."""

from __future__ import annotations

import torch

from envs.terms.about import about
from envs.terms.face import Env
from envs.terms.rewards import goal_distance


def planar_error(env: Env) -> torch.Tensor:
    """|v_xy - command| in the base frame [m/s]."""
    return (env.base.velocity_b[:, :2] - env.command[:, :2]).norm(dim=1)


def yaw_error(env: Env) -> torch.Tensor:
    """|w_z - command| [rad/s]."""
    return (env.base.angular_velocity_b[:, 2] - env.command[:, 2]).abs()


@about(needs="ramp")
def disturbance_strength(env: Env) -> torch.Tensor:
    """Current share of the full pushes, forces and throws in each world."""
    return env.disturbances.strength


@about(needs="terrain")
def terrain_level(env: Env) -> torch.Tensor:
    """Level of each world's ground."""
    assert env.places is not None
    return env.places.level.float()


def at_goal(env: Env, distance: float, settled_s: float = 1.0) -> torch.Tensor:
    """Share of the worlds within `distance` of their goal, among those whose goal changes within `settled_s`.

    Args:
        env: the environment.
        distance: largest distance from the tool to the goal [m].
        settled_s: only goals that change within this time count [s].
    """
    settled = env.commander.left_s < settled_s  # the goal has been held for a while
    close = (goal_distance(env) < distance) & settled
    return close.sum() / settled.sum().clamp(min=1)
