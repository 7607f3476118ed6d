"""The tasks as Gymnasium environments: `gymnasium.make("robolearn/Go1VelocityFlat-v0")` and `gymnasium.make_vec`.

Both wrap the batched `VecEnv`, one world or many, so a policy trained through Gymnasium sees exactly what robolearn's own trainers see.
Importing this module registers all tasks; after installation Gymnasium finds it by itself (entry point `gymnasium.envs`).
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.gym_ids import register_all
from envs.registry import make_env
from envs.vec_env import Step, VecEnv

Observation = Literal["policy", "privileged"]
FloatArray = np.ndarray[Any, np.dtype[np.float32]]


def observation_space(env: VecEnv, observation: Observation) -> spaces.Box:
    """Bounds of one world's observation: the terms' clips for the policy's, none for the privileged one."""
    if observation == "privileged":
        size = env.observe()[1].shape[1]
        return spaces.Box(-np.inf, np.inf, (size,), np.float32)
    high = np.concatenate([np.full(t.dim, (t.clip + t.noise) * abs(t.scale), np.float32) for t in env.spec.observation])
    return spaces.Box(-high, high, dtype=np.float32)


def action_space(env: VecEnv) -> spaces.Box:
    """Raw actions up to the contract's clip."""
    clip = env.spec.action.clip
    return spaces.Box(-clip, clip, (env.spec.action_dim,), np.float32)


def _seed(env: VecEnv, seed: int | None) -> None:
    if seed is not None:
        env.generator.manual_seed(seed)


def _command(env: VecEnv, options: dict[str, Any] | None) -> None:
    """Apply `options={"command": ...}`: the command of every world until the task draws a new one."""
    if options and "command" in options:
        command = torch.as_tensor(np.asarray(options["command"], np.float32), device=env.device)
        if command.shape[-1] != env.num_commands:
            raise ValueError(f"a command of {env.task_name} has {env.num_commands} numbers, not {command.shape[-1]}")
        env.command = command.expand(env.num_worlds, env.num_commands).clone()
        env.update_state()


class TaskEnv(gymnasium.Env[FloatArray, FloatArray]):
    """One world of a task.

    Args:
        task: its name.
        observation: `policy` (what the robot senses) or `privileged`.
        render_mode: `rgb_array` or None.
        **changes: fields of the task's config, e.g. `engine="precise"`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(self, task: str, observation: Observation = "policy", render_mode: str | None = None, **changes: Any) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be rgb_array or None, not {render_mode!r}")
        self.render_mode = render_mode
        self._which = 0 if observation == "policy" else 1
        self.env = make_env(task, num_worlds=1, **{"num_threads": 1, **changes})
        self.env.reset()
        self.observation_space, self.action_space = observation_space(self.env, observation), action_space(self.env)
        self._renderer: mujoco.Renderer | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[FloatArray, dict[str, Any]]:
        super().reset(seed=seed)
        _seed(self.env, seed)
        observation = self.env.reset()
        if options:
            _command(self.env, options)
            observation = self.env.observe()
        return self._bounded(observation[self._which][0]), {}

    def step(self, action: FloatArray) -> tuple[FloatArray, float, bool, bool, dict[str, Any]]:
        step = self.env.step(torch.as_tensor(np.asarray(action, np.float32), device=self.env.device)[None])
        final = (step.final_policy, step.final_privileged)[self._which]
        terms = {f"reward/{name}": value for name, value in self.env.reward_means().items()}
        return self._bounded(final[0]), float(step.reward[0]), bool(step.terminated[0]), bool(step.truncated[0]), terms

    def _bounded(self, observation: torch.Tensor) -> FloatArray:
        space = self.observation_space
        assert isinstance(space, spaces.Box)
        return np.clip(observation.cpu().numpy(), space.low, space.high)

    def render(self) -> Any:
        if self.render_mode is None:
            return None
        model = self.env.engine.model
        if self._renderer is None:
            self._renderer = mujoco.Renderer(model, 480, 640)
        data = mujoco.MjData(model)
        data.qpos[:] = self.env.engine.qpos[0].cpu().numpy()
        mujoco.mj_forward(model, data)
        options, camera = mujoco.MjvOption(), mujoco.MjvCamera()
        options.geomgroup[3] = 1
        camera.distance, camera.azimuth, camera.elevation = 1.8, 120.0, -20.0
        camera.lookat[:] = data.xpos[model.body(self.env.robot.base_body).id]
        self._renderer.update_scene(data, camera, options)
        return self._renderer.render()

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


class TaskVectorEnv(VectorEnv[FloatArray, FloatArray, FloatArray]):
    """Many worlds of a task, stepped together; ended worlds are reset within the step (SAME_STEP), as Gymnasium defines it.

    Args:
        task: its name.
        num_envs: worlds.
        observation: `policy` or `privileged`.
        **changes: fields of the task's config.
    """

    def __init__(self, task: str, num_envs: int = 1, observation: Observation = "policy", **changes: Any) -> None:
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.num_envs, self.render_mode = num_envs, changes.pop("render_mode", None)
        self._which = 0 if observation == "policy" else 1
        self.env = make_env(task, num_worlds=num_envs, **changes)
        self.env.reset()
        self.single_observation_space, self.single_action_space = observation_space(self.env, observation), action_space(self.env)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None) -> tuple[FloatArray, dict[str, Any]]:
        _seed(self.env, seed[0] if isinstance(seed, list) else seed)
        observation = self.env.reset()
        if options:
            _command(self.env, options)
            observation = self.env.observe()
        return observation[self._which].cpu().numpy().copy(), {}

    def step(self, actions: FloatArray) -> tuple[FloatArray, FloatArray, Any, Any, dict[str, Any]]:
        step = self.env.step(torch.as_tensor(np.asarray(actions, np.float32), device=self.env.device))
        ended = (step.terminated | step.truncated).cpu().numpy()
        infos: dict[str, Any] = {}
        if ended.any():
            final = self.final(step)
            observations = np.full(self.num_envs, None, dtype=object)
            for index in np.flatnonzero(ended):
                observations[index] = final[index]
            infos = {"final_obs": observations, "_final_obs": ended, "final_info": {}, "_final_info": ended}
        observation = (step.policy, step.privileged)[self._which].cpu().numpy().copy()
        return observation, step.reward.cpu().numpy(), step.terminated.cpu().numpy(), step.truncated.cpu().numpy(), infos

    def final(self, step: Step) -> FloatArray:
        """Observations before the reset of ended worlds, (N, O)."""
        return (step.final_policy, step.final_privileged)[self._which].cpu().numpy().copy()


register_all()
