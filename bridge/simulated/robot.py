"""Simulates a robot on ROS 2: MuJoCo behind a real robot's topics, in a separate process.

    python -m bridge.simulated.robot --policy walk.onnx --mjcf go1.xml

Publishes `joint_states` and `imu` best effort at `--rate-hz`, follows joint commands, and damps itself when commands stop for 100 ms. The
policy node cannot distinguish it from a real robot's driver. For evaluation only, and never read by the policy node, it also publishes
`ground_truth/pose` (world frame) and `ground_truth/twist` (base frame).
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from bridge import ending

if __name__ == "__main__":
    ending.quietly()  # before imports that take a while

import argparse
import gc
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bridge.control.joints import JointError
from bridge.control.priority import raise_priority
from bridge.isolation import isolate, ros_arguments
from bridge.simulated.gantry import MODES as GANTRY_MODES
from bridge.simulated.physics import WATCHDOG_S, PhysicsRobot, physics_dt
from bridge.simulated.shared import SharedPose
from bridge.transports.ros2.options import GRIPPER_TOPICS, INTERFACES, Ros2Options
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec

MAX_CATCH_UP_STEPS = 25


class SimulatedRobotNode:
    """The robot's ROS face.

    Attributes:
        robot: the robot.
        simulated_time: whether its clock is that of the simulation, and not the computer's.
        pose: where it writes its pose for the process of its cameras; None for nowhere.
    """

    def __init__(
        self,
        robot: PhysicsRobot,
        spec: PolicySpec,
        interface: str,
        topic: str | None,
        ros_args: list[str],
        clock: bool = False,
        gripper: Ros2Options | None = None,
    ) -> None:
        """Open the node for a robot; `topic` None for the interface's default, `gripper` for the options of a gripper's own topic."""
        import rclpy
        from geometry_msgs.msg import PoseStamped, TwistStamped
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import Imu, JointState
        from std_msgs.msg import String

        from bridge.simulated.commands import Commands
        from bridge.transports.ros2.clock import ClockPublisher
        from bridge.transports.ros2.compat import Spinner
        from bridge.transports.ros2.messages import MESSAGE_TYPES
        from bridge.transports.ros2.options import COMMAND_TOPICS

        self.robot, self._frame = robot, spec.robot.imu_frame or ""
        self._context = Context()
        rclpy.init(args=ros_arguments(ros_args), context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node: Any = rclpy.create_node("simulated_robot", context=self._context, start_parameter_services=False)
        self._executor: Any = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._spin = Spinner(self._executor)
        gripper = Ros2Options() if gripper is None else gripper
        self._commands = Commands(spec, robot, interface, gripper.gripper_joints, gripper.gripper_interface)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        publish = self._node.create_publisher
        self._joints: Any = publish(JointState, "joint_states", newest)
        self._imu: Any = publish(Imu, "imu", newest) if spec.robot.floating_base else None
        self._pose: Any = publish(PoseStamped, "ground_truth/pose", newest)
        self._twist: Any = publish(TwistStamped, "ground_truth/twist", newest)
        self._node.create_subscription(MESSAGE_TYPES[interface], topic or COMMAND_TOPICS[interface], self._on_command, reliable)
        if gripper.gripper_joints:
            name = gripper.gripper_topic or GRIPPER_TOPICS[gripper.gripper_interface]
            self._node.create_subscription(MESSAGE_TYPES[gripper.gripper_interface], name, self._on_gripper, reliable)
        if (gantry := robot.gantry) is not None:  # people who hold a real robot see when it is about to walk
            self._node.create_subscription(String, "policy/state", lambda message: gantry.follow(message.data), reliable)
        self.simulated_time = clock
        self._clock = ClockPublisher(self._node) if clock else None
        self._epoch_ns = 0 if clock else time.time_ns()  # with a clock of its own, its time is the simulation's
        self._published = 0
        self.pose: SharedPose | None = None

    def _on_command(self, message: Any) -> None:
        try:
            self.robot.apply(self._commands.arm(message))
        except (JointError, ValueError, IndexError) as error:
            self._node.get_logger().error(f"command refused: {error}", throttle_duration_sec=1.0)

    def _on_gripper(self, message: Any) -> None:
        try:
            self._commands.gripper(message)
        except (JointError, ValueError, IndexError) as error:
            self._node.get_logger().error(f"command of the gripper refused: {error}", throttle_duration_sec=1.0)

    def publish(self) -> None:
        """Publish the sensors, and the ground truth at a tenth of their rate."""
        from bridge.transports.ros2.messages import encode_sensors

        sample = self.robot.sample()
        if self._clock is not None:
            self._clock.publish(sample.stamp_ns)
        if self.pose is not None:
            self.pose.put(self.robot.qpos, self._epoch_ns + sample.stamp_ns)
        joints, imu = encode_sensors(sample, self.robot.names, self._epoch_ns + sample.stamp_ns, self._frame)
        self._joints.publish(joints)
        if imu is not None:
            self._imu.publish(imu)
        if self._published % 10 == 0:
            self._publish_truth(joints.header.stamp)
        self._published += 1

    def _publish_truth(self, stamp: Any) -> None:
        from geometry_msgs.msg import PoseStamped, TwistStamped

        position, velocity, quat = self.robot.truth()
        pose, twist = PoseStamped(), TwistStamped()
        pose.header.stamp = twist.header.stamp = stamp
        pose.header.frame_id, twist.header.frame_id = "world", "base"
        p, o, v, w = pose.pose.position, pose.pose.orientation, twist.twist.linear, twist.twist.angular
        p.x, p.y, p.z = (float(value) for value in position)
        o.w, o.x, o.y, o.z = (float(value) for value in quat)
        v.x, v.y, v.z, w.x, w.y, w.z = (float(value) for value in velocity)
        self._pose.publish(pose)
        self._twist.publish(twist)

    def spin_until(self, deadline_ns: int) -> None:
        """Take commands until the deadline on the steady clock; at least one if one is waiting."""
        self._spin(max(0.0, (deadline_ns - time.monotonic_ns()) * 1e-9))
        while (left_ns := deadline_ns - time.monotonic_ns()) > 0:
            self._spin(left_ns * 1e-9)

    def close(self) -> None:
        """Take the node down."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()


