"""Rewards, successes and ends of tasks with an object; each returns (N,)."""

from __future__ import annotations

import torch

from envs.terms.face import Env
from envs.terms.objects import gripped, hand_down, object_height, object_position, object_to_goal, object_velocity, tool_to_object


def approach(env: Env, sigma: float = 0.2) -> torch.Tensor:
    """1 - tanh(d / sigma) of the distance d from the tool to the object.

    Args:
        env: the environment.
        sigma: distance at which it has fallen to 0.24 [m].
    """
    return 1.0 - torch.tanh(tool_to_object(env).norm(dim=1) / sigma)


def grasp(env: Env) -> torch.Tensor:
    """One while the gripper holds the object."""
    return gripped(env).float()


def lift(env: Env, height: float) -> torch.Tensor:
    """Height of a held object as a share of what is wanted, at most one, less what it is too high.

    Args:
        env: the environment.
        height: wanted [m].
    """
    share = object_height(env) / height
    return gripped(env) * (1.0 - (1.0 - share).abs()).clamp(min=0.0)


def at_height(env: Env, height: float, sigma: float = 0.05) -> torch.Tensor:
    """exp(-(h - height)^2 / sigma^2) of a held object's height h.

    Args:
        env: the environment.
        height: wanted [m].
        sigma: error at which it has fallen to 1/e [m].
    """
    return gripped(env) * torch.exp(-(object_height(env) - height).square() / sigma**2)


def carry(env: Env, sigma: float = 0.2) -> torch.Tensor:
    """1 - tanh(d / sigma) of the distance d from a held object to its goal.

    Args:
        env: the environment.
        sigma: distance at which it has fallen to 0.24 [m].
    """
    return gripped(env) * (1.0 - torch.tanh(goal_distance(env) / sigma))


def bring(env: Env, sigma: float = 0.2, planar: bool = False) -> torch.Tensor:
    """1 - tanh(d / sigma) of the distance d from the object to its goal, held or not.

    Args:
        env: the environment.
        sigma: distance at which it has fallen to 0.24 [m].
        planar: whether heights do not count.
    """
    return 1.0 - torch.tanh(goal_distance(env, planar) / sigma)


def near_goal(env: Env, sigma: float = 0.05, planar: bool = False) -> torch.Tensor:
    """exp(-d^2 / sigma^2) of the distance d from the object to its goal.

    Args:
        env: the environment.
        sigma: distance at which it has fallen to 1/e [m].
        planar: whether heights do not count.
    """
    return torch.exp(-goal_distance(env, planar).square() / sigma**2)


def hand_tilt(env: Env) -> torch.Tensor:
    """1 - cos of the angle between the hand and straight down."""
    return 1.0 + hand_down(env)[:, 2]


def goal_distance(env: Env, planar: bool = False) -> torch.Tensor:
    """From the object to its goal [m].

    Args:
        env: the environment.
        planar: whether heights do not count.
    """
    return object_to_goal(env)[:, : 2 if planar else 3].norm(dim=1)


def lifted(env: Env, height: float, distance: float = 0.1) -> torch.Tensor:
    """Worlds (N,) bool whose object is within `distance` of the wanted height.

    Args:
        env: the environment.
        height: wanted [m].
        distance: largest error [m].
    """
    return (object_height(env) - height).abs() < distance


def arrived(env: Env, distance: float, planar: bool = False) -> torch.Tensor:
    """Worlds (N,) bool whose object is within `distance` of its goal.

    Args:
        env: the environment.
        distance: largest distance [m].
        planar: whether heights do not count.
    """
    return goal_distance(env, planar) < distance


def object_lost(env: Env, x: tuple[float, float], y: tuple[float, float]) -> torch.Tensor:
    """Worlds (N,) bool whose object has left the region that the arm reaches.

    Args:
        env: the environment.
        x: the region in front of the base [m].
        y: the region to the left of the base [m].
    """
    at = object_position(env)
    return (at[:, 0] < x[0]) | (at[:, 0] > x[1]) | (at[:, 1] < y[0]) | (at[:, 1] > y[1])


def object_speed(env: Env) -> torch.Tensor:
    """Squared speed of the object [m2/s2]."""
    return object_velocity(env).square().sum(1)
