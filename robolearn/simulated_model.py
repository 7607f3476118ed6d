"""The MJCF that a simulated robot is made of: the bridge knows no robots, so whoever starts one hands it a model."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import mujoco

from envs.robots.describe.reading import Reading, read
from envs.robots.robot import Robot
from policies.contract.file import PolicyFile
from policies.contract.spec import RobotSpec
from policies.files import write_text
from robolearn.errors import UsageError
from robolearn.policy_robot import robot_of


def simulated_model(file: PolicyFile, robot: str | Robot | None, model: Path | None, folder: Path) -> Path:
    """The model to simulate for a policy, as an MJCF file.

    Args:
        file: the policy.
        robot: what `--robot` says, a name or `robot.yaml`, or the robot that `robot_of` made of it; None for the policy's own.
        model: what `--mjcf` says, an MJCF or URDF of that robot; None for the model of the robot.
        folder: where a model is written that has to be made.

    Raises:
        UserError: there is none, or it is not the policy's robot.
    """
    if model is not None:
        check_one(robot)
        return converted(model, file.spec.robot, folder) if _is_urdf(model) else model
    who = robot_of(file, robot)
    if who.source is None and who.model.suffix == ".xml" and who.model.parent.name == who.name:  # ours, as it lies there
        return who.model
    return write_scene(who, folder / f"{who.name}.xml")


def check_one(robot: str | Robot | None) -> None:
    """Raises `UsageError` where a robot is given beside a model."""
    if robot is not None:
        raise UsageError("--robot names a robot with its model, --mjcf a model alone: give one of them")


def write_scene(robot: Robot, path: Path) -> Path:
    """Write the scene that tasks train in as one MJCF file; meshes stay where they are.

    Raises:
        RobotError: the robot's model is not what its constants say.
        WriteError: the file cannot be written.
    """
    scene = robot.scene()
    scene.compile()
    write_text(path, scene.to_xml())
    return path


def converted(model: Path, spec: RobotSpec, folder: Path) -> Path:
    """A URDF as MJCF, its base free where the policy's robot has a free one.

    Raises:
        RobotError: it cannot be read; lists all that is in the way.
    """
    scene = based(read(model), spec)
    scene.compile()
    path = folder / f"{model.stem}.xml"
    write_text(path, scene.to_xml())
    return path


def based(reading: Reading, spec: RobotSpec) -> mujoco.MjSpec:
    """A model that was read, its base free where the policy's robot has a free one and the format has no word for that."""
    scene = reading.spec.copy()
    if reading.format == "URDF" and spec.floating_base and not reading.free:
        next(body for body in scene.bodies if body.name == reading.root).add_freejoint(name="base")
    return scene


def _is_urdf(model: Path) -> bool:
    """By its root element where its name does not say it."""
    if not model.is_file():
        return False
    if model.suffix.lower() == ".urdf":
        return True
    try:
        return next(ET.iterparse(model, events=("start",)))[1].tag == "robot"
    except (ET.ParseError, StopIteration):
        return False  # whoever reads it as MJCF says what is wrong
