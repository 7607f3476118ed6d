"""A recorded episode through the bridge gives the recorded actions, with the joints permuted on the wire: in process and over ROS 2."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.joints import JointMap
from bridge.control.loop import ControlLoop
from bridge.control.safety import Mode, SafetyLimits
from bridge.simulated.physics import Sample
from bridge.transports.sim import SimTransport
from policies.contract.file import PolicyFile
from tests.bridge_helpers import HAS_ROS, REPOSITORY
from tests.make_policy import arm_spec, go1_spec, make_policy

TOLERANCE = 1e-5
ZOO = sorted((REPOSITORY / "policies" / "zoo").glob("*.onnx"))
TIMEOUTS = ("sensor_timeout_s", "frozen_s", "command_timeout_s", "heartbeat_timeout_s")
LIMITS = (
    "max_tilt",
    "position_excess",
    "contradiction",
    "velocity_factor",
    "effort_factor",
    "jump_factor",
    "entry_pose",
    "entry_tilt",
    "entry_speed",
)


@pytest.fixture(params=["go1", "go1-delta", "arm", *ZOO], ids=lambda value: str(getattr(value, "stem", value)))
def policy(request: pytest.FixtureRequest, tmp_path: Path) -> PolicyFile:
    if isinstance(request.param, Path):
        return PolicyFile(request.param)
    spec = {"go1": go1_spec(), "go1-delta": go1_spec("position_delta"), "arm": arm_spec()}[request.param]
    return PolicyFile(make_policy(tmp_path / "policy.onnx", spec))


class Playback:
    """A robot that plays a policy file's golden readings, one a control step, its joints in another order."""

    def __init__(self, policy: PolicyFile) -> None:
        names = policy.spec.robot.joint_names
        self.names = tuple(names[i] for i in np.random.default_rng(1).permutation(len(names)))
        self.dt, self.step_index, self._ticks = policy.spec.control_dt, 0, 0
        self._sensors, self._wire = policy.golden.sensors, JointMap(names, self.names)

    def step(self) -> None:
        self._ticks += 1

    def apply(self, command: JointCommand) -> None:
        pass

    def sample(self) -> Sample:
        at = {name: values[self.step_index].astype(np.float64) for name, values in self._sensors.items()}
        to_wire = self._wire.to_wire
        joints = to_wire(at["joint_position"]), to_wire(at["joint_velocity"]), np.zeros(len(self.names))
        return Sample(*joints, at.get("imu_quat_wxyz"), at.get("imu_angular_velocity_b"), self._ticks + 1)


def wide_open(policy: PolicyFile) -> Controller:
    """A controller whose guards accept any recording and which starts at once."""
    ramps = dict.fromkeys(("stand_s", "gain_ramp_s", "command_ramp_s"), 1e-6)
    limits = {**dict.fromkeys(LIMITS, 1e6), **ramps, "max_lateness_s": 1e6, "max_overruns": 1e6}
    controller = Controller(policy, SafetyLimits.of(policy.spec, {**limits, **dict.fromkeys(TIMEOUTS, 1e3)}))
    controller.arm()
    controller.auto_start()
    return controller


def check(policy: PolicyFile, actions: list[Any]) -> None:
    want = policy.golden.action
    assert len(actions) == len(want) >= 20
    assert float(np.max(np.abs(np.array(actions) - want))) <= TOLERANCE


def test_in_process(policy: PolicyFile) -> None:
    controller, robot = wide_open(policy), Playback(policy)
    transport = SimTransport(robot, policy.spec.robot.joint_names)
    loop, actions = ControlLoop(controller, transport), []
    deadline = loop.period_ns
    for tick in range(len(policy.golden.action) + 1):  # the first tick stands, the second is golden step 0
        robot.step_index = max(0, tick - 1)
        transport.command = policy.golden.sensors["command"][robot.step_index].astype(np.float64)
        transport.wait_until(deadline)
        deadline = loop.tick(deadline)
        if controller.mode is Mode.POLICY:
            actions.append(controller.action.copy())
    check(policy, actions)


@pytest.mark.ros
@pytest.mark.skipif(not HAS_ROS, reason="rclpy is not installed")
def test_over_ros2(policy: PolicyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.isolation import isolate

    isolate()
    import rclpy
    from geometry_msgs.msg import PointStamped, Twist
    from rclpy.context import Context
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import Imu, JointState

    from bridge.transports.ros2.messages import encode_sensors
    from bridge.transports.ros2.transport import Ros2Transport

    controller, robot = wide_open(policy), Playback(policy)
    monkeypatch.setattr("bridge.transports.ros2.transport.DISCOVERY_NS", 0)  # nobody else is on this domain
    transport = Ros2Transport(policy.spec)
    transport.open(controller.refusal)
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node: Any = rclpy.create_node("player", context=context, start_parameter_services=False)
    velocity = policy.spec.command.kind == "velocity"
    joints, imu = node.create_publisher(JointState, "joint_states", 1), node.create_publisher(Imu, "imu", 1)
    operator: Any = node.create_publisher(Twist, "cmd_vel", 1) if velocity else node.create_publisher(PointStamped, "goal", 1)

    def send(values: Any) -> None:
        joint_message, imu_message = encode_sensors(robot.sample(), robot.names, robot.step_index + 1, "imu")
        joints.publish(joint_message)
        if imu_message is not None:
            imu.publish(imu_message)
        x, y, z = (float(value) for value in values)
        if velocity:
            twist = Twist()
            twist.linear.x, twist.linear.y, twist.angular.z = x, y, z
            operator.publish(twist)
        else:
            goal = PointStamped()
            goal.point.x, goal.point.y, goal.point.z = x, y, z
            operator.publish(goal)

    def arrived(values: Any) -> bool:
        inputs = transport.read()
        stamps = (robot.step_index + 1,) * (2 if policy.spec.robot.floating_base else 1)
        have = inputs.reading is not None and inputs.reading.stamps_ns == stamps
        return have and inputs.command is not None and np.array_equal(inputs.command, values)

    loop, actions = ControlLoop(controller, transport), []
    transport.report(loop.status())
    try:
        for tick in range(len(policy.golden.action) + 1):
            robot.step_index = max(0, tick - 1)
            values = policy.golden.sensors["command"][robot.step_index].astype(np.float64)
            exchange(send, arrived, transport, values)
            loop.tick(transport.now_ns())
            if controller.mode is Mode.POLICY:
                actions.append(controller.action.copy())
    finally:
        transport.close()
        node.destroy_node()
        context.try_shutdown()
    check(policy, actions)


def exchange(send: Callable[[Any], None], arrived: Callable[[Any], bool], transport: Any, values: Any) -> None:
    """Send until it has arrived; the first time this waits for discovery."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        send(values)
        for _ in range(10):
            transport.wait_until(transport.now_ns() + 2_000_000)
            if arrived(values):
                return
    raise AssertionError("no sensor message within 10 s")