def pace(node: SimulatedRobotNode, period_ns: int, duration_s: float | None) -> None:
    """Step at absolute deadlines, catching up a few steps after a stall, until a signal or for a duration [s]."""
    stop: list[int] = []
    for number in ending.SIGNALS:
        signal.signal(number, lambda number, frame: stop.append(number))
    gc.collect()
    gc.freeze()  # a collection then looks at what came since, not at all of MuJoCo and rclpy
    trips = 0
    deadline_ns = begin_ns = time.monotonic_ns()
    while not stop and (duration_s is None or deadline_ns - begin_ns < duration_s * 1e9):
        deadline_ns += period_ns
        node.spin_until(deadline_ns)
        for _ in range(min(MAX_CATCH_UP_STEPS, (time.monotonic_ns() - deadline_ns) // period_ns)):
            node.robot.step()
            deadline_ns += period_ns
        if time.monotonic_ns() - deadline_ns > MAX_CATCH_UP_STEPS * period_ns:
            lost_ns = time.monotonic_ns() - deadline_ns  # the computer cannot keep up: fall behind real time, do not spiral
            deadline_ns += lost_ns
            if not node.simulated_time:
                node.robot.clock_ns += lost_ns  # the robot's clock goes on all the same, as a real one's
        node.publish()  # the state of this instant: no command that came since the last one has acted in it
        node.robot.step()
        if node.robot.watchdog_trips > trips:
            trips = node.robot.watchdog_trips
            print(f"{time.monotonic():.3f} s  no commands for {WATCHDOG_S * 1e3:.0f} ms: the robot damps itself", flush=True)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="simulated_robot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--policy", type=Path, required=True, help="policy file: joint names, limits, gains and rates come from its spec")
    result.add_argument("--mjcf", type=Path, required=True, help="the robot's MuJoCo model; a floor is added")
    result.add_argument("--rate-hz", type=float, default=500.0, help="physics and sensor rate (default 500)")
    result.add_argument("--realtime-factor", type=float, default=1.0, help="simulated seconds per second (default 1)")
    result.add_argument("--permute-joints", type=int, metavar="SEED", help="publish the joints in a random order")
    result.add_argument("--key", help="keyframe of the model to start from (default: the policy's default pose)")
    gantry = "hold the robot until the policy node reports that its policy runs, or always (default: bipeds until then)"
    result.add_argument("--gantry", choices=GANTRY_MODES, default="auto", help=gantry)
    result.add_argument("--duration", type=float, metavar="S", help="end after this time")
    result.add_argument("--command-interface", choices=INTERFACES, default="impedance")
    result.add_argument("--clock", action="store_true", help="publish /clock, for nodes that run with use_sim_time")
    result.add_argument("--command-topic", help="default: the interface's own")
    result.add_argument(
        "--gripper-joints", nargs="+", default=[], metavar="JOINT", help="joints that take commands on a topic of their own"
    )
    result.add_argument("--gripper-interface", choices=tuple(GRIPPER_TOPICS), default="trajectory")
    result.add_argument("--gripper-topic", help="default: the interface's own")
    result.add_argument("--pose", type=Path, metavar="PATH", help="file in which the process of its cameras finds its pose")
    return result


def main(argv: list[str] | None = None) -> int:
    """Run the simulated robot until a signal. Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--ros-args") if "--ros-args" in arguments else len(arguments)
    options, ros_args = parser().parse_args(arguments[:cut]), arguments[cut:]
    isolate()
    try:
        spec = PolicyFile(options.policy).spec
        dt = physics_dt(spec, options.rate_hz)
        robot = PhysicsRobot(spec.robot, options.mjcf, dt, options.permute_joints, options.key, options.gantry)
    except (ValueError, OSError, KeyError) as error:
        print(f"simulated_robot: {error}", file=sys.stderr)
        return 2
    for note in robot.notes:
        print(f"{options.mjcf}: {note}", flush=True)
    priority = raise_priority()
    gripper = Ros2Options(
        gripper_joints=tuple(options.gripper_joints), gripper_interface=options.gripper_interface, gripper_topic=options.gripper_topic
    )
    node = SimulatedRobotNode(robot, spec, options.command_interface, options.command_topic, ros_args, options.clock, gripper)
    if options.pose is not None:
        node.pose = SharedPose.write_to(options.pose, robot.joints, robot.qpos)
    print(f"simulated {spec.robot.name}: {1 / dt:.0f} Hz, {priority}, joints {', '.join(robot.names)}", flush=True)
    try:
        pace(node, round(dt * 1e9 / options.realtime_factor), options.duration)
    finally:
        node.close()
    return 0


if __name__ == "__main__":
    sys.exit(ending.run("simulated_robot", main))
