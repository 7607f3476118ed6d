"""What a transport hands to the controller at each tick."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.control.joints import FloatArray
from bridge.control.safety import Event


@dataclass(slots=True)
class Reading:
    """The newest sensor values, joints in policy order.

    Attributes:
        position: [rad], (J,).
        velocity: [rad/s], (J,).
        effort: measured torque [N m], (J,); NaN where the robot reports none.
        imu_quat_wxyz: attitude of the base in the world, (4,); None for a fixed base.
        imu_angular_velocity_b: in the base frame [rad/s], (3,); None for a fixed base, or if the IMU has none and the policy needs none.
        stamps_ns: the robot's own time stamp of each source message [ns].
        received_ns: when the oldest of these messages arrived, on the loop's clock [ns].
        free_clock: whether the stamps are a simulator's, whose clock runs at a rate of its own: it may say that it stands still or goes
            back, but not that messages are late.
        imu_acceleration_b: what the accelerometer tells, gravity included, in the base frame [m/s^2], (3,); None where there is none.
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
    """Everything that came in since the tick before.

    Attributes:
        reading: newest complete reading; None before the first.
        command: newest operator command (C,), None before the first.
        command_ns: when it arrived [ns].
        requests: state changes asked for, in order.
        wire_fault: why the newest sensor message could not be mapped to the policy's joints; None if it could.
        rivals: how many others publish to the robot's command topic, or the robot's sensors beside it; None while that is not known yet.
        rival_names: who they are, a line for each topic. These and the hints are words for what a guard says anyway: no log has them.
        sensor_hint: why sensor messages do not come or do not count; empty where nothing is known.
        remarks: what a person should know of the robot's end of the wire although nothing is refused for it; each as long as it holds.
        command_hint: likewise for the operator's command.
        temperature: hottest sensor of each joint's motor [C], (J,); None where the wire does not tell.
        battery: its charge, from 0 to 1; None where the wire does not tell.
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
