"""A policy node on the ROS graph: its command interfaces, its options, and the joint names of the wire. Needs no ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.control.joints import JointError
from bridge.fields import option


class Ros2OptionError(ValueError):
    """An option or parameter of the ROS 2 transport that contradicts the policy file, or another one."""


COMMAND_TOPICS = {
    "impedance": "impedance_command",
    "trajectory": "joint_trajectory_controller/joint_trajectory",
    "forward": "forward_position_controller/commands",
    "forward_velocity": "forward_velocity_controller/commands",
    "forward_effort": "forward_effort_controller/commands",
}
"""Each command interface and its default topic."""
OPERATOR_TOPICS = {"velocity": "cmd_vel", "goal_position": "goal", "goal_pose": "goal_pose", "motion": "motion"}
"""Each kind of an operator's command that a topic brings, and that topic."""
INTERFACES = tuple(COMMAND_TOPICS)
GRIPPER_TOPICS = {"trajectory": "gripper_controller/joint_trajectory", "forward": "gripper_controller/commands"}
"""Each command interface of a gripper with a topic of its own, and that topic."""
UNNAMED = frozenset({"forward", "forward_velocity", "forward_effort"})
"""Interfaces whose messages carry no joint names, so that the controller's order must be given."""
OWN_GAINS = frozenset({"trajectory", "forward", "forward_velocity"})
"""Interfaces on which a controller of the robot's closes the loop, with gains that no command tells."""
WARNINGS = {
    "forward_velocity": "the controller holds the last velocity when commands stop: if this program dies while a joint moves, it keeps "
    "moving. Use it only where the driver stops the robot when commands stop",
    "forward_effort": "torques are computed here, at the rate of joint_states and never faster. Stiff gains need 500 Hz or more (arms take "
    "1 kHz) or they oscillate, and the controller holds the last torque when this program dies. Prefer impedance or trajectory",
}
"""Notes on interfaces, to read before choosing one."""


@dataclass(frozen=True, kw_only=True)
class Ros2Options:
    """How a policy node looks on the graph.

    Attributes:
        interface: command interface, one of `INTERFACES`.
        command_topic: where commands go; None for the interface's default in `COMMAND_TOPICS`.
        joint_order: the controller's joint order in the wire's names, for the interfaces in `UNNAMED`.
        joint_names: `policy=wire` pairs, for joints that the robot calls otherwise.
        joint_prefix: `[policy's prefix=]wire's prefix`, for all joints at once; None to keep the names.
        extra_joints: joints on the wire that are not the policy's, for example a gripper.
        base_frame: frame of goals; others are refused.
        imu_rotation: roll, pitch and yaw of the IMU in the base [rad]; None where the frame of its messages has to tell.
        urdf: the robot's URDF, for the same; None for the topic `robot_description`.
        managed: whether a lifecycle manager configures and activates the node; otherwise it does so itself.
        silent_nodes: full names of nodes that have a publisher for a sensor's topic but are known to send nothing, for example a driver on
            standby.
        discovery: ROS 2 discovery range; None for LOCALHOST, or the environment's setting.
        gripper_joints, gripper_interface, gripper_topic: see `bridge.transports.ros2.gripper`.
        camera_topics: `NAME=TOPIC` of the policy's cameras, see `bridge.transports.ros2.camera_topics`.
        camera_compressed: whether pictures come as CompressedImage where no topic is given.
        lens_tolerance: see `bridge.cameras.lens.TOLERANCE`.
        clock_timeout_s: how long `/clock` may stand still before simulated time is considered stopped [s of wall time].
        ros_args: arguments after `--ros-args` (remappings, namespace, node name, parameters).
    """

    interface: str = option("impedance", "command interface of the robot (docs/ros2.md)", flag="--command-interface", choices=INTERFACES)
    command_topic: str | None = option(None, "topic of commands (default: the interface's own topic)", metavar="TOPIC")
    joint_order: tuple[str, ...] | None = option(None, "the controller's joint order, for the forward interfaces", metavar="JOINT")
    joint_names: tuple[str, ...] = option((), "joints whose names differ between robot and policy file", metavar="POLICY=WIRE")
    joint_prefix: str | None = option(None, "prefix of every joint's name, or a replacement of one: panda_=fr3_", metavar="[OLD=]NEW")
    extra_joints: tuple[str, ...] = option((), "joints on the wire that are not the policy's, e.g. a gripper", metavar="JOINT")
    base_frame: str = option("base", "frame of goals (default: base)", metavar="FRAME")
    imu_rotation: tuple[str, ...] | None = option(
        None, "roll, pitch and yaw of the IMU in the base [rad], if it is mounted rotated (0 0 0: its axes are the base's)", metavar="RAD"
    )
    urdf: Path | None = option(
        None, "the robot's URDF, which says how the IMU's frame is mounted (default: the topic robot_description)", metavar="FILE"
    )
    managed: bool = option(False, "wait for a ROS 2 lifecycle manager to configure and activate the node")
    silent_nodes: tuple[str, ...] = option((), "nodes that advertise a sensor's topic but are known to send nothing", metavar="NODE")
    discovery: str | None = option(
        None, "ROS 2 discovery range (default LOCALHOST, or the environment's setting)", choices=("LOCALHOST", "SUBNET")
    )
    gripper_joints: tuple[str, ...] = option(
        (), "joints, by the wire's names, whose commands go to a topic of their own (forward: in the controller's order)", metavar="JOINT"
    )
    gripper_interface: str = option("trajectory", "command interface of these joints (default: trajectory)", choices=tuple(GRIPPER_TOPICS))
    gripper_topic: str | None = option(None, "topic of their commands (default: gripper_controller/...)", metavar="TOPIC")
    camera_topics: tuple[str, ...] = option(
        (),
        "topics of pictures, by camera (default: CAMERA/image_raw; one that ends in /compressed is CompressedImage)",
        metavar="CAMERA=TOPIC",
    )
    camera_compressed: bool = option(False, "read CAMERA/image_raw/compressed where no other topic is given")
    lens_tolerance: float = option(
        0.05, "largest difference of a lens (camera_info) from the one in training, as a share (default: 0.05)", metavar="X"
    )
    clock_timeout_s: float = 0.5
    ros_args: tuple[str, ...] = ()

    @property
    def topic(self) -> str:
        """Where commands go."""
        return self.command_topic or COMMAND_TOPICS[self.interface]


