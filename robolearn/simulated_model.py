"""Provides the MJCF of a simulated robot: the bridge knows no robots, so it must be given a model."""

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
        robot: the value of `--robot`, a name or `robot.yaml`, or the robot that `robot_of` returned for it; None for the policy's own.
        model: the value of `--mjcf`, an MJCF or URDF of that robot; None for the robot's own model.
        folder: where a generated model is written.

    Raises:
        UserError: there is no model, or it is not of the policy's robot.
    """
    if model is not None:
        check_one(robot)
        return converted(model, file.spec.robot, folder) if _is_urdf(model) else model
    who = robot_of(file, robot)
    if who.source is None and who.model.suffix == ".xml" and who.model.parent.name == who.name:  # our own file, unchanged
        return who.model
    return write_scene(who, folder / f"{who.name}.xml")


def check_one(robot: str | Robot | None) -> None:
    """Raises `UsageError` if both a robot and a model are given."""
    if robot is not None:
        raise UsageError("--robot names a robot with its model, --mjcf only a model: give one of them")


def write_scene(robot: Robot, path: Path) -> Path:
    """Write the scene that tasks train in as one MJCF file; meshes stay where they are.

    Raises:
        RobotError: the robot's model does not match its constants.
        WriteError: the file cannot be written.
    """
    scene = robot.scene()
    scene.compile()
    write_text(path, scene.to_xml())
    return path


def converted(model: Path, spec: RobotSpec, folder: Path) -> Path:
    """A URDF as MJCF, with a free base if the policy's robot has one.

    Raises:
        RobotError: it cannot be read; lists all reasons.
    """
    scene = based(read(model), spec)
    scene.compile()
    path = folder / f"{model.stem}.xml"
    write_text(path, scene.to_xml())
    return path


def based(reading: Reading, spec: RobotSpec) -> mujoco.MjSpec:
    """A model that was read, with a free base if the policy's robot has one and the format cannot express it."""
    scene = reading.spec.copy()
    if reading.format == "URDF" and spec.floating_base and not reading.free:
        next(body for body in scene.bodies if body.name == reading.root).add_freejoint(name="base")
    return scene


def _is_urdf(model: Path) -> bool:
    """Judged by its root element if its name does not tell."""
    if not model.is_file():
        return False
    if model.suffix.lower() == ".urdf":
        return True
    try:
        return next(ET.iterparse(model, events=("start",)))[1].tag == "robot"
    except (ET.ParseError, StopIteration):
        return False  # reading it as MJCF reports what is wrong
