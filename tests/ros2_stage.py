"""A policy node, a robot and an operator in one thread over real ROS 2, so that a test decides what happens between two ticks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Imu, JointState
from std_srvs.srv import Trigger

from bridge.cameras.eyes import Eyes
from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.safety import Mode, SafetyLimits
from bridge.simulated.physics import Sample
from bridge.transports.ros2.messages import MESSAGE_TYPES, encode_sensors
from bridge.transports.ros2.transport import Ros2Options, Ros2Transport
from policies.contract.file import PolicyFile

QUICK = {"stand_s": 0.1, "gain_ramp_s": 0.05, "sensor_timeout_s": 0.5, "frozen_s": 0.5, "max_lateness_s": 0.9, "max_overruns": 50.0}
RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)


class Stage:
    """Everything is open between `with`.

    Attributes:
        controller, transport, loop: the node under test.
        operator: another rclpy node, in a context of its own.
        commands: messages that the node published on the command topic.
        diagnoses: messages on `/diagnostics`.
        stamp_ns: of the next sensor message; a test may set it.
        sensing: whether the robot publishes.
    """

    def __init__(
        self,
        path: Path,
        options: Ros2Options | None = None,
        limits: Mapping[str, float] | None = None,
        armed: bool = True,
        command: tuple[float, ...] | None = (0.0, 0.0, 0.0),
        eyes: Eyes | None = None,
    ) -> None:
        policy = PolicyFile(path)
        self.spec, self.options = policy.spec, options or Ros2Options()
        self.events: list[Mapping[str, Any]] = []
        self.controller = Controller(policy, SafetyLimits.of(self.spec, {**QUICK, **(limits or {})}), on_event=self.events.append)
        if armed:
            self.controller.arm()
        self.transport = Ros2Transport(self.spec, self.options, command, self.controller, eyes)
        self.loop = ControlLoop(self.controller, self.transport)
        self.stamp_ns, self.sensing = 1_000_000_000, True
        self._sensed_ns: int | None = None
        self.commands: list[Any] = []
        self.diagnoses: list[Any] = []

    def __enter__(self) -> Self:
        self.transport.open(self.controller.refusal)
        self._context = Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.operator: Any = rclpy.create_node("operator", context=self._context, start_parameter_services=False)
        self._executor: Any = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.operator)
        self.joints: Any = self.operator.create_publisher(JointState, "joint_states", RELIABLE)
        self.imu: Any = self.operator.create_publisher(Imu, "imu", RELIABLE)
        kind = MESSAGE_TYPES[self.options.interface]
        self.operator.create_subscription(kind, self.options.topic, self.commands.append, RELIABLE)
        self.operator.create_subscription(DiagnosticArray, "/diagnostics", self.diagnoses.append, RELIABLE)
        self._clients: dict[str, Any] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()
        self._executor.shutdown()
        self.operator.destroy_node()
        self._context.try_shutdown()

    def sense(self, stamp_ns: int | None = None) -> None:
        """Publish the robot at rest in its default pose, with `stamp_ns` or the next stamp."""
        if stamp_ns is None:
            now_ns = self.transport.now_ns()
            passed_ns = 20_000_000 if self._sensed_ns is None else max(1, now_ns - self._sensed_ns)
            self._sensed_ns = now_ns
            self.stamp_ns += passed_ns  # a clock that runs as the loop's does, though ticks here take longer on a busy computer
        count, floating = self.spec.robot.num_joints, self.spec.robot.floating_base
        base = (np.array([1.0, 0, 0, 0]), np.zeros(3)) if floating else (None, None)
        sample = Sample(np.array(self.spec.robot.default_pose), np.zeros(count), np.zeros(count), *base, 1)
        joints, imu = encode_sensors(sample, self.spec.robot.joint_names, self.stamp_ns if stamp_ns is None else stamp_ns, "imu")
        self.joints.publish(joints)
        if imu is not None:
            self.imu.publish(imu)

    def spin(self, times: int = 20) -> None:
        """Let the operator and the robot receive what has come."""
        for _ in range(times):
            self._executor.spin_once(timeout_sec=0.0)

    def tick(self, times: int = 1) -> None:
        """Do control ticks at their own rate."""
        for _ in range(times):
            if self.sensing:
                self.sense()
            deadline_ns = self.transport.now_ns() + self.loop.period_ns
            self.transport.wait_until(deadline_ns)
            self.loop.tick(deadline_ns)
            self.spin()

    def until(self, condition: Any, timeout_s: float = 30.0) -> None:
        """Tick until the condition holds."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, (self.controller.mode, self.controller.problems, self.events[-5:])
            self.tick()

    def ask(self, kind: Any, service: str, request: Any) -> Any:
        """Call a service of the node; it answers between the ticks."""
        if service not in self._clients:
            self._clients[service] = self.operator.create_client(kind, service)
        client = self._clients[service]
        self.until(client.service_is_ready)
        future = client.call_async(request)
        self.until(future.done)
        return future.result()

    def change(self, name: str) -> bool:
        """Ask for a lifecycle transition, for example `configure`."""
        return self.ask(ChangeState, "/policy/change_state", ChangeState.Request(transition=Transition(label=name))).success

    @property
    def lifecycle(self) -> str:
        """Label of the lifecycle state."""
        return self.ask(GetState, "/policy/get_state", GetState.Request()).current_state.label

    def call(self, event: str) -> tuple[bool, str]:
        """Call one of the operator's services."""
        answer = self.ask(Trigger, f"/policy/{event}", Trigger.Request())
        return answer.success, answer.message

    def set(self, name: str, value: Any) -> tuple[bool, str]:
        """Set a parameter."""
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        result = self.ask(SetParameters, "/policy/set_parameters", request).results[0]
        return result.successful, result.reason

    def ready(self) -> None:
        """Wait until nothing speaks against standing up."""
        from bridge.control.safety import Event

        self.tick(2)
        self.until(lambda: self.controller.refusal(Event.STAND) is None)

    def reach_policy(self) -> None:
        """Go to `policy` the way an operator does."""
        self.ready()
        self.until(lambda: self.call("stand")[0])
        self.until(lambda: self.call("start")[0])
        self.until(lambda: self.controller.mode is Mode.POLICY)


@contextmanager
def stranger(name: str, namespace: str = "") -> Iterator[Any]:
    """A node in a context of its own, as another process has it: one context cannot have two types on a topic."""
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(name, context=context, namespace=namespace, start_parameter_services=False)
    try:
        yield node
    finally:
        node.destroy_node()
        context.try_shutdown()
