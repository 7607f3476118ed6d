"""Joints whose commands go to a topic of their own: a gripper's, beside the arm's. Needs no ROS.

Arms and their grippers mostly have controllers of their own, so one policy's command becomes two messages. Both are standard messages: a
JointTrajectory with names, or a Float64MultiArray in the order of `--gripper-joints`; actions of `control_msgs` are not needed. What the
gripper's driver measures comes in `joint_states`, in the arm's messages or in its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.control.command import JointCommand
from bridge.control.joints import FloatArray, JointError
from bridge.transports.ros2.options import GRIPPER_TOPICS, Ros2Options
from policies.contract.spec import PolicySpec, RobotSpec

VECTORS = ("joint_names", "default_pose", "kp", "kd", "effort_limit", "velocity_limit", "position_lower", "position_upper")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the policy's joints, and where their commands go.

    Attributes:
        robot: these joints alone.
        control_dt: as in `PolicySpec`.
        index: which of the policy's joints they are, (P,).
        names: as the wire calls them, (P,).
        interface: command interface.
        topic: as given; not yet resolved.
        order: the controller's joint order, for interfaces without names.
    """

    robot: RobotSpec
    control_dt: float
    index: NDArray[np.intp]
    names: tuple[str, ...]
    interface: str
    topic: str
    order: tuple[str, ...] | None

    def command(self, command: JointCommand) -> JointCommand:
        """This part of a command."""
        fields = (command.position, command.velocity, command.effort, command.kp, command.kd)
        return JointCommand(*(field[self.index] for field in fields))

    def of(self, values: FloatArray | None) -> FloatArray | None:
        """This part of a vector (J,)."""
        return None if values is None else values[self.index]


def parts_of(spec: PolicySpec, options: Ros2Options, names: Sequence[str]) -> tuple[Part, ...]:
    """Where the commands of a policy's joints go: the gripper's first, if it has a topic of its own, then all others'.

    Args:
        spec: the contract.
        options: interfaces, topics and the gripper's joints.
        names: the policy's joints as the wire calls them, (J,).

    Raises:
        JointError: the gripper's joints are not the policy's, or are all of them.
    """
    check_gripper(names, options.gripper_joints)
    ours = [name in options.gripper_joints for name in names]
    arm = _part(spec, names, np.flatnonzero(~np.array(ours, bool)), options.interface, options.topic, options.joint_order)
    if not any(ours):
        return (arm,)
    topic = options.gripper_topic or GRIPPER_TOPICS[options.gripper_interface]
    gripper = _part(spec, names, np.flatnonzero(ours), options.gripper_interface, topic, options.gripper_joints)
    return (gripper, arm)


def check_gripper(names: Sequence[str], gripper: Sequence[str]) -> None:
    """Raises `JointError` if a gripper's joints are not among the wire's names (J,), are given twice, or leave no others."""
    unknown = [name for name in gripper if name not in names]
    if unknown:
        raise JointError(f"--gripper-joints: {', '.join(unknown)} is no joint of the policy; on the wire they are {', '.join(names)}")
    if len(set(gripper)) != len(gripper):
        raise JointError(f"--gripper-joints names a joint twice: {', '.join(gripper)}")
    if len(gripper) == len(names):
        raise JointError("--gripper-joints has all joints of the policy: leave it out, and give --command-interface and --command-topic")


def _part(spec: PolicySpec, names: Sequence[str], index: NDArray[np.intp], interface: str, topic: str, order: Sequence[str] | None) -> Part:
    some = {name: tuple(getattr(spec.robot, name)[i] for i in index) for name in VECTORS}
    return Part(
        robot=dataclasses.replace(spec.robot, **some),
        control_dt=spec.control_dt,
        index=index,
        names=tuple(names[int(i)] for i in index),
        interface=interface,
        topic=topic,
        order=None if order is None else tuple(order),
    )
