"""The tasks by name, with their default configs."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from envs.robots.registry import get_robot
from envs.scene.terrain import TerrainCfg
from envs.tasks.humanoid import humanoid_cfg
from envs.tasks.reach import ReachCfg, ReachEnv
from envs.tasks.velocity import VelocityCfg, VelocityEnv, rough_randomization
from envs.vec_env import EnvCfg, VecEnv


class UnknownTaskError(ValueError):
    """No task of that name."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task: what it is made of.

    Attributes:
        name: e.g. `go1-velocity-flat`.
        description: one line.
        robot: name of the robot.
        cfg: default config.
        env: class of the environment.
    """

    name: str
    description: str
    robot: str
    cfg: EnvCfg
    env: Callable[..., VecEnv]


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="go1-velocity-flat",
            description="Unitree Go1 follows planar velocity and yaw rate commands on flat ground",
            robot="go1",
            cfg=VelocityCfg(),
            env=VelocityEnv,
        ),
        Task(
            name="g1-velocity-flat",
            description="Unitree G1 follows planar velocity and yaw rate commands on flat ground, arms free",
            robot="g1",
            cfg=humanoid_cfg(),
            env=VelocityEnv,
        ),
        Task(
            name="go1-velocity-rough",
            description="Unitree Go1 follows velocity commands on rough ground, slopes, steps and planks",
            robot="go1",
            cfg=VelocityCfg(terrain=TerrainCfg(), randomization=rough_randomization()),
            env=VelocityEnv,
        ),
        Task(
            name="g1-velocity-rough",
            description="Unitree G1 follows velocity commands on rough ground, slopes, steps and planks, arms free",
            robot="g1",
            cfg=dataclasses.replace(humanoid_cfg(), terrain=TerrainCfg()),
            env=VelocityEnv,
        ),
        Task(
            name="panda-reach",
            description="Franka Panda brings its hand to goal positions in the workspace",
            robot="panda",
            cfg=ReachCfg(),
            env=ReachEnv,
        ),
    )
}


def get_task(name: str) -> Task:
    """A task by name.

    Raises:
        UnknownTaskError: lists the names and the nearest.
    """
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UnknownTaskError(f"unknown task {name!r}{hint}; valid: {', '.join(TASKS)}")
    return TASKS[name]


def make_env(name: str, cfg: EnvCfg | None = None, **changes: Any) -> VecEnv:
    """Make a task's environment.

    Args:
        name: of the task.
        cfg: config of the task's class; its default where None.
        changes: fields of the config to replace, e.g. `num_worlds=16`.

    Raises:
        UnknownTaskError: unknown name.
    """
    task = get_task(name)
    return task.env(dataclasses.replace(cfg or task.cfg, **changes), get_robot(task.robot), task.name)
