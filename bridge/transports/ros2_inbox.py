"""What comes in over ROS 2: the newest sensor messages, the operator's command, and an emergency stop by topic."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, Twist
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Imu, JointState

from bridge.joints import FloatArray
from bridge.physics_robot import Sample
from bridge.reading import Reading
from bridge.transports.ros2_messages import JointStateDecoder, decode_imu, encode_sensors, stamp_ns
from bridge.transports.ros2_newest import NewestFilter
from bridge.transports.ros2_options import Ros2Options
from bridge.transports.ros2_qos import SENSOR, QosWatch
from policies.spec import PolicySpec


def _specimens(spec: PolicySpec, names: Sequence[str]) -> list[tuple[Any, bytes]]:
    """(type, bytes) of sensor messages of the robot at rest in its default pose."""
    pose, zero = np.array(spec.robot.default_pose), np.zeros(spec.robot.num_joints)
    base = (np.array([1.0, 0, 0, 0]), np.zeros(3)) if spec.robot.floating_base else (None, None)
    messages = encode_sensors(Sample(pose, zero, zero, *base, 0), names, 0, "")
    return [(type(message), serialize_message(message)) for message in messages if message is not None]


class Inbox:
    """Subscriptions and the newest of what they brought.

    Attributes:
        filters: by topic, what was received and dropped.
        command: the operator's newest command (C,) and when it came [ns]; None before the first.
    """

    def __init__(
        self,
        watch: QosWatch,
        spec: PolicySpec,
        options: Ros2Options,
        names: Sequence[str],
        now_ns: Callable[[], int],
        lost_ns: Callable[[], int],
        *,
        commanded: bool,
        on_sensors: Callable[[bool], None],
    ) -> None:
        """Subscribe.

        Args:
            watch: makes the subscriptions.
            spec: the contract.
            options: extra joints and the frame of goals.
            names: the policy's joints as the wire calls them.
            now_ns: the loop's clock.
            lost_ns: what to add to stamps: a simulated clock that stood still is no delay.
            commanded: whether the operator's command comes by topic.
            on_sensors: called after each sensor message that counts, with whether it is the one that completes a reading: the IMU's where
                the base floats, else the joints'.
        """
        self._watch, self._frame, self._on_sensors = watch, options.base_frame, on_sensors
        self._now_ns, self._lost_ns = now_ns, lost_ns
        self._decode = JointStateDecoder(names, options.extra_joints)
        self.filters: dict[str, NewestFilter] = {}
        self.command: tuple[FloatArray, int] | None = None
        self._joints: tuple[FloatArray, FloatArray, FloatArray, int, int] | None = None
        self._imu: tuple[FloatArray, FloatArray, int, int] | None = None
        self._fault: str | None = None
        self._floating = spec.robot.floating_base
        self._specimens, self._rehearsed = _specimens(spec, names), JointStateDecoder(names)
        self._subscriptions = [self._subscribe(JointState, "joint_states", self._joint_state, stamped=True)]
        if self._floating:
            self._subscriptions.append(self._subscribe(Imu, "imu", self._imu_state, stamped=True))
        if commanded and spec.command.name == "velocity":
            self._subscriptions.append(self._subscribe(Twist, "cmd_vel", self._twist))
        elif commanded:
            self._subscriptions.append(self._subscribe(PointStamped, "goal", self._goal))

    def _subscribe(self, kind: Any, topic: str, take: Callable[[Any], None], stamped: bool = False) -> Any:
        """Turn a message that cannot be read into a fault that the `joint_set` guard reports, and drop one that was overtaken."""
        newest = self.filters.setdefault(topic, NewestFilter()) if stamped else None

        def call(message: Any) -> None:
            try:
                if newest is None or newest.accepts(stamp_ns(message.header.stamp)):
                    take(message)
            except Exception as error:
                self._fault = f"{type(error).__name__}: {error}"

        return self._watch.subscription(kind, topic, call, SENSOR)

    def _joint_state(self, message: Any) -> None:
        received_ns = self._now_ns()
        self._joints = (*self._decode(message), stamp_ns(message.header.stamp) + self._lost_ns(), received_ns)
        self._on_sensors(not self._floating)

    def _imu_state(self, message: Any) -> None:
        received_ns = self._now_ns()
        self._imu = (*decode_imu(message), stamp_ns(message.header.stamp) + self._lost_ns(), received_ns)
        self._on_sensors(True)

    def _twist(self, message: Any) -> None:
        self.command = np.array([message.linear.x, message.linear.y, message.angular.z]), self._now_ns()

    def _goal(self, message: Any) -> None:
        if message.header.frame_id not in ("", self._frame):
            self._watch.warn_once(f"goal in frame {message.header.frame_id!r} refused; give it in {self._frame!r}")
            return
        self.command = np.array([message.point.x, message.point.y, message.point.z]), self._now_ns()

    def motion(self, since_ns: int) -> tuple[FloatArray | None, FloatArray | None]:
        """Newest positions [rad] and velocities [rad/s], (J,) in policy order; None where none came since `since_ns`."""
        return (None, None) if self._joints is None or self._joints[-1] < since_ns else self._joints[:2]

    def take_fault(self) -> str | None:
        """Why the newest bad message was bad, once; None without one."""
        fault, self._fault = self._fault, None
        return fault

    @property
    def received_ns(self) -> int:
        """When the older part of the newest complete reading came [ns]; 0 before the first."""
        if self._joints is None or (self._floating and self._imu is None):
            return 0
        return self._joints[-1] if self._imu is None else min(self._joints[-1], self._imu[-1])

    def reading(self) -> Reading | None:
        """The newest complete reading; None before the first."""
        if self._joints is None or (self._floating and self._imu is None):
            return None
        position, velocity, effort, stamp, _ = self._joints
        if self._imu is None:
            return Reading(position, velocity, effort, None, None, (stamp,), self.received_ns)
        quat, gyro, imu_stamp, _ = self._imu
        return Reading(position, velocity, effort, quat, gyro, (stamp, imu_stamp), self.received_ns)

    def rehearse(self) -> None:
        """Read specimens of the sensor messages, to no effect."""
        for kind, data in self._specimens:
            message = deserialize_message(data, kind)
            if kind is Imu:
                decode_imu(message)
            else:
                self._rehearsed(message)

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._watch.destroy(subscription)
        self._subscriptions = []
