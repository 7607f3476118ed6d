"""The ROS 2 transport: standard messages over rclpy, one thread, one executor that spins between the ticks.

Sensors are subscribed best effort, commands published reliable, both depth 1. The watchdog is the bridge's own (`stale_sensor`), on the
steady clock: asking DDS for a deadline that a driver does not offer would mean no data at all. rclpy's signal handlers stay off, because
they would invalidate the context before the last damping command is out.

The command publisher is made with the first command that drives the robot (or with a fault). Until then the robot is left alone,
so a node that is only started, or runs dry, disturbs nobody; and whoever publishes commands already is a rival who keeps it from
standing up.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.command import JointCommand
from bridge.isolation import isolate
from bridge.joints import FloatArray
from bridge.reading import Inputs, Reading
from bridge.safety import Event, Mode
from policies.spec import PolicySpec

STATE_PERIOD_NS, DIAGNOSTICS_PERIOD_NS = 100_000_000, 500_000_000
DISCOVERY_NS = 3_000_000_000  # the graph is not complete before; seen to take up to 2.7 s
SERVICES = (Event.STAND, Event.START, Event.STOP, Event.ESTOP, Event.RESET)


@dataclass(frozen=True, kw_only=True)
class Ros2Options:
    """How a policy node looks on the graph.

    Attributes:
        interface: command interface, one of `ros2_messages.INTERFACES`.
        command_topic: where commands go; None for the interface's default in `COMMAND_TOPICS`.
        joint_order: the controller's joint order, for the `forward` interface.
        extra_joints: joints on the wire that are not the policy's, for example a gripper.
        base_frame: frame of goal positions; others are refused.
        ros_args: arguments after `--ros-args` (remappings, namespace, node name).
    """

    interface: str = "impedance"
    command_topic: str | None = None
    joint_order: tuple[str, ...] | None = None
    extra_joints: tuple[str, ...] = ()
    base_frame: str = "base"
    ros_args: tuple[str, ...] = ()


COMMAND_TOPICS = {
    "impedance": "impedance_command",
    "trajectory": "joint_trajectory_controller/joint_trajectory",
    "forward": "forward_position_controller/commands",
}


class Ros2Transport:
    """Implements `bridge.transports.base.Transport`."""

    def __init__(self, spec: PolicySpec, options: Ros2Options | None = None, fixed_command: Sequence[float] | None = None) -> None:
        """Prepare; nothing is connected before `open`.

        Args:
            spec: the contract.
            options: names, interface and joints.
            fixed_command: operator's command (C,) that never ages; None to listen on the topic.

        Raises:
            JointError: the forward interface's joint order is missing or wrong.
        """
        isolate()
        from bridge.transports.ros2_messages import CommandEncoder, JointStateDecoder

        self._spec, self._options = spec, options or Ros2Options()
        self._encode = CommandEncoder(spec, self._options.interface, self._options.joint_order)
        self._decode = JointStateDecoder(spec.robot.joint_names, self._options.extra_joints)
        self._fixed = None if fixed_command is None else np.array(fixed_command, np.float64)
        self._joints: tuple[FloatArray, FloatArray, FloatArray, int, int] | None = None
        self._imu: tuple[FloatArray, FloatArray, int, int] | None = None
        self._command: tuple[FloatArray, int] | None = None
        self._requests: list[Event] = []
        self._fault: str | None = None
        self._publisher: Any = None
        self._rivals: int | None = None
        self._shown, self._state_ns, self._diagnostics_ns = "", 0, 0

    def open(self, refusal: Callable[[Event], str | None]) -> None:
        """Create context, node and endpoints."""
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import PointStamped, Twist
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import Imu, JointState
        from std_msgs.msg import String
        from std_srvs.srv import Trigger

        from bridge.transports.ros2_messages import MESSAGE_TYPES

        self._refusal, self._opened_ns = refusal, self.now_ns()
        self._context = Context()
        rclpy.init(args=list(self._options.ros_args), context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node: Any = rclpy.create_node("policy", context=self._context, start_parameter_services=False)
        self._executor: Any = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        subscribe = self._node.create_subscription
        subscribe(JointState, "joint_states", self._guarded(self._on_joints), newest)
        if self._spec.robot.floating_base:
            subscribe(Imu, "imu", self._guarded(self._on_imu), newest)
        if self._fixed is None and self._spec.command.name == "velocity":
            subscribe(Twist, "cmd_vel", self._guarded(self._on_twist), newest)
        elif self._fixed is None:
            subscribe(PointStamped, "goal", self._guarded(self._on_goal), newest)
        interface = self._options.interface
        topic = self._options.command_topic or COMMAND_TOPICS[interface]
        self._topic: str = self._node.resolve_topic_name(topic)
        self._create_publisher = lambda: self._node.create_publisher(MESSAGE_TYPES[interface], topic, reliable)
        self._state: Any = self._node.create_publisher(String, "~/state", reliable)
        self._diagnostics: Any = self._node.create_publisher(DiagnosticArray, "/diagnostics", reliable)
        for event in SERVICES:
            self._node.create_service(Trigger, f"~/{event}", self._service(event))

    def _guarded(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Turn a bad message into a fault that the `joint_set` guard reports."""

        def call(message: Any) -> None:
            try:
                callback(message)
            except Exception as error:
                self._fault = f"{type(error).__name__}: {error}"

        return call

    def _on_joints(self, message: Any) -> None:
        from bridge.transports.ros2_messages import stamp_ns

        self._joints = (*self._decode(message), stamp_ns(message.header.stamp), self.now_ns())

    def _on_imu(self, message: Any) -> None:
        from bridge.transports.ros2_messages import decode_imu, stamp_ns

        self._imu = (*decode_imu(message), stamp_ns(message.header.stamp), self.now_ns())

    def _on_twist(self, message: Any) -> None:
        self._command = np.array([message.linear.x, message.linear.y, message.angular.z]), self.now_ns()

    def _on_goal(self, message: Any) -> None:
        if message.header.frame_id not in ("", self._options.base_frame):
            self._node.get_logger().warning(f"goal in frame {message.header.frame_id!r} refused; give it in {self._options.base_frame!r}")
            return
        self._command = np.array([message.point.x, message.point.y, message.point.z]), self.now_ns()

    def _service(self, event: Event) -> Callable[[Any, Any], Any]:
        def answer(request: Any, response: Any) -> Any:
            reason = self._refusal(event)
            response.success, response.message = reason is None, reason or "accepted"
            if reason is None:
                self._requests.append(event)
            return response

        return answer

    def now_ns(self) -> int:
        """Steady clock [ns], common to all processes of this computer."""
        return time.monotonic_ns()

    def wait_until(self, deadline_ns: int) -> None:
        """Receive messages until the deadline."""
        while (left_ns := deadline_ns - self.now_ns()) > 0:
            self._executor.spin_once(timeout_sec=left_ns * 1e-9)

    def read(self) -> Inputs:
        """The newest inputs."""
        requests, self._requests = tuple(self._requests), []
        fault, self._fault = self._fault, None
        command = self._command if self._fixed is None else (self._fixed, self.now_ns())
        value, command_ns = command or (None, 0)
        return Inputs(self._reading(), value, command_ns, requests, fault, self._rivals)

    def _reading(self) -> Reading | None:
        if self._joints is None or (self._spec.robot.floating_base and self._imu is None):
            return None
        position, velocity, effort, stamp, received = self._joints
        if self._imu is None:
            return Reading(position, velocity, effort, None, None, (stamp,), received)
        quat, gyro, imu_stamp, imu_received = self._imu
        return Reading(position, velocity, effort, quat, gyro, (stamp, imu_stamp), min(received, imu_received))

    def write(self, command: JointCommand) -> None:
        """Publish a command, from the first one on that drives the robot or follows a fault."""
        if self._publisher is None:
            if not command.drives and self._shown != Mode.FAULT:
                return
            self._publisher = self._create_publisher()
        message = self._encode(command, None if self._joints is None else self._joints[0])
        if message is not None:
            self._publisher.publish(message)

    def report(self, status: Mapping[str, Any]) -> None:
        """Publish the state at 10 Hz and on change, diagnostics at 2 Hz."""
        from std_msgs.msg import String

        now, mode = self.now_ns(), str(status["mode"])
        if self._publisher is None or now - self._diagnostics_ns >= DIAGNOSTICS_PERIOD_NS:
            known = now - self._opened_ns >= DISCOVERY_NS
            self._rivals = max(0, self._node.count_publishers(self._topic) - (self._publisher is not None)) if known else None
        if mode != self._shown or now - self._state_ns >= STATE_PERIOD_NS:
            self._shown, self._state_ns = mode, now
            self._state.publish(String(data=mode))
        if now - self._diagnostics_ns >= DIAGNOSTICS_PERIOD_NS:
            self._diagnostics_ns = now
            self._diagnostics.publish(self._diagnosis(status))

    def _diagnosis(self, status: Mapping[str, Any]) -> Any:
        from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

        level = DiagnosticStatus.ERROR if status["mode"] == Mode.FAULT else DiagnosticStatus.WARN
        level = level if status["problems"] or status["mode"] == Mode.FAULT else DiagnosticStatus.OK
        values = {key: str(status[key]) for key in ("ticks", "missed", "overruns")}
        values |= {f"problem {index}": text for index, text in enumerate(status["problems"])}
        name = f"{self._node.get_fully_qualified_name()}: {self._spec.task}"
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        array = DiagnosticArray(status=[DiagnosticStatus(level=level, name=name, message=str(status["mode"]), values=pairs)])
        array.header.stamp = self._node.get_clock().now().to_msg()
        return array

    def close(self) -> None:
        """Let the last commands arrive, then take everything down in order."""
        from rclpy.duration import Duration

        if self._publisher is not None:
            self._publisher.wait_for_all_acked(Duration(seconds=0.2))
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()
