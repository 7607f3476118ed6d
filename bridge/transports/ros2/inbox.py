"""What comes in over ROS 2: the newest sensor messages."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import BatteryState, Imu, JointState
from std_msgs.msg import String

from bridge.control.joints import FloatArray
from bridge.control.plausibility import Rate
from bridge.control.reading import Reading
from bridge.simulated.physics import Sample
from bridge.transports.ros2.absent import NotAvailableError, acceleration, check_arrays, check_stamp
from bridge.transports.ros2.compat import sender
from bridge.transports.ros2.messages import JointStateDecoder, decode_imu, encode_sensors, stamp_ns
from bridge.transports.ros2.mounting import Mounting
from bridge.transports.ros2.newest import NewestFilter
from bridge.transports.ros2.options import Ros2Options
from bridge.transports.ros2.parts import Parts
from bridge.transports.ros2.qos import LATCHED, PARTS, SENSOR, QosWatch
from policies.contract.spec import PolicySpec


def _specimens(spec: PolicySpec, names: Sequence[str]) -> list[tuple[Any, bytes]]:
    """(type, bytes) of sensor messages of the robot at rest in its default pose."""
    pose, zero = np.array(spec.robot.default_pose), np.zeros(spec.robot.num_joints)
    base = (np.array([1.0, 0, 0, 0]), np.zeros(3)) if spec.robot.floating_base else (None, None)
    messages = encode_sensors(Sample(pose, zero, zero, *base, 0), names, 0, "")
    return [(type(message), serialize_message(message)) for message in messages if message is not None]


HOLD_NS = 500_000_000  # a fault in one message of ten is a fault between these messages too
ABSENT_NS = 2_000_000_000  # a reason outlives the silence that it explains

CHARGED_NS = 60_000_000_000  # a battery may speak every ten seconds
APART_NS = 2_000_000_000  # a gripper may speak once a second


class Inbox:
    """Subscriptions and the newest of what they brought.

    Attributes:
        filters: by topic, what was received and dropped.
        mounting: whose axes the IMU has.
        parts: joint states that come in several messages.
    """

    def __init__(
        self,
        watch: QosWatch,
        spec: PolicySpec,
        options: Ros2Options,
        names: Sequence[str],
        now_ns: Callable[[], int],
        lost_ns: Callable[[], int],
        mounting: Mounting,
        *,
        on_sensors: Callable[[bool], None],
    ) -> None:
        """Subscribe.

        Args:
            watch: makes the subscriptions.
            spec: the contract.
            options: extra joints.
            names: the policy's joints as the wire calls them.
            now_ns: the loop's clock.
            lost_ns: what to add to stamps: a simulated clock that stood still is no delay.
            mounting: whose axes the IMU has.
            on_sensors: called after each sensor message that counts, with whether it is the one that completes a reading: the IMU's where
                the base floats, else the joints'.
        """
        self._watch, self._on_sensors = watch, on_sensors
        self._now_ns, self._lost_ns = now_ns, lost_ns
        self._decode = JointStateDecoder(names, options.extra_joints)
        self._deep = False
        self.parts = Parts(names, options.extra_joints, now_ns)
        self.filters: dict[str, NewestFilter] = {}
        self._extra = frozenset(options.extra_joints)
        self._needs_turn = any(term.name == "base_angular_velocity" for term in spec.terms)
        self._joints: tuple[FloatArray, FloatArray, FloatArray, int, int] | None = None
        self._battery: tuple[float, int] | None = None
        self._imu: tuple[FloatArray, FloatArray | None, int, int] | None = None
        self._pull: FloatArray | None = None
        self.mounting = mounting
        self._fault: tuple[str, int] | None = None
        self._apart_ns: int | None = None
        self._absent: dict[str, tuple[str, int]] = {}
        self._floating = spec.robot.floating_base
        self._rates: dict[str, Rate] = {}
        self._specimens, self._rehearsed = _specimens(spec, names), JointStateDecoder(names)
        self._subscriptions = [self._subscribe(JointState, "joint_states", self._joint_state)]
        if self._floating:
            self._subscriptions.append(self._subscribe(Imu, "imu", self._imu_state))
            self._subscriptions.append(watch.subscription(String, "robot_description", self._described, LATCHED))
        self._subscriptions.append(watch.subscription(BatteryState, "battery_state", self._battery_state, SENSOR))

    def _subscribe(self, kind: Any, topic: str, take: Callable[[Any], None], profile: Any = SENSOR) -> Any:
        """Turn a message that cannot be read into a fault that the `joint_set` guard reports, and drop one that was overtaken or that says
        that it does not have what is needed.
        """
        newest, full = self.filters.setdefault(topic, NewestFilter()), self._watch.resolve(topic)
        rate = self._rates.setdefault(topic, Rate())

        def call(message: Any, info: Any) -> None:
            rate.count(time.monotonic_ns())
            try:
                if kind is JointState and self._extra and message.name and self._extra.issuperset(message.name):
                    self._apart_ns = self._now_ns()
                    return  # another part of the robot, for example its gripper, speaks for itself, and has a clock of its own
                stamp = stamp_ns(message.header.stamp)
                check_stamp(stamp)
                if kind is JointState and (part := self.parts.key(message)) is not None:
                    if self.parts.accepts(part, stamp):
                        self._part(part, message, sender(info))
                elif newest.accepts(stamp, time.monotonic_ns()):
                    take(message)
            except NotAvailableError as error:
                self._absent[topic] = f"{full}: {error}", self._now_ns()
            except Exception as error:
                self._fault = f"{full}: {type(error).__name__}: {error}", self._now_ns()

        return self._watch.subscription(kind, topic, call, profile)

    def _joint_state(self, message: Any) -> None:
        received_ns = self._now_ns()
        self._joints = (*self._decode(message), stamp_ns(message.header.stamp) + self._lost_ns(), received_ns)
        self._on_sensors(not self._floating)

    def tend(self) -> None:
        """Between the messages: of joint states in parts more than the newest message has to be kept."""
        if self.parts.seen and not self._deep:
            self._deep = True
            self._watch.destroy(self._subscriptions[0])
            self._subscriptions[0] = self._subscribe(JointState, "joint_states", self._joint_state, PARTS)

    def _part(self, part: frozenset[str], message: Any, sent_by: object) -> None:
        check_arrays(message)
        joined = self.parts.take(part, message, stamp_ns(message.header.stamp) + self._lost_ns(), sent_by)
        if joined is not None:
            self._joints = joined
            self._on_sensors(not self._floating)

    def _imu_state(self, message: Any) -> None:
        received_ns = self._now_ns()
        decoded = decode_imu(message, self._needs_turn)
        if decoded[1] is None:
            self._watch.warn_once("the IMU has no angular velocity; the policy needs none, so nothing is made of it", "imu")
        self.mounting.look(message.header.frame_id)
        quat, turn = decoded
        turned = self.mounting.quat(quat), None if turn is None else self.mounting.vector(turn)
        pull = acceleration(message)
        self._pull = None if pull is None else self.mounting.vector(pull)
        self._imu = (*turned, stamp_ns(message.header.stamp) + self._lost_ns(), received_ns)
        self._on_sensors(True)

    def _described(self, message: Any) -> None:
        self.mounting.describe(message.data, self._watch.resolve("robot_description"))

    def _battery_state(self, message: Any) -> None:
        share = message.percentage / 100 if 1.0 < message.percentage <= 100.0 else message.percentage  # some drivers tell hundredths
        self._battery = (share, self._now_ns()) if 0.0 <= share <= 1.0 and message.present else None

    @property
    def battery(self) -> float | None:
        """The battery's charge from 0 to 1; None where it is not told, or not any more."""
        return None if self._battery is None or self._now_ns() - self._battery[1] > CHARGED_NS else self._battery[0]

    @property
    def apart(self) -> bool:
        """Whether a part of the robot that is not the policy's sends its joints in messages of its own."""
        return self._apart_ns is not None and self._now_ns() - self._apart_ns <= APART_NS

    def motion(self, since_ns: int) -> tuple[FloatArray | None, FloatArray | None]:
        """Newest positions [rad] and velocities [rad/s], (J,) in policy order; None where none came since `since_ns`."""
        return (None, None) if self._joints is None or self._joints[-1] < since_ns else self._joints[:2]

    @property
    def fault(self) -> str | None:
        """Why the newest bad message was bad; None without one in the last half second."""
        return None if self._fault is None or self._now_ns() - self._fault[1] > HOLD_NS else self._fault[0]

    def hz(self, topic: str, now_ns: int) -> float | None:
        """How often a topic's messages come [Hz] at a time of the steady clock [ns]; None where none do."""
        return self._rates[topic].hz(now_ns) if topic in self._rates else None

    @property
    def absent(self) -> list[str]:
        """What messages of the last two seconds said that they do not have."""
        now_ns = self._now_ns()
        return [text for text, at_ns in self._absent.values() if now_ns - at_ns <= ABSENT_NS]

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
        return Reading(position, velocity, effort, quat, gyro, (stamp, imu_stamp), self.received_ns, imu_acceleration_b=self._pull)

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
