"""The tasks as a Stable-Baselines3 `VecEnv`, on which its algorithms train unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv as Sb3Base

from envs.gym import Observation, action_space, observation_space
from envs.registry import make_env

NO_INFO: dict[str, Any] = {}


class Sb3VecEnv(Sb3Base):
    """N worlds of a task.

    `terminal_observation` and `TimeLimit.truncated` are in the infos of ended worlds, as Stable-Baselines3 expects; the infos of all
    others are one shared empty dict, so that a step does not build N of them.

    Args:
        task: its name.
        num_envs: worlds.
        observation: `policy` or `privileged`.
        **changes: fields of the task's config.
    """

    def __init__(self, task: str, num_envs: int = 64, observation: Observation = "policy", **changes: Any) -> None:
        self.env = make_env(task, num_worlds=num_envs, **changes)
        self.env.reset()
        self._which = 0 if observation == "policy" else 1
        self.render_mode = None
        super().__init__(num_envs, observation_space(self.env, observation), action_space(self.env))
        self._actions = torch.zeros(num_envs, self.env.spec.action_dim)
        self._returns, self._lengths = np.zeros(num_envs), np.zeros(num_envs, int)

    def reset(self) -> Any:
        if self._seeds[0] is not None:
            self.env.generator.manual_seed(int(self._seeds[0]))
            self._reset_seeds()
        self._returns[:], self._lengths[:] = 0.0, 0
        return self.env.reset()[self._which].cpu().numpy().copy()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = torch.as_tensor(np.asarray(actions, np.float32), device=self.env.device)

    def step_wait(self) -> Any:
        step = self.env.step(self._actions)
        reward = step.reward.cpu().numpy()
        done = (step.terminated | step.truncated).cpu().numpy()
        self._returns += reward
        self._lengths += 1
        infos: list[dict[str, Any]] = [NO_INFO] * self.num_envs
        if done.any():
            final = (step.final_policy, step.final_privileged)[self._which].cpu().numpy()
            truncated = step.truncated.cpu().numpy()
            for index in np.flatnonzero(done):
                infos[index] = {
                    "terminal_observation": final[index].copy(),
                    "TimeLimit.truncated": bool(truncated[index]),
                    "episode": {"r": float(self._returns[index]), "l": int(self._lengths[index]), "t": 0.0},
                }
            self._returns[done], self._lengths[done] = 0.0, 0
        return (step.policy, step.privileged)[self._which].cpu().numpy().copy(), reward, done, infos

    def close(self) -> None:
        """Nothing to free."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        return [getattr(self, method_name)(*method_args, **method_kwargs)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        return super().seed(seed)