def wire_names(policy_names: Sequence[str], pairs: Sequence[str] = (), prefix: str | None = None) -> tuple[str, ...]:
    """The name on the wire of each policy joint.

    Args:
        policy_names: J names in policy order.
        pairs: `policy=wire`, one a joint that is called otherwise; the rest keep their names.
        prefix: `wire's` to put a prefix before every name, `policy's=wire's` to replace one that every name has. `panda_=fr3_` makes
            `panda_joint1` `fr3_joint1`, `panda_=` makes it `joint1`.

    Returns:
        J names in policy order.

    Raises:
        JointError: both ways at once, an unknown or repeated policy joint, a name that lacks the prefix, or two joints of one name.
    """
    if pairs and prefix is not None:
        raise JointError("give the joints' names by --joint-names or by --joint-prefix, not by both")
    if prefix is not None:
        before, replaces, after = prefix.rpartition("=")
        without = [name for name in policy_names if not name.startswith(before)]
        if without:
            raise JointError(f"--joint-prefix {prefix}: {without} do not begin with {before!r}; the policy's joints: {list(policy_names)}")
        names = tuple(after + name[len(before) if replaces else 0 :] for name in policy_names)
    else:
        names = _renamed(policy_names, pairs)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        raise JointError(
            f"two of the policy's joints would be {twice or ['nothing']} on the wire: {list(names)}; each needs a name of its own"
        )
    return names


def check_names(names: Sequence[str], interface: str) -> None:
    """Refuse joint names that an interface's messages cannot carry.

    Raises:
        JointError: a comma in a name, where commas stand between names.
    """
    torn = [name for name in names if "," in name]
    if interface == "impedance" and torn:
        mend = "call them otherwise on the wire (--joint-names), or take --command-interface trajectory"
        raise JointError(f"the impedance interface puts commas between joint names, and {', '.join(map(repr, torn))} have some: {mend}")


def _renamed(policy_names: Sequence[str], pairs: Sequence[str]) -> tuple[str, ...]:
    table: dict[str, str] = {}
    for pair in pairs:
        policy, _, wire = pair.partition("=")
        if not policy or not wire or "=" in wire:
            raise JointError(f"--joint-names needs POLICY=WIRE, not {pair!r}")
        if policy not in policy_names:
            raise JointError(f"--joint-names: {policy!r} is no joint of the policy; they are {list(policy_names)}")
        if policy in table:
            raise JointError(f"--joint-names: {policy!r} is given twice, as {table[policy]!r} and as {wire!r}")
        table[policy] = wire
    return tuple(table.get(name, name) for name in policy_names)
