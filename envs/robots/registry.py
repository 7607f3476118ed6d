"""Every robot by name, so that configs, tasks and the command line name one the same way."""

from __future__ import annotations

from difflib import get_close_matches

from envs.robots.g1 import G1
from envs.robots.go1 import GO1
from envs.robots.panda import PANDA
from envs.robots.robot import Robot

ROBOTS: dict[str, Robot] = {robot.name: robot for robot in (GO1, G1, PANDA)}


class UnknownRobotError(KeyError):
    """A robot's name that is not in `ROBOTS`."""

    def __str__(self) -> str:
        return str(self.args[0])


def get_robot(name: str) -> Robot:
    """The robot called `name`.

    Raises:
        UnknownRobotError: there is none; the message lists the names.
    """
    if name not in ROBOTS:
        near = get_close_matches(name, ROBOTS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownRobotError(f"unknown robot {name!r}: the robots are {', '.join(sorted(ROBOTS))}{hint}")
    return ROBOTS[name]
