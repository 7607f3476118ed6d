"""The controllers by name: `evaluate`, `collect` and `play` take `controller:NAME` in place of a policy file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envs.robots.registry import get_robot
from envs.robots.robot import Robot
from policies.registry import Registry, UnknownNameError
from robolearn.controllers.actor import Make
from robolearn.controllers.trot import Trot
from robolearn.controllers.trot import fits as trots
from robolearn.controllers.walk import Walk
from robolearn.controllers.walk import fits as walks
from robolearn.errors import UserError
from robolearn.policy_path import CONTROLLER


class UnknownControllerError(UserError, UnknownNameError):
    """No controller of that name."""


@dataclass(frozen=True, kw_only=True)
class ControllerKind:
    """A controller.

    Attributes:
        name: e.g. `trot`.
        description: one line.
        make: makes one for a world.
        fits: why a robot cannot use it; None if it can.
        robot: name of its default robot.
        task: the task in which it is evaluated; its commands are vx, vy and yaw rate.
    """

    name: str
    description: str
    make: Make
    fits: Callable[[Robot], str | None]
    robot: str
    task: str = "velocity-flat"


CONTROLLERS = Registry("controller", UnknownControllerError, of=ControllerKind)


def register_controller(kind: ControllerKind) -> ControllerKind:
    """Add a controller under its name.

    Raises:
        policies.plugins.PluginError: the name is taken.
    """
    return CONTROLLERS.register(kind.name, kind)


def find_controller(text: str, robot: str | None = None) -> tuple[ControllerKind, Robot]:
    """The controller that `controller:NAME` means, and its robot.

    Args:
        text: as typed.
        robot: the value of `--robot`; None for the controller's default robot.

    Raises:
        UserError: no controller of that name, or it is not for that robot.
    """
    kind = CONTROLLERS.get(text.removeprefix(CONTROLLER))
    who = get_robot(robot or kind.robot)
    if (why := kind.fits(who)) is not None:
        others = ", ".join(f"{CONTROLLER}{name}" for name in CONTROLLERS if CONTROLLERS.get(name).fits(who) is None)
        raise UserError(f"{why}; for {who.name} there is: {others or 'none'}")
    return kind, who


register_controller(ControllerKind(name="trot", description="a trot on four feet, by inverse dynamics", make=Trot, fits=trots, robot="go1"))
register_controller(ControllerKind(name="walk", description="a walk on two feet, by capture points", make=Walk, fits=walks, robot="g1"))
