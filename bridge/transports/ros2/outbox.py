"""The command topics: publishers that are created late, and a check for other ones. A gripper may have a topic of its own."""

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
from bridge.transports.ros2.gripper import Part, parts_of
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
            watch: makes the publishers.
            spec: the contract.
            options: interfaces, topics and joint order.
            names: the policy's joints as the wire calls them.

        Raises:
            JointError: the joint order is missing or wrong, or a gripper's joints are not the policy's.
        """
        self._node, self._watch = node, watch
        self._lines = [Line(node, part) for part in parts_of(spec, options, names)]
        pose, zero = np.array(spec.robot.default_pose), np.zeros(spec.robot.num_joints)
        self._specimen = JointCommand(pose, zero, zero, np.array(spec.robot.kp), np.array(spec.robot.kd))
        self._newest: JointCommand | None = None
        self.opened = False

    def rivals(self) -> int:
        """How many others publish commands to this robot."""
        return sum(max(0, int(self._node.count_publishers(line.topic)) - self.opened) for line in self._lines)

    def rival_names(self) -> str:
        """Who they are, in a line."""
        said: list[str] = []
        me = self._node.get_fully_qualified_name()
        for line in self._lines:
            names = sorted(full_name(end) for end in self._node.get_publishers_info_by_topic(line.topic))
            if self.opened and me in names:
                names.remove(me)
            if names or len(self._lines) == 1:
                said.append(f"{len(names)} other publishers on the robot's command topic {line.topic}: {', '.join(names)}")
        return "; ".join(said)

    def write(self, command: JointCommand, motion: Motion, fault: bool) -> None:
        """Publish a command, from the first one on that drives the robot or follows a fault.

        Args:
            command: joints in policy order.
            motion: newest positions [rad] and velocities [rad/s], (J,).
            fault: whether the robot is in `fault`.
        """
        if not self.opened:
            if not command.drives and not fault:
                return
            for line in self._lines:
                line.publisher = self._watch.publisher(MESSAGE_TYPES[line.part.interface], line.part.topic, COMMAND)
            self.opened = True
        self._newest = command
        for line in self._lines:
            line.send(command, motion)

    def resend(self, motion: Motion) -> None:
        """Follow a new measurement: on the effort interface the impedance law runs here, at the rate of the sensors."""
        if self.opened and self._newest is not None:
            for line in self._lines:
                if line.part.interface == "forward_effort":
                    line.send(self._newest, motion)

    def rehearse(self) -> None:
        """Write a specimen of the command, to nobody."""
        for line in self._lines:
            line.rehearse(self._specimen)

    def close(self) -> None:
        """Let the last commands arrive and take the publishers down; a next command that drives makes others."""
        if self.opened:
            for line in self._lines:
                if line.part.interface in HOLDS_LAST and self._newest is not None:
                    line.send(self._newest, (None, None))  # zeros: the controller holds what it heard last for ever
                line.publisher.wait_for_all_acked(ACKNOWLEDGE)
                self._node.destroy_publisher(line.publisher)
        self._newest, self.opened = None, False
        for line in self._lines:
            line.renew()  # the pose that was held is another run's


class Line:
    """The topic of some joints' commands.

    Attributes:
        part: the joints.
        topic: resolved.
        publisher: None before the first command.
    """

    def __init__(self, node: Any, part: Part) -> None:
        """Prepare; raises `JointError` as `CommandEncoder` does."""
        self.part = part
        self.topic: str = node.resolve_topic_name(part.topic)
        self.renew()

    def renew(self) -> None:
        """Forget the publisher and the pose that was held."""
        self.publisher: Any = None
        self._encode = self._encoder()

    def _encoder(self) -> CommandEncoder:
        return CommandEncoder(self.part, self.part.interface, self.part.order, self.part.names)

    def send(self, command: JointCommand, motion: Motion) -> None:
        """Publish this part of a command, after a measurement (positions, velocities), all (J,)."""
        message = self._encode(self.part.command(command), *(self.part.of(values) for values in motion))
        if message is not None:
            self.publisher.publish(message)

    def rehearse(self, command: JointCommand) -> None:
        """Write this part of a command, to nobody."""
        part = self.part.command(command)
        serialize_message(self._encoder()(part, part.position, part.velocity))
