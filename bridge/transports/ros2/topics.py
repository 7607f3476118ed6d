"""All topics of the policy node, for the look at the graph around them."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Bool, String

from bridge.transports.ros2.graph import Topic
from bridge.transports.ros2.messages import MESSAGE_TYPES
from bridge.transports.ros2.operator import COMMAND_TYPES
from bridge.transports.ros2.options import GRIPPER_TOPICS, OPERATOR_TOPICS, Ros2Options
from bridge.transports.ros2.qos import COMMAND, DIAGNOSTICS, SENSOR, STATE
from policies.contract.spec import PolicySpec

STOPS = ("emergency_stop", "emergency")


def watched_topics(
    resolve: Callable[[str], str], spec: PolicySpec, options: Ros2Options, commanded: bool, simulated: bool
) -> dict[str, Topic]:
    """What this node reads and writes, by the names that the code gives; the command topic is `command`.

    Args:
        resolve: gives a topic's full name.
        spec: the contract.
        options: the command interface and its topic.
        commanded: whether the operator's command comes by topic.
        simulated: whether time comes from `/clock`.
    """

    def sensor(name: str, kind: Any, apart: bool) -> Topic:
        return Topic(resolve(name), (kind,), SENSOR, remap=name, alone=True, needed=True, typical=True, apart=apart)

    topics = {
        "joint_states": sensor("joint_states", JointState, apart=True),
        "estop": Topic(resolve("estop"), (Bool,), SENSOR, remap="estop", aka=STOPS),
        "command": Topic(
            resolve(options.topic), (MESSAGE_TYPES[options.interface],), COMMAND, reads=False, needed=True, remap=options.topic
        ),
        "state": Topic(resolve("~/state"), (String,), STATE, reads=False),
        "diagnostics": Topic(resolve("/diagnostics"), (DiagnosticArray,), DIAGNOSTICS, reads=False),
    }
    if options.gripper_joints:
        kind, name = MESSAGE_TYPES[options.gripper_interface], options.gripper_topic or GRIPPER_TOPICS[options.gripper_interface]
        topics["gripper"] = Topic(resolve(name), (kind,), COMMAND, reads=False, needed=True, remap=name)
    if spec.robot.floating_base:
        topics["imu"] = sensor("imu", Imu, apart=False)
    if commanded:
        name = OPERATOR_TOPICS[spec.command.kind]
        topics[name] = Topic(resolve(name), COMMAND_TYPES[spec.command.kind], SENSOR, needed=True, remap=name)
    if simulated:
        topics["clock"] = Topic(resolve("/clock"), (Clock,), SENSOR, needed=True, remap="/clock")
    return topics
