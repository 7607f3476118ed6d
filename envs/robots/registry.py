"""Robots by name, ours and plugins', and by the path of a `robot.yaml`."""

from __future__ import annotations

from pathlib import Path

from envs.robots.errors import RobotError
from envs.robots.g1 import G1
from envs.robots.go1 import GO1
from envs.robots.loading import ROBOT_FILE, load_robot
from envs.robots.panda import PANDA
from envs.robots.panda_gripper import PANDA_GRIPPER
from envs.robots.robot import Robot
from envs.robots.xarm7 import XARM7
from policies.errors import suggestion
from policies.registry import Registry, UnknownNameError


class UnknownRobotError(RobotError, UnknownNameError):
    """A robot's name is not registered, or the path of a file does not exist."""


ROBOTS = Registry("robot", UnknownRobotError, of=Robot)


def register_robot(robot: Robot) -> Robot:
    """Add a robot under its own name.

    Raises:
        ValueError: the name is taken.
    """
    return ROBOTS.register(robot.name, robot)


def get_robot(name: str | Path) -> Robot:
    """A registered robot by its name, or the robot of a `robot.yaml`, by the path of the file or its folder.

    Raises:
        UnknownRobotError: no such robot; the message lists the names.
        RobotError: the file is not a valid robot; lists all faults.
    """
    text = str(name)
    if text in ROBOTS:
        return ROBOTS.get(text)
    path = Path(text).expanduser()
    if path.is_dir() and (path / ROBOT_FILE).is_file():
        return load_robot(path / ROBOT_FILE)
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return load_robot(path)
    names = ", ".join(sorted(ROBOTS))
    if path.suffix.lower() in (".xml", ".urdf", ".mjcf") and path.is_file():
        raise UnknownRobotError(
            f"{text} is a model; make a robot from it: robolearn robot new {text} --out FOLDER, then give FOLDER/{ROBOT_FILE}"
        )
    if path.is_dir():
        raise UnknownRobotError(f"there is no {ROBOT_FILE} in the folder {text}; robolearn robot new MODEL --out {text} writes one")
    if path.suffix in (".yaml", ".yml") or "/" in text:
        raise UnknownRobotError(f"there is no robot at {text}; give the path of a {ROBOT_FILE}, or one of {names}")
    raise UnknownRobotError(
        f"unknown robot {text!r}{suggestion(text, ROBOTS)}; valid: {names}, or the path of a {ROBOT_FILE};"
        " for a robot of a package, install the package or give --import PACKAGE (docs/bring-your-robot.md)"
    )


for _robot in (GO1, G1, PANDA, PANDA_GRIPPER, XARM7):
    register_robot(_robot)
