"""The test's own place on the ROS graph: it plays the operator and watches what goes over the wire."""

from __future__ import annotations

import time
from typing import Any, Self

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger


class Observer:
    """Publishes a velocity command at about 20 Hz while it spins, and records.

    Attributes:
        command: vx [m/s], vy [m/s], yaw rate [rad/s].
        drives: whether the newest joint command drives (kp > 0); None before the first.
        damped_s: steady time of the first damping command after the last driving one [s].
        sensor_s: steady time of the newest JointState [s].
        height: base height [m].
        truth: (vx, vy, yaw rate) of the base, in the base frame.
        samples: (steady time [s], command, truth) of each ground-truth message.
        states: each state that the policy node reported, without repetitions.
        why: what it said of why, likewise.
    """

    def __init__(self) -> None:
        self.command = np.zeros(3)
        self.drives: bool | None = None
        self.damped_s = self.sensor_s = self._sent_s = 0.0
        self.height, self.truth = float("nan"), np.zeros(3)
        self.samples: list[tuple[float, Any, Any]] = []
        self.states: list[str] = []
        self.why: list[str] = []
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._context = Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node: Any = rclpy.create_node("observer", context=self._context, start_parameter_services=False)
        self._executor: Any = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        subscribe = self._node.create_subscription
        subscribe(Float64MultiArray, "impedance_command", self._on_command, reliable)
        subscribe(String, "policy/state", self._on_state, reliable)
        subscribe(String, "policy/why", lambda message: self.why.append(message.data), reliable)
        subscribe(JointState, "joint_states", lambda message: setattr(self, "sensor_s", time.monotonic()), newest)
        subscribe(PoseStamped, "ground_truth/pose", lambda message: setattr(self, "height", message.pose.position.z), newest)
        subscribe(TwistStamped, "ground_truth/twist", self._on_truth, newest)
        self._operator: Any = self._node.create_publisher(Twist, "cmd_vel", newest)
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _on_command(self, message: Any) -> None:
        drives = any(message.data[3::5])
        if self.drives and not drives:
            self.damped_s = time.monotonic()
        self.drives = drives

    def _on_state(self, message: Any) -> None:
        if not self.states or self.states[-1] != message.data:
            self.states.append(message.data)

    def _on_truth(self, message: Any) -> None:
        twist = message.twist
        self.truth = np.array([twist.linear.x, twist.linear.y, twist.angular.z])
        self.samples.append((time.monotonic(), self.command.copy(), self.truth))

    def spin(self, seconds: float = 0.02) -> None:
        """Let time pass, receiving and commanding."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if time.monotonic() - self._sent_s > 0.05:
                twist = Twist()
                twist.linear.x, twist.linear.y, twist.angular.z = (float(value) for value in self.command)
                self._operator.publish(twist)
                self._sent_s = time.monotonic()
            self._executor.spin_once(timeout_sec=min(left, 0.02))

    def call(self, service: str) -> tuple[bool, str]:
        """Call a Trigger service of the policy node. Returns (success, message)."""
        if service not in self._clients:
            self._clients[service] = self._node.create_client(Trigger, f"policy/{service}")
        client = self._clients[service]
        end = time.monotonic() + 10
        while not client.service_is_ready() and time.monotonic() < end:
            self.spin()
        future = client.call_async(Trigger.Request())
        while not future.done() and time.monotonic() < end:
            self.spin()
        assert future.done(), f"service {service} did not answer"
        return future.result().success, future.result().message
