"""The tasks as a Stable-Baselines3 `VecEnv`, on which its algorithms train unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv as Sb3Base

from envs.adapters.gymnasium import Observation, action_space, batch_of, hold_command, observation_space, which
from envs.robots.robot import Robot

NO_INFO: dict[str, Any] = {}


class Sb3VecEnv(Sb3Base):
    """N worlds of a task.

    `terminal_observation`, `TimeLimit.truncated` and `episode` are in the infos of ended worlds, as Stable-Baselines3 expects them; all
    other worlds share one empty dict, so that a step does not build N of them.

    Args:
        task: its name.
        robot: the robot, its name, or the path of its `robot.yaml`.
        num_envs: worlds.
        observation: `policy` or `privileged`.
        **changes: fields of the task's config.

    Attributes:
        worlds: the batched environment behind it.
    """

    def __init__(self, task: str, robot: str | Robot, num_envs: int = 64, observation: Observation = "policy", **changes: Any) -> None:
        self._which = which(observation)
        self.worlds = batch_of(task, robot, num_envs, changes)
        self.worlds.reset()
        self.render_mode = None
        super().__init__(num_envs, observation_space(self.worlds, observation), action_space(self.worlds))
        self._actions = torch.zeros(num_envs, self.worlds.spec.action_dim)
        self._returns, self._lengths = np.zeros(num_envs), np.zeros(num_envs, int)

    def reset(self) -> Any:
        hold_command(self.worlds, self._shared_options())
        if self._seeds[0] is not None:  # one generator serves all worlds; `seed` derives the others' from the first
            self.worlds.reseed(int(self._seeds[0]))
        self._reset_seeds()
        self._reset_options()
        self._returns[:], self._lengths[:] = 0.0, 0
        return self._array(self.worlds.reset()[self._which])

    def _shared_options(self) -> dict[str, Any] | None:
        """The options that `set_options` gave for each world, combined: see `envs.adapters.gymnasium.hold_command`.

        Raises:
            ValueError: some worlds have a command and others have none.
        """
        if not any(self._options):
            return None
        merged = dict.fromkeys(name for options in self._options for name in options)
        given = [options["command"] for options in self._options if "command" in options]
        if given and len(given) < self.num_envs:
            raise ValueError(f"{len(given)} of {self.num_envs} worlds have a command: give one to all worlds, or to none")
        return merged | ({"command": given} if given else {})

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = torch.from_numpy(np.array(actions, np.float32)).to(self.worlds.device)

    def step_wait(self) -> Any:
        step = self.worlds.step(self._actions)
        reward, truncated = self._array(step.reward), self._array(step.truncated)
        done = self._array(step.terminated) | truncated
        self._returns += reward
        self._lengths += 1
        infos: list[dict[str, Any]] = [NO_INFO] * self.num_envs
        if done.any():
            final = self._array((step.final_policy, step.final_privileged)[self._which])
            for index in np.flatnonzero(done):
                infos[index] = {
                    "terminal_observation": final[index],
                    "TimeLimit.truncated": bool(truncated[index]),
                    "episode": {"r": float(self._returns[index]), "l": int(self._lengths[index]), "t": 0.0},
                }
            self._returns[done], self._lengths[done] = 0.0, 0
        return self._array((step.policy, step.privileged)[self._which]), reward, done, infos

    @staticmethod
    def _array(tensor: torch.Tensor) -> np.ndarray:
        """A copy that later steps do not change."""
        return np.array(tensor.cpu().numpy())

    def close(self) -> None:
        """Nothing to free."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set it for all: the worlds are one object."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call it once, for all: the worlds are one object."""
        return [getattr(self, method_name)(*method_args, **method_kwargs)] * len(list(self._get_indices(indices)))

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))
