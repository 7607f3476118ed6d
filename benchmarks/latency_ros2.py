"""The ends of the latency benchmark over ROS 2: a robot that sends JointState and Imu, and an echo."""

from __future__ import annotations

from typing import Any

from benchmarks.latency_codes import Codes, child
from bridge.simulated.physics import Sample
from policies.contract.spec import PolicySpec


class Ros2Robot:
    """Implements `benchmarks.latency_codes.Robot`."""

    def __init__(self, spec: PolicySpec) -> None:
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import Imu, JointState
        from std_msgs.msg import Float64MultiArray

        from bridge.transports.ros2.compat import Spinner
        from bridge.transports.ros2.messages import encode_sensors

        self._names, self._encode = spec.robot.joint_names, encode_sensors
        self._context = Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node: Any = rclpy.create_node("sensor", context=self._context, start_parameter_services=False)
        self._executor: Any = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._spin = Spinner(self._executor)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._joints = self._node.create_publisher(JointState, "joint_states", newest)
        self._imu = self._node.create_publisher(Imu, "imu", newest)
        self._codes: Codes | None = None
        self._node.create_subscription(Float64MultiArray, "impedance_command", self._take, QoSProfile(depth=10))

    def _take(self, message: Any) -> None:
        if self._codes is not None:
            self._codes.arrived(message.data[0], message.data[3])

    def send(self, sample: Sample) -> None:
        joints, imu = self._encode(sample, self._names, sample.stamp_ns, "")
        self._imu.publish(imu)
        self._joints.publish(joints)

    def spin(self, timeout_s: float, codes: Codes) -> None:
        self._codes = codes
        self._spin(timeout_s)

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()


def echo(spec: PolicySpec) -> None:
    """The peer: answer each JointState with a command of the same size, as soon as it comes."""
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Imu, JointState
    from std_msgs.msg import Float64MultiArray

    rclpy.init()
    node: Any = rclpy.create_node("echo", start_parameter_services=False)
    newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = node.create_publisher(Float64MultiArray, "impedance_command", QoSProfile(depth=1))

    def answer(message: Any) -> None:
        publisher.publish(Float64MultiArray(data=[message.position[0], 0.0, 0.0, 1e9, 1.0] * len(message.position)))

    node.create_subscription(JointState, "joint_states", answer, newest)
    node.create_subscription(Imu, "imu", lambda message: None, newest)
    while True:
        rclpy.spin_once(node, timeout_sec=0.1)


if __name__ == "__main__":
    child(Ros2Robot, echo)
