"""Who is shown: a policy file in the worlds of its training, or a model-based controller in those of its task."""

from __future__ import annotations

from dataclasses import dataclass

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from robolearn.config import loading, schema
from robolearn.controllers.actor import ControllerActor
from robolearn.controllers.registry import ControllerKind, find_controller
from robolearn.evaluation.actors import Actor, FileActor
from robolearn.evaluation.contract import check_contract
from robolearn.evaluation.worlds import env_of
from robolearn.policy_path import CONTROLLER
from robolearn.policy_robot import robot_of

VELOCITY = ("vx", "vy", "yaw_rate")
"""What every controller is asked for."""


@dataclass(frozen=True, kw_only=True)
class Controlled:
    """A controller and its robot.

    Attributes:
        kind: the controller.
        robot: whom it moves.
    """

    kind: ControllerKind
    robot: Robot

    @property
    def name(self) -> str:
        """As it is typed."""
        return f"{CONTROLLER}{self.kind.name}"


Who = PolicyFile | Controlled


def controlled(text: str, robot: str | None = None) -> Controlled:
    """The controller that `controller:NAME` means.

    Args:
        text: as typed.
        robot: what `--robot` says; None for the one that the controller is for.

    Raises:
        UserError: there is none of that name, or it is not for that robot.
    """
    kind, found = find_controller(text, robot)
    return Controlled(kind=kind, robot=found)


def task_of(who: Who) -> str:
    """The task that somebody does."""
    return who.spec.task if isinstance(who, PolicyFile) else who.kind.task


def label_of(who: Who) -> str:
    """What a report calls somebody: the file's path, or what is typed for a controller."""
    return str(who.path) if isinstance(who, PolicyFile) else who.name


def worlds_of(who: Who, robot: str | Robot | None = None) -> tuple[Robot, EnvCfg]:
    """Whose worlds they are, and how they are with all disturbances at their full strength.

    Args:
        who: who is shown.
        robot: what `--robot` says of a file's robot, or the one that `robot_of` made of it; a controller has its own.

    Raises:
        UserError: the robot is not there.
    """
    if isinstance(who, PolicyFile):
        found = robot_of(who, robot)
        return found, env_of(who, found)
    found = schema.schema_of(who.kind.task, who.robot)
    return who.robot, loading.loads(found, "{}", "the task's defaults", []).env.at_full_strength()


def actor_of(who: Who, env: VecEnv) -> Actor:
    """Who acts in the one world of an environment.

    Raises:
        UserError: the task here has another contract than the file.
    """
    if isinstance(who, PolicyFile):
        check_contract(who, env)
        return FileActor(who, 1)
    return ControllerActor(who.kind.make)
