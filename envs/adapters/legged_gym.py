"""The tasks with the interface of legged_gym's environments, on which the on-policy runners of its users train unchanged.

`LeggedGymEnv` is what legged_gym and unitree_rl_gym hand to their runner: buffers, and a step that returns five things. `RslRlEnv` is the
same for rsl_rl 3 and later, which wants observations in groups.
"""

from __future__ import annotations

from typing import Any

import torch

from envs.adapters.gymnasium import batch_of
from envs.robots.robot import Robot

Five = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, dict[str, Any]]


class LeggedGymEnv:
    """N worlds of a task.

    A world that ends is reset in the same step, as there: the observations after a step are those after the reset. `extras` has
    `time_outs` (N,) bool, for the bootstrap at the end of an episode that was not the task's, `final_obs` and `final_privileged_obs`,
    the observations before the reset, and under `episode` each reward term [1/s] averaged over the worlds that ended.

    Args:
        task: its name.
        robot: the robot, its name, or the path of its `robot.yaml`.
        num_envs: worlds.
        **changes: fields of the task's config.

    Attributes:
        worlds: the batched environment behind it.
        num_envs, num_obs, num_privileged_obs, num_actions: N, and the widths.
        max_episode_length: control steps in an episode.
        dt: control step [s].
        device: of all tensors.
        cfg: the task's config.
        obs_buf, privileged_obs_buf: present observations (N, num_obs), (N, num_privileged_obs).
        rew_buf, reset_buf: of the last step, (N,) and (N,) bool.
        extras: see above.
    """

    def __init__(self, task: str, robot: str | Robot, num_envs: int = 4096, **changes: Any) -> None:
        self.worlds = batch_of(task, robot, num_envs, changes)
        self.cfg, self.device, self.num_envs = self.worlds.cfg, self.worlds.device, num_envs
        self.num_actions = self.worlds.spec.action_dim
        self.max_episode_length, self.dt = self.worlds.max_steps, self.worlds.cfg.control_dt
        self.rew_buf = torch.zeros(num_envs, device=self.device)
        self.reset_buf = torch.ones(num_envs, dtype=torch.bool, device=self.device)
        self.extras: dict[str, Any] = {}
        self.obs_buf, self.privileged_obs_buf = self.worlds.reset()
        self.num_obs, self.num_privileged_obs = self.obs_buf.shape[1], self.privileged_obs_buf.shape[1]
        self._sums = {name: torch.zeros(num_envs, device=self.device) for name in self.worlds.reward_terms}

    @property
    def episode_length_buf(self) -> torch.Tensor:
        """Control steps of each world's episode, (N,); runners set it to spread the ends of the first episodes."""
        return self.worlds.episode_steps

    @episode_length_buf.setter
    def episode_length_buf(self, steps: torch.Tensor) -> None:
        self.worlds.episode_steps.copy_(steps)

    def get_observations(self) -> Any:
        """The present observations, (N, num_obs)."""
        return self.obs_buf

    def get_privileged_observations(self) -> torch.Tensor:
        """The simulator's knowledge for the critic, (N, num_privileged_obs)."""
        return self.privileged_obs_buf

    def reset(self) -> Any:
        """Reset all worlds. Returns both observations."""
        self.obs_buf, self.privileged_obs_buf = self.worlds.reset()
        return self.obs_buf, self.privileged_obs_buf

    def step(self, actions: torch.Tensor) -> Any:
        """Advance a control step.

        Args:
            actions: raw outputs of the network (N, num_actions).

        Returns:
            Observations, privileged observations, rewards, whether worlds were reset, and `extras`.
        """
        return self._step(actions)

    def _step(self, actions: torch.Tensor) -> Five:
        step = self.worlds.step(actions.to(self.device, torch.float32).detach().clone())
        self.obs_buf, self.privileged_obs_buf, self.rew_buf = step.policy, step.privileged, step.reward
        self.reset_buf = step.terminated | step.truncated
        self.extras = {
            "time_outs": step.truncated & ~step.terminated,
            "final_obs": step.final_policy,
            "final_privileged_obs": step.final_privileged,
        }
        for name, value in self.worlds.reward_terms.items():
            total = self._sums.setdefault(name, torch.zeros(self.num_envs, device=self.device))
            total += value * self.dt
            if self.reset_buf.any():
                self.extras.setdefault("episode", {})[f"rew_{name}"] = total[self.reset_buf].mean() / self.worlds.cfg.episode_s
                total[self.reset_buf] = 0.0
        return self.obs_buf, self.privileged_obs_buf, self.rew_buf, self.reset_buf, self.extras


class RslRlEnv(LeggedGymEnv):
    """The same for rsl_rl 3 and later: observations are a TensorDict of the groups `policy` and `privileged`.

    Give the runner `obs_groups = {"actor": ["policy"], "critic": ["privileged"]}`.
    """

    def get_observations(self) -> Any:
        """Both observations as a TensorDict."""
        from tensordict import TensorDict  # pyright: ignore[reportMissingImports]  # comes with rsl_rl

        return TensorDict({"policy": self.obs_buf, "privileged": self.privileged_obs_buf}, batch_size=[self.num_envs])

    def reset(self) -> Any:
        """Reset all worlds. Returns the observations and no extras."""
        super().reset()
        return self.get_observations(), {}

    def step(self, actions: torch.Tensor) -> Any:
        """As in the base class. Returns observations, rewards, whether worlds were reset (as integers), and `extras`."""
        _, _, reward, ended, extras = self._step(actions)
        if "episode" in extras:
            extras["log"] = {f"/{name}": value for name, value in extras.pop("episode").items()}
        return self.get_observations(), reward, ended.long(), extras
