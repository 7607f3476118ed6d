"""The tasks as Gymnasium environments: `gymnasium.make("envs.adapters.gymnasium:robolearn/Go1VelocityFlat-v0")` and `gymnasium.make_vec`.

Both wrap the batched `VecEnv`, one world or many, so a policy trained through Gymnasium sees exactly what robolearn's own trainers see.
Importing this module registers all tasks; Gymnasium does so itself for a name that begins with `envs.adapters.gymnasium:`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.robots.registry import ROBOTS, get_robot
from envs.robots.robot import Robot
from envs.tasks.registry import TASKS, get_task, make_env
from envs.vec_env import VecEnv

Observation = Literal["policy", "privileged"]
FloatArray = np.ndarray[Any, np.dtype[np.float32]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


def gym_id(task: str, robot: str = "") -> str:
    """Gymnasium's id: `velocity-flat` with `go1` -> `robolearn/Go1VelocityFlat-v0`, for any robot `robolearn/VelocityFlat-v0`."""
    words = re.split(r"[-_ .]+", f"{robot}-{task}")
    return "robolearn/" + "".join(word[:1].upper() + word[1:] for word in words) + "-v0"


def register_all() -> None:
    """Register every task, for your own robot (`robot=`) and for each robot that can do it; it can be called again."""
    for task in TASKS:
        _register(gym_id(task), {"task": task})
        for robot in ROBOTS:
            if gym_id(task, robot) not in gymnasium.registry:
                with contextlib.suppress(ValueError):  # it cannot do the task
                    get_task(task).make(get_robot(robot))
                    _register(gym_id(task, robot), {"task": task, "robot": robot})


def _register(name: str, given: dict[str, str]) -> None:
    if name not in gymnasium.registry:
        gymnasium.register(
            name,
            entry_point="envs.adapters.gymnasium:TaskEnv",
            vector_entry_point="envs.adapters.gymnasium:TaskVectorEnv",
            kwargs=given,
            disable_env_checker=True,  # checks every step, which the tests already cover
        )


def observation_space(env: VecEnv, observation: Observation) -> spaces.Box:
    """Bounds of one world's observation.

    The policy's bounds are the clip ranges of its terms plus the noise. The privileged observation begins with the clean policy
    observation; the rest is unbounded.
    """
    terms, noise = env.spec.terms, env.cfg.randomization.noise * (observation == "policy")
    high = np.concatenate([np.full(term.dim, (term.clip + noise * term.noise) * abs(term.scale)) for term in terms])
    if observation == "privileged":
        high = np.concatenate([high, np.full(env.privileged_extras().shape[1], np.inf)])
    rounded = np.nextafter(high.astype(np.float32), np.float32(np.inf))
    return spaces.Box(-rounded, rounded, dtype=np.float32)


def action_space(env: VecEnv) -> spaces.Box:
    """Raw actions up to the contract's clip; beyond it they would have no more effect."""
    clip = env.spec.action.clip
    return spaces.Box(-clip, clip, (env.spec.action_dim,), np.float32)


def which(observation: str) -> int:
    """Index of an observation in the pairs that `VecEnv` returns.

    Raises:
        ValueError: neither `policy` nor `privileged`.
    """
    valid = get_args(Observation)
    if observation not in valid:
        raise ValueError(f"observation must be one of {', '.join(valid)}, not {observation!r}")
    return valid.index(observation)


def batch_of(task: str, robot: str | Robot, num_worlds: int, changes: dict[str, Any], **defaults: Any) -> VecEnv:
    """The batched environment of an adapter.

    Args:
        task: its name.
        robot: the robot, its name, or the path of its `robot.yaml`.
        num_worlds: number of the adapter's worlds.
        changes: fields of the task's config.
        **defaults: values of fields that `changes` does not name.

    Raises:
        ValueError: `changes` sets the number of worlds, which the adapter decides.
    """
    if "num_worlds" in changes:
        raise ValueError(f"the number of worlds is the number of environments, here {num_worlds}; leave num_worlds out")
    return make_env(task, robot, **{"seed": random_seed(), **defaults, **changes}, num_worlds=num_worlds)


