"""Finds the robot of a policy file: the one it was trained with, by name or `robot.yaml`, unless its model has changed since."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from envs.robots.registry import ROBOTS, get_robot
from envs.robots.robot import Robot
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec, RobotSpec
from robolearn.errors import UserError


def robot_of(file: PolicyFile, given: str | Robot | None = None) -> Robot:
    """The robot of a policy file.

    Args:
        file: the policy.
        given: the value of `--robot`: a name or the path of a `robot.yaml`; None for the robot that the file names. A robot that this
            function returned before is taken as it is.

    Returns: The robot; a `given` one with the policy's own gains, default pose and action scale, which are in the file.

    Raises:
        UserError: the robot no longer exists, is another robot, or its model has changed since the policy was trained. For a `given` robot,
            a difference is only a warning, since it was chosen on purpose.
    """
    if isinstance(given, Robot):
        return given
    wanted = file.spec.robot
    robot = get_robot(given) if given else _named(file, wanted)
    if robot.joint_names != wanted.joint_names:
        raise UserError(
            f"{file.path} is for {wanted.name} with the joints {_few(wanted)}; {robot.where} has {', '.join(robot.joint_names)}"
        )
    meant = _driven_by(file, robot) if given else robot
    said = differences(robot, file.spec)
    changed = f"the model of {robot.where} ({robot.model}) is not the one that {file.path} was trained with"
    other = wanted.model_sha256 != "" and meant.fingerprint != wanted.model_sha256
    if not given and other:
        detail = f" (here {said})" if said else ""
        raise UserError(f"{changed}{detail}; restore the original, or accept this one with --robot {robot.source or robot.name}")
    if given and other:
        print(f"warning: {changed}", file=sys.stderr)
    if given and said:
        print(f"warning: {robot.where} has {said}; the values that {file.path} was trained with are used", file=sys.stderr)
    return meant


def differences(robot: Robot, spec: PolicySpec, most: int = 3) -> str:
    """Drive settings of a robot that differ from the policy's training, e.g. `kp of hip 33 (trained with 31)`; empty if none do.

    Args:
        robot: a robot with the policy's joints.
        spec: the policy's contract.
        most: number of differences to list one by one.
    """
    theirs = spec.robot
    lower, upper = robot.spec().position_lower, robot.spec().position_upper
    pairs = (("kp", robot.kp, theirs.kp), ("kd", robot.kd, theirs.kd), ("default angle", robot.default_pose, theirs.default_pose),
             ("lower end", lower, theirs.position_lower), ("upper end", upper, theirs.position_upper))  # fmt: skip
    found = [
        f"{what} of {joint} {ours:.6g} (trained with {trained:.6g})"
        for what, here, there in pairs
        for joint, ours, trained in zip(robot.joint_names, here, there, strict=True)
        if ours != trained
    ]
    more = f" and {len(found) - most} more such" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def _driven_by(file: PolicyFile, robot: Robot) -> Robot:
    """The robot with the gains, default pose and action scale of a policy file."""
    spec = file.spec
    told = zip(robot.joints.items(), spec.robot.kp, spec.robot.kd, spec.robot.default_pose, spec.action.scale, strict=True)
    joints = {
        name: dataclasses.replace(joint, kp=kp, kd=kd, default=default, scale=scale) for (name, joint), kp, kd, default, scale in told
    }
    return robot if joints == robot.joints else dataclasses.replace(robot, joints=joints)


def _named(file: PolicyFile, wanted: RobotSpec) -> Robot:
    source = wanted.source or wanted.name
    if source in ROBOTS or Path(source).is_file():
        return get_robot(source)
    beside = file.path.parent / "robot.yaml"
    if beside.is_file() and get_robot(beside).name == wanted.name:  # the policy was moved together with its robot
        return get_robot(beside)
    if wanted.name in ROBOTS:  # a plugin's robot, whose package is elsewhere on this computer
        return get_robot(wanted.name)
    raise UserError(
        f"{file.path} was trained with robot {wanted.name}, {'of' if '/' in source else 'called'} {source}, which does not exist here; "
        f"give its path: --robot robot.yaml (or one of {', '.join(sorted(ROBOTS))})"
    )


def _few(wanted: RobotSpec) -> str:
    return ", ".join(wanted.joint_names)
