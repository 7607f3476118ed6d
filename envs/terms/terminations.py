"""Conditions that end an episode: functions of the environment that return (N,) bool."""

from __future__ import annotations

import math

import torch

from envs.terms.about import about
from envs.terms.face import Env


def tilted(env: Env, max_tilt: float = 1.0) -> torch.Tensor:
    """The base is tilted by more than `max_tilt`.

    Args:
        env: the environment.
        max_tilt: largest angle between the base's and the world's vertical [rad].
    """
    return -env.base.gravity_b[:, 2] < math.cos(max_tilt)


def too_low(env: Env, minimum: float) -> torch.Tensor:
    """The base is less than `minimum` above the ground.

    Args:
        env: the environment.
        minimum: least height of the base [m].
    """
    return env.base.height < minimum


def time_up(env: Env) -> torch.Tensor:
    """The episode has lasted for `episode_s`."""
    return env.episode_steps >= env.max_steps


@about(needs="terrain")
def off_the_map(env: Env) -> torch.Tensor:
    """The robot has reached the edge of the ground."""
    assert env.terrain is not None
    return ~env.terrain.inside(env.base.position_w[:, :2])
