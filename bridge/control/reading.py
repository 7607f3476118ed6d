"""What a transport hands to the controller at each tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.control.joints import FloatArray
from bridge.control.safety import Event
from bridge.control.sight import Sight, Sights


@dataclass(slots=True)
class Reading:
    """The newest sensor values, joints in policy order.

    Attributes:
        position: [rad], (J,).
        velocity: [rad/s], (J,).
        effort: measured torque [N m], (J,); NaN if the robot reports none.
        imu_quat_wxyz: attitude of the base in the world, (4,); None for a fixed base.
        imu_angular_velocity_b: in the base frame [rad/s], (3,); None for a fixed base, or if the IMU lacks it and the policy does not need
            it.
        stamps_ns: the robot's own time stamp of each source message [ns].
        received_ns: when the oldest of these messages arrived, on the loop's clock [ns].
        free_clock: whether the stamps are a simulator's, whose clock has its own rate: it can show a standstill or a jump back, but not
            late messages.
        imu_acceleration_b: accelerometer reading, including gravity, in the base frame [m/s^2], (3,); None if there is none.
    """

    position: FloatArray
    velocity: FloatArray
    effort: FloatArray
    imu_quat_wxyz: FloatArray | None
    imu_angular_velocity_b: FloatArray | None
    stamps_ns: tuple[int, ...]
    received_ns: int
    free_clock: bool = False
    imu_acceleration_b: FloatArray | None = None


@dataclass(slots=True)
class Inputs:
    """Everything that came in since the previous tick.

    Attributes:
        reading: newest complete reading; None before the first.
        command: newest operator command (C,), None before the first.
        command_ns: when it arrived [ns].
        requests: requested state changes, in order.
        wire_fault: why the newest sensor message could not be mapped to the policy's joints; None if it could.
        rivals: number of other publishers on the robot's command topic, or on its sensor topics; None while unknown.
        rival_names: their names, one line per topic. These and the hints only add words to a guard's message and are not logged.
        sensor_hint: why sensor messages do not come or do not count; empty if unknown.
        remarks: remarks on the robot's end of the wire for which nothing is refused; each as long as it holds.
        command_hint: the same for the operator's command.
        temperature: hottest sensor of each joint's motor [C], (J,); None if the wire does not report it.
        battery: its charge, from 0 to 1; None if the wire does not report it.
        sights: newest picture of each camera, by its observation group.
        sight_fault: why a camera's newest picture could not be taken; None if it could.
        sight_hints: by group, why no picture comes; they only add words, too.
    """

    reading: Reading | None = None
    command: FloatArray | None = None
    command_ns: int = 0
    requests: tuple[Event, ...] = ()
    wire_fault: str | None = None
    rivals: int | None = 0
    rival_names: tuple[str, ...] = ()
    sensor_hint: str = ""
    remarks: tuple[str, ...] = ()
    command_hint: str = ""
    temperature: FloatArray | None = None
    battery: float | None = None
    sights: Sights = field(default_factory=dict[str, Sight])
    sight_fault: str | None = None
    sight_hints: Mapping[str, str] = field(default_factory=dict[str, str])
