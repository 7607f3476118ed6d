"""Figures of the present step that people read while a training runs: functions of the environment that give (N,) or ()."""

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
    """Share of the pushes, forces and throws that each world has come to."""
    return env.disturbances.strength


@about(needs="terrain")
def terrain_level(env: Env) -> torch.Tensor:
    """Level of the ground that each world walks on."""
    assert env.places is not None
    return env.places.level.float()


def at_goal(env: Env, distance: float, settled_s: float = 1.0) -> torch.Tensor:
    """Share of the worlds within `distance` of their goal, of those whose goal is held for less than `settled_s` yet.

    Args:
        env: the environment.
        distance: from the tool to the goal at most [m].
        settled_s: only goals that change within this time are looked at [s].
    """
    settled = env.commander.left_s < settled_s  # the goal has been there for a while
    close = (goal_distance(env) < distance) & settled
    return close.sum() / settled.sum().clamp(min=1)
