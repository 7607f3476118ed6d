"""An arm behind ros2_control, as far as the wire shows it: MuJoCo, and on top the controllers' rules about topics.

    python -m tests.ros2_arm --policy panda-reach.onnx --mjcf panda.xml --interface trajectory --prefix panda_=fr3_

The forward controllers take one array in the order of their own parameter file, hold its last value for ever and refuse another length.
The trajectory controller takes names, refuses goals for some of its joints only (and duplicates), and interpolates. Joint states come in
yet another order with the two fingers among them. Lines on standard output are JSON. It publishes `/clock`, and once it is commanded it
waits for a command each control period (each physics step for torques), so that a busy computer slows it down and changes nothing else.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bridge.control.command import JointCommand
from bridge.isolation import isolate
from bridge.simulated.physics import PhysicsRobot, Sample
from bridge.transports.ros2.clock import ClockPublisher
from bridge.transports.ros2.options import COMMAND_TOPICS, wire_names
from policies.contract.file import PolicyFile

FINGERS = ("finger_joint1", "finger_joint2")
RATE_HZ = 500.0
SERVO = 10.0  # a drive's velocity loop is much stiffer than the impedance law's damper


class Controllers:
    """One ros2_control controller and its hardware: set points in, torques out.

    Attributes:
        refused, taken: goals that were refused and taken.
    """

    def __init__(self, robot: PhysicsRobot, interface: str, names: tuple[str, ...], kp: Any, kd: Any) -> None:
        self.robot, self.interface, self.names = robot, interface, names
        self.refused = self.taken = 0
        self._kp, self._kd = np.array(kp), np.array(kd)
        self._from = self._to = robot.sample().position
        self._begin_s = self._duration_s = 0.0
        self._value = np.zeros(len(names))
        self._commanded = False

    def on_array(self, message: Any) -> None:
        if len(message.data) != len(self.names):
            self.refused += 1
            return
        self._value, self._commanded = np.array(message.data), True
        self.taken += 1

    def on_trajectory(self, message: Any) -> None:
        if sorted(message.joint_names) != sorted(self.names) or len(message.points) != 1:
            self.refused += 1
            return
        self.taken += 1
        point = message.points[0]
        self._from = self._setpoint()
        self._to = np.array([point.positions[list(message.joint_names).index(name)] for name in self.names])
        self._begin_s, self._duration_s = self.robot.time_s, point.time_from_start.sec + point.time_from_start.nanosec * 1e-9

    def _setpoint(self) -> Any:
        share = 1.0 if self._duration_s <= 0 else min(1.0, (self.robot.time_s - self._begin_s) / self._duration_s)
        return self._from + share * (self._to - self._from)

    def step(self) -> None:
        """One control and physics step."""
        zero = np.zeros(len(self.names))
        if self.interface == "forward_effort":
            command = JointCommand(zero, zero, self._value, zero, zero)
        elif self.interface == "forward_velocity":
            command = JointCommand(zero, self._value, zero, zero, SERVO * self._kd)
        else:
            position = self._value if self.interface == "forward" and self._commanded else self._setpoint()
            command = JointCommand(position, zero, zero, self._kp, self._kd)
        self.robot.apply(command)
        self.robot.step()


def serve(options: argparse.Namespace) -> None:
    """Run until a signal."""
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import JointState

    from bridge.transports.ros2.messages import MESSAGE_TYPES, encode_sensors

    spec = PolicyFile(options.policy).spec
    robot = PhysicsRobot(spec.robot, options.mjcf, 1 / RATE_HZ)
    names = wire_names(spec.robot.joint_names, prefix=options.prefix)
    arm = Controllers(robot, options.interface, names, spec.robot.kp, spec.robot.kd)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node: Any = rclpy.create_node("controller_manager", start_parameter_services=False)
    publisher = node.create_publisher(JointState, "joint_states", QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))
    take = arm.on_trajectory if options.interface == "trajectory" else arm.on_array
    node.create_subscription(MESSAGE_TYPES[options.interface], COMMAND_TOPICS[options.interface], take, 1)
    order = np.random.default_rng(3).permutation(len(names) + 2)
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.append(number))
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)
    clock = ClockPublisher(node)
    torques = options.interface == "forward_effort"
    every, patience_s = (1, 0.02) if torques else (round(spec.control_dt * RATE_HZ), 0.3)
    deadline, steps, seen, waits = time.monotonic(), 0, 0, False
    heard = deadline
    while not stop:
        if steps % every == 0:
            end = time.monotonic() + patience_s
            while waits and arm.taken == seen and time.monotonic() < end:
                executor.spin_once(timeout_sec=0.01)
            waits = arm.taken > seen or (torques and waits and not stop and time.monotonic() - heard < 1.0)
            heard = time.monotonic() if arm.taken > seen else heard
            seen = arm.taken
        deadline += robot.dt
        executor.spin_once(timeout_sec=0.0)
        while (left := deadline - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left)
        arm.step()
        if time.monotonic() - deadline > 0.05:
            deadline = time.monotonic()
        sample, steps = robot.sample(), steps + 1
        fingers = Sample(*(np.append(v, [0.01, 0.01])[order] for v in (sample.position, sample.velocity, sample.effort)), None, None, 1)
        joints, _ = encode_sensors(fingers, [(*names, *FINGERS)[i] for i in order], sample.stamp_ns + 1_000_000_000, "")
        publisher.publish(joints)
        clock.publish(sample.stamp_ns + 1_000_000_000)
        if steps % 50 == 0:
            tip = robot.data.site("end_effector").xpos.tolist()
            print(json.dumps({"tip": tip, "speed": float(np.abs(sample.velocity).max()), "refused": arm.refused}), flush=True)
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("--mjcf", type=Path, required=True)
    parser.add_argument("--interface", choices=tuple(COMMAND_TOPICS), required=True)
    parser.add_argument("--prefix", required=True)
    options = parser.parse_args()
    isolate()
    serve(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
