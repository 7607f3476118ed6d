"""The command topic: a publisher that is created late, and a check for other publishers."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.serialization import serialize_message

from bridge.control.command import JointCommand
from bridge.control.joints import FloatArray
from bridge.transports.ros2.graph import full_name
from bridge.transports.ros2.messages import MESSAGE_TYPES, CommandEncoder
from bridge.transports.ros2.options import Ros2Options
from bridge.transports.ros2.qos import COMMAND, QosWatch
from policies.contract.spec import PolicySpec

Motion = tuple[FloatArray | None, FloatArray | None]
HOLDS_LAST = ("forward_velocity", "forward_effort")
ACKNOWLEDGE = Duration(nanoseconds=200_000_000)


class Outbox:
    """Commands to the robot.

    Attributes:
        opened: whether anything was published, so that the robot listens to this node.
    """

    def __init__(self, node: Any, watch: QosWatch, spec: PolicySpec, options: Ros2Options, names: Sequence[str]) -> None:
        """Prepare; nothing is published before the first command.

        Args:
            node: the rclpy node.
            watch: makes the publisher.
            spec: the contract.
            options: interface, topic and joint order.
            names: the policy's joints as the wire calls them.

        Raises:
            JointError: the joint order is missing or wrong.
        """
        self._node, self._watch, self._options = node, watch, options
        self._new_encoder = lambda: CommandEncoder(spec, options.interface, options.joint_order, names)
        self._encode = self._new_encoder()
        pose, zero = np.array(spec.robot.default_pose), np.zeros(spec.robot.num_joints)
        self._specimen = JointCommand(pose, zero, zero, np.array(spec.robot.kp), np.array(spec.robot.kd))
        self._topic: str = node.resolve_topic_name(options.topic)
        self._publisher: Any = None
        self._newest: JointCommand | None = None

    @property
    def opened(self) -> bool:
        """Whether there is a publisher."""
        return self._publisher is not None

    def rivals(self) -> int:
        """How many others publish commands to this robot."""
        return max(0, int(self._node.count_publishers(self._topic)) - self.opened)

    def rival_names(self) -> str:
        """Who they are, in a line."""
        names = sorted(full_name(end) for end in self._node.get_publishers_info_by_topic(self._topic))
        me = self._node.get_fully_qualified_name()
        if self.opened and me in names:
            names.remove(me)
        return f"{len(names)} other publishers on the robot's command topic {self._topic}: {', '.join(names)}"

    def write(self, command: JointCommand, motion: Motion, fault: bool) -> None:
        """Publish a command, from the first one on that drives the robot or follows a fault.

        Args:
            command: joints in policy order.
            motion: newest positions [rad] and velocities [rad/s], (J,).
            fault: whether the robot is in `fault`.
        """
        if self._publisher is None:
            if not command.drives and not fault:
                return
            self._publisher = self._watch.publisher(MESSAGE_TYPES[self._options.interface], self._options.topic, COMMAND)
        self._newest = command
        self._send(command, motion)

    def resend(self, motion: Motion) -> None:
        """Follow a new measurement: on the effort interface the impedance law runs here, at the rate of the sensors."""
        if self._options.interface == "forward_effort" and self._publisher is not None and self._newest is not None:
            self._send(self._newest, motion)

    def _send(self, command: JointCommand, motion: Motion) -> None:
        message = self._encode(command, *motion)
        if message is not None:
            self._publisher.publish(message)

    def rehearse(self) -> None:
        """Write a specimen of the command, to nobody."""
        message = self._new_encoder()(self._specimen, self._specimen.position, self._specimen.velocity)
        serialize_message(message)

    def close(self) -> None:
        """Let the last commands arrive and take the publisher down; a next command that drives makes another."""
        if self._publisher is not None:
            if self._options.interface in HOLDS_LAST and self._newest is not None:
                self._send(self._newest, (None, None))  # zeros: the controller holds what it heard last for ever
            self._publisher.wait_for_all_acked(ACKNOWLEDGE)
            self._node.destroy_publisher(self._publisher)
        self._publisher = self._newest = None
        self._encode = self._new_encoder()  # the pose that was held is another run's
