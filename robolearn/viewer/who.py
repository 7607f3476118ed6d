"""What a viewer shows: a policy file in the worlds of its training, or a model-based controller in those of its task."""

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
"""Command of every controller."""


@dataclass(frozen=True, kw_only=True)
class Controlled:
    """A controller and its robot.

    Attributes:
        kind: the controller.
        robot: the robot that it moves.
    """

    kind: ControllerKind
    robot: Robot

    @property
    def name(self) -> str:
        """Its name as typed."""
        return f"{CONTROLLER}{self.kind.name}"


Who = PolicyFile | Controlled


def controlled(text: str, robot: str | None = None) -> Controlled:
    """The controller of `controller:NAME`.

    Args:
        text: as typed.
        robot: the value of `--robot`; None for the controller's default robot.

    Raises:
        UserError: no controller of that name, or it is not for that robot.
    """
    kind, found = find_controller(text, robot)
    return Controlled(kind=kind, robot=found)


def task_of(who: Who) -> str:
    """The task of a policy or controller."""
    return who.spec.task if isinstance(who, PolicyFile) else who.kind.task


def label_of(who: Who) -> str:
    """The name in reports: the file's path, or `controller:NAME`."""
    return str(who.path) if isinstance(who, PolicyFile) else who.name


def worlds_of(who: Who, robot: str | Robot | None = None) -> tuple[Robot, EnvCfg]:
    """The robot, and the config of the worlds with all disturbances at their full strength.

    Args:
        who: the policy or controller.
        robot: the value of `--robot` for a file, or the robot that `robot_of` returned for it; a controller has its own.

    Raises:
        UserError: the robot does not exist.
    """
    if isinstance(who, PolicyFile):
        found = robot_of(who, robot)
        return found, env_of(who, found)
    found = schema.schema_of(who.kind.task, who.robot)
    return who.robot, loading.loads(found, "{}", "the task's defaults", []).env.at_full_strength()


def actor_of(who: Who, env: VecEnv) -> Actor:
    """The actor for the one world of an environment.

    Raises:
        UserError: the task's contract differs from the file's.
    """
    if isinstance(who, PolicyFile):
        check_contract(who, env)
        return FileActor(who, 1)
    return ControllerActor(who.kind.make)