def random_seed() -> int:
    """A random seed, as Gymnasium requires if none is given."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))


def hold_command(env: VecEnv, options: dict[str, Any] | None) -> None:
    """Apply `options={"command": ...}`: every world keeps that command until `reset` is called again. Without it, the task draws commands.

    Raises:
        ValueError: another option, or a command that does not fit the task.
    """
    if not options:
        if bool(env.commander.left_s.isinf().any()):  # release the command of an earlier reset
            env.release_command()
        return
    if unknown := set(options) - {"command"}:
        raise ValueError(f"unknown reset option {', '.join(sorted(unknown))}; valid: command")
    given = np.asarray(options["command"], np.float32)
    labels = env.spec.command.labels
    if given.shape not in ((len(labels),), (env.num_worlds, len(labels))) or not np.isfinite(given).all():
        raise ValueError(f"a command of {env.task_name} is {len(labels)} finite numbers ({', '.join(labels)}), not {given.tolist()}")
    env.hold_command(torch.as_tensor(given, device=env.device))


class TaskEnv(gymnasium.Env[Any, Any]):
    """One world of a task.

    `info["reward_terms"]` has the weighted terms of the reward, per second.

    Args:
        task: its name.
        robot: the robot, its name, or the path of its `robot.yaml`.
        observation: `policy` (what the robot senses) or `privileged`.
        render_mode: `rgb_array` or None.
        **changes: fields of the task's config, e.g. `engine="precise"`.

    Attributes:
        worlds: the batched environment behind it, with one world.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self, task: str, robot: str | Robot, observation: Observation = "policy", render_mode: str | None = None, **changes: Any
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be rgb_array or None, not {render_mode!r}")
        self.render_mode = render_mode
        self._which = which(observation)
        self.worlds = batch_of(task, robot, 1, changes, num_threads=1)
        self.worlds.reset()
        self.metadata = {**self.metadata, "render_fps": round(1 / self.worlds.cfg.control_dt)}
        self.observation_space, self.action_space = observation_space(self.worlds, observation), action_space(self.worlds)
        self._renderer: mujoco.Renderer | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[FloatArray, dict[str, Any]]:
        """Start an episode. `options={"command": ...}` keeps one command for its whole length."""
        super().reset(seed=seed)
        hold_command(self.worlds, options)
        if seed is not None:
            self.worlds.reseed(seed)
        return _array(self.worlds.reset()[self._which][0]), {}

    def step(self, action: FloatArray) -> tuple[FloatArray, float, bool, bool, dict[str, Any]]:
        """Advance one control step with a raw action (J,)."""
        step = self.worlds.step(torch.from_numpy(np.array(action, np.float32)).to(self.worlds.device)[None])
        observation = (step.final_policy, step.final_privileged)[self._which]
        terms = self.worlds.reward_terms
        values = torch.cat([value.reshape(1) for value in terms.values()]).tolist()
        info = {"reward_terms": dict(zip(terms, values, strict=True))}
        return _array(observation[0]), float(step.reward[0]), bool(step.terminated[0]), bool(step.truncated[0]), info

    def render(self) -> Any:
        """The scene, (480, 640, 3) uint8; after the end of an episode, the start of the next."""
        if self.render_mode is None:
            return None
        model = self.worlds.engine.model
        renderer = self._renderer = self._renderer or mujoco.Renderer(model, 480, 640)
        data = mujoco.MjData(model)
        data.qpos[:] = self.worlds.engine.qpos[0].cpu().numpy()
        mujoco.mj_forward(model, data)
        options, camera = mujoco.MjvOption(), mujoco.MjvCamera()
        options.geomgroup[3] = 1
        camera.distance, camera.azimuth, camera.elevation = 1.8, 120.0, -20.0
        camera.lookat[:] = data.xpos[model.body(self.worlds.robot.base).id]
        renderer.update_scene(data, camera, options)
        return renderer.render()

    def close(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


class TaskVectorEnv(VectorEnv[Any, Any, Any]):
    """Many worlds of a task, stepped together; ended worlds are reset within the step (SAME_STEP), as Gymnasium defines it.

    `infos` are those that Gymnasium's `SyncVectorEnv` would give: `final_obs` and `final_info` of ended worlds, `reward_terms`, each with a
    mask of its worlds.

    Args:
        task: its name.
        robot: the robot, its name, or the path of its `robot.yaml`.
        num_envs: worlds.
        observation: `policy` or `privileged`.
        render_mode: None; only single worlds render.
        **changes: fields of the task's config.

    Attributes:
        worlds: the batched environment behind it.
    """

    def __init__(
        self,
        task: str,
        robot: str | Robot,
        num_envs: int = 1,
        observation: Observation = "policy",
        render_mode: None = None,
        **changes: Any,
    ) -> None:
        if render_mode is not None:
            raise ValueError("only a single world can render; make one with gymnasium.make")
        self._which = which(observation)
        self.num_envs = num_envs
        self.worlds = batch_of(task, robot, num_envs, changes)
        self.worlds.reset()
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_fps": round(1 / self.worlds.cfg.control_dt)}
        self.single_observation_space, self.single_action_space = observation_space(self.worlds, observation), action_space(self.worlds)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Reset all worlds. `options={"command": ...}`, one for all (C,) or one for each (N, C), is kept until the next reset."""
        if isinstance(seed, Sequence):
            if len(seed) != self.num_envs:
                raise ValueError(f"{len(seed)} seeds for {self.num_envs} worlds")
            known = [value for value in seed if value is not None]
            # one generator serves all worlds, so all seeds are combined into its seed
            seed = int(np.random.SeedSequence(known).generate_state(1, np.uint64)[0] >> np.uint64(1)) if known else None
        hold_command(self.worlds, options)
        if seed is not None:
            self._np_random_seed = int(seed)
            self.worlds.reseed(int(seed))
        return _array(self.worlds.reset()[self._which]), {}

    def step(self, actions: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Advance all worlds one control step with raw actions (N, J)."""
        step = self.worlds.step(torch.from_numpy(np.array(actions, np.float32)).to(self.worlds.device))
        terminated, truncated = _array(step.terminated), _array(step.truncated)
        ended = terminated | truncated
        infos = self._info(~ended)
        if ended.any():
            final = _array((step.final_policy, step.final_privileged)[self._which])
            final_obs = np.full(self.num_envs, None, dtype=object)
            for index in np.flatnonzero(ended):
                final_obs[index] = final[index]
            infos |= {"final_obs": final_obs, "_final_obs": ended, "final_info": self._info(ended), "_final_info": ended.copy()}
        return _array((step.policy, step.privileged)[self._which]), _array(step.reward), terminated, truncated, infos

    def _info(self, mask: BoolArray) -> dict[str, Any]:
        """The reward terms of the worlds of a mask, in Gymnasium's form."""
        if not mask.any():
            return {}
        terms: dict[str, Any] = {}
        for name, value in self.worlds.reward_terms.items():
            terms[name], terms[f"_{name}"] = np.where(mask, value.cpu().numpy(), 0.0).astype(np.float64), mask.copy()
        return {"reward_terms": terms, "_reward_terms": mask.copy()}


def _array(tensor: torch.Tensor) -> Any:
    """A numpy copy that later steps do not change."""
    return np.array(tensor.cpu().numpy())


register_all()
