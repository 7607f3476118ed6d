"""The tasks by name. A task is independent of robots: it makes its config for a given one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from envs.env_cfg import EnvCfg
from envs.robots.registry import get_robot
from envs.robots.robot import Robot
from envs.tasks.changes import check_changes
from envs.tasks.evaluation import LASTING, Evaluation
from envs.tasks.move import MOVE_EVALUATION, move
from envs.tasks.open_drawer import DRAWER_EVALUATION, open_drawer
from envs.tasks.pick import PICK_EVALUATION, pick
from envs.tasks.push import PUSH_EVALUATION, push
from envs.tasks.reach import reach
from envs.tasks.reach_evaluation import REACH_EVALUATION
from envs.tasks.velocity import is_biped, velocity_flat, velocity_rough
from envs.tasks.velocity_evaluation import VELOCITY_EVALUATION
from envs.vec_env import VecEnv
from policies.registry import Registry, UnknownNameError


class UnknownTaskError(UnknownNameError):
    """No task of that name."""


def _one_kind(robot: Robot) -> str:
    """One kind for all robots."""
    del robot
    return ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task.

    Attributes:
        name: e.g. `velocity-flat`.
        description: one line.
        make: makes its config for a robot; raises ValueError for a robot that cannot do it.
        evaluation: how its policies are evaluated and shown.
        variant: kind of a robot for this task, if kinds need different settings: the preset `NAME-VARIANT` is read in place of `NAME`.
            Empty for the preset with the task's own name.
    """

    name: str
    description: str
    make: Callable[[Robot], EnvCfg]
    evaluation: Evaluation = LASTING
    variant: Callable[[Robot], str] = _one_kind


TASKS = Registry("task", UnknownTaskError, of=Task)


def register_task(task: Task) -> Task:
    """Add a task under its name.

    Raises:
        ValueError: the name is taken.
    """
    return TASKS.register(task.name, task)


def get_task(name: str) -> Task:
    """A task by name.

    Raises:
        UnknownTaskError: lists the names and the nearest.
    """
    return TASKS.get(name)


def make_env(task: str, robot: str | Robot, cfg: EnvCfg | None = None, **changes: Any) -> VecEnv:
    """Make a task's environment.

    Args:
        task: name of the task.
        robot: the robot, its name, or the path of its `robot.yaml`.
        cfg: config; None for the task's own for that robot.
        changes: fields of the config to replace, e.g. `num_worlds=16`.

    Raises:
        UnknownTaskError: unknown name.
        ValueError: the robot cannot do the task, the config does not fit it, or one of `changes` is not a field of it or has another type.
    """
    check_changes(changes)
    made = robot if isinstance(robot, Robot) else get_robot(robot)
    return VecEnv(dataclasses.replace(cfg or get_task(task).make(made), **changes), made, task)


def _kind(robot: Robot) -> str:
    return "biped" if is_biped(robot) else ""


register_task(
    Task(
        name="velocity-flat",
        description="follow planar velocity and yaw rate commands on flat ground",
        make=velocity_flat,
        evaluation=VELOCITY_EVALUATION,
        variant=_kind,
    )
)
register_task(
    Task(
        name="velocity-rough",
        description="follow velocity commands on rough ground, slopes, steps and planks",
        make=velocity_rough,
        evaluation=VELOCITY_EVALUATION,
        variant=_kind,
    )
)
register_task(Task(name="reach", description="move the tool to goal positions in the workspace", make=reach, evaluation=REACH_EVALUATION))
register_task(Task(name="pick", description="grasp an object and lift it", make=pick, evaluation=PICK_EVALUATION))
register_task(Task(name="move", description="grasp an object and bring it to a place that is shown", make=move, evaluation=MOVE_EVALUATION))
register_task(
    Task(name="push", description="push an object along the floor to a place that is shown", make=push, evaluation=PUSH_EVALUATION)
)
register_task(Task(name="open-drawer", description="open a drawer by its handle", make=open_drawer, evaluation=DRAWER_EVALUATION))
