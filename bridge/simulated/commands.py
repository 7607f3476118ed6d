"""What a simulated robot takes from its command topics: the arm's, and the gripper's where that has one of its own."""

# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.control.command import JointCommand, damping
from bridge.control.joints import JointMap
from bridge.simulated.physics import PhysicsRobot
from bridge.transports.ros2.messages import CommandDecoder
from policies.contract.spec import PolicySpec

FIELDS = ("position", "velocity", "effort", "kp", "kd")


class Commands:
    """Joins the commands of a robot's parts, in its own joint order. The gripper's counts with the arm's next one."""

    def __init__(self, spec: PolicySpec, robot: PhysicsRobot, interface: str, gripper: Sequence[str] = (), its: str = "trajectory") -> None:
        """Prepare.

        Args:
            spec: the contract.
            robot: who takes them.
            interface: command interface of the arm.
            gripper: joints of the gripper, in its controller's order.
            its: command interface of the gripper.
        """
        to_wire = JointMap(spec.robot.joint_names, robot.names).to_wire
        kp, kd = to_wire(np.array(spec.robot.kp)), to_wire(np.array(spec.robot.kd))
        arm = [name for name in robot.names if name not in gripper]
        self._index = {"arm": [robot.names.index(name) for name in arm], "gripper": [robot.names.index(name) for name in gripper]}
        self._decode = {"arm": CommandDecoder(arm, interface, *(values[self._index["arm"]] for values in (kp, kd)))}
        self._decode["gripper"] = CommandDecoder(gripper, its, *(values[self._index["gripper"]] for values in (kp, kd)))
        self._newest = damping(kd)

    def arm(self, message: Any) -> JointCommand:
        """The whole robot's command after a message to the arm. Raises as `CommandDecoder` does."""
        return self._join("arm", message)

    def gripper(self, message: Any) -> JointCommand:
        """The same after a message to the gripper."""
        return self._join("gripper", message)

    def _join(self, part: str, message: Any) -> JointCommand:
        new = self._decode[part](message)
        fields = {name: getattr(self._newest, name).copy() for name in FIELDS}
        for name, values in fields.items():
            values[self._index[part]] = getattr(new, name)
        self._newest = JointCommand(**fields)
        return self._newest
