"""Which robot a policy file is for: the one it was trained with, by name or `robot.yaml`, unless its model has changed since."""

from __future__ import annotations

import sys
from pathlib import Path

from envs.robots.registry import ROBOTS, get_robot
from envs.robots.robot import Robot
from policies.contract.file import PolicyFile
from policies.contract.spec import RobotSpec
from robolearn.errors import UserError


def robot_of(file: PolicyFile, given: str | None = None) -> Robot:
    """The robot of a policy file.

    Args:
        file: the policy.
        given: what `--robot` says: a name or the path of a `robot.yaml`; None for the robot that the file names.

    Raises:
        UserError: it is not there any more, is another robot, or its model has changed since the policy was trained. Where it was
            `given`, a changed model is a warning: who says which robot it is means it.
    """
    wanted = file.spec.robot
    robot = get_robot(given) if given else _named(file, wanted)
    if robot.joint_names != wanted.joint_names:
        raise UserError(
            f"{file.path} is for {wanted.name} with the joints {_few(wanted)}; {robot.where} has {', '.join(robot.joint_names)}"
        )
    if wanted.model_sha256 and robot.fingerprint != wanted.model_sha256:
        changed = f"the model of {robot.where} ({robot.model}) is not the one that {file.path} was trained with"
        if not given:
            raise UserError(f"{changed}; bring that back, or say that you mean this one: --robot {robot.source or robot.name}")
        print(f"warning: {changed}", file=sys.stderr)
    return robot


def _named(file: PolicyFile, wanted: RobotSpec) -> Robot:
    source = wanted.source or wanted.name
    if source in ROBOTS or Path(source).is_file():
        return get_robot(source)
    beside = file.path.parent / "robot.yaml"
    if beside.is_file() and get_robot(beside).name == wanted.name:  # the policy was carried along with its robot
        return get_robot(beside)
    raise UserError(
        f"{file.path} was trained with robot {wanted.name}, {'of' if '/' in source else 'called'} {source}, which is not there;"
        f" say where it is: --robot robot.yaml (or one of {', '.join(sorted(ROBOTS))})"
    )


def _few(wanted: RobotSpec) -> str:
    return ", ".join(wanted.joint_names)
