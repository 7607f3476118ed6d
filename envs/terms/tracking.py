"""How well a velocity command is followed, in a module for both rewards and curricula, so that neither depends on the other."""

from __future__ import annotations

import torch

from envs.terms.face import Env


def tracked(env: Env, sigma: float) -> torch.Tensor:
    """exp(-|v_xy - command|^2 / sigma^2), sigma in [m/s], (N,)."""

    def compute() -> torch.Tensor:
        error2 = (env.base.velocity_b[:, :2] - env.command[:, :2]).square().sum(1)
        return torch.exp(-error2 / sigma**2)

    return env.once(("tracked", sigma), compute)


class FollowsVelocity:
    """An episode is a success if the robot did not fall and followed its commands: the mean of `tracked` is above `share`."""

    def __init__(self, env: Env, sigma: float = 0.5, share: float = 0.6) -> None:
        """A robot that only stands gets 0.35 of commands within 1 m/s at a sigma of 0.5 m/s.

        Args:
            env: the environment.
            sigma: error at which `tracked` has fallen to 1/e [m/s].
            share: mean of `tracked` above which an episode is a success.
        """
        self._sigma, self._share, self._step = sigma, share, env.cfg.control_dt
        self._tracked_s, self._seen_s = env.buffer("follows_velocity.tracked_s"), env.buffer("follows_velocity.seen_s")
        self._fell = env.buffer("follows_velocity.fell", dtype=torch.bool)

    def update(self, env: Env) -> None:
        """Called once per step."""
        self._tracked_s += self._step * tracked(env, self._sigma)
        self._seen_s += self._step
        self._fell.copy_(env.terminated)

    def reset(self, ids: torch.Tensor) -> None:
        """New episodes begin in the worlds `ids`."""
        self._tracked_s[ids], self._seen_s[ids] = 0.0, 0.0

    def __call__(self, env: Env) -> torch.Tensor:
        return ~self._fell & (self._tracked_s > self._share * self._seen_s)


def lasted(env: Env) -> torch.Tensor:
    """Episodes that lasted until their time was up, (N,) bool."""
    return env.episode_steps >= env.max_steps
