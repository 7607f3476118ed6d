"""Detects values that a message declares as missing by its definition, so that they are not used.

| message | field | says "not there" by | here |
|---|---|---|---|
| any with a header | stamp | 0 | sensors: refused; commands: counted from their arrival |
| sensor_msgs/Imu | orientation | orientation_covariance[0] = -1, (0, 0, 0, 0), a variance beyond a turn | refused |
| sensor_msgs/Imu | angular_velocity | angular_velocity_covariance[0] = -1, a variance beyond a gyro's | refused if the policy uses it |
| sensor_msgs/JointState | name, position, velocity | an empty array | refused |
| sensor_msgs/JointState | effort | an empty array, NaN | treated as absent |

A message with a missing value is dropped, so `stale_sensor` trips, with these words. NaN is left to `finite_sensor`.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.control.joints import FloatArray, JointError

MOST_TURN_VARIANCE = (2 * math.pi) ** 2  # [rad^2]: who does not know an attitude to a turn does not know it
MOST_RATE_VARIANCE = 35.0**2  # [(rad/s)^2]: 2,000 degrees a second, where gyros end


class NotAvailableError(JointError):
    """A message declares something as missing that the robot needs."""


def check_stamp(stamp_ns: int) -> None:
    """Refuse a sensor message without a time [ns].

    Raises:
        NotAvailableError: the stamp is 0.
    """
    if stamp_ns == 0:
        raise NotAvailableError("header.stamp is 0, so old messages cannot be told from new ones; the driver has to fill it in")


def orientation(imu: Any) -> FloatArray:
    """The attitude wxyz (4,) of an Imu message.

    Raises:
        NotAvailableError: it has none.
    """
    reason = _unknown(imu.orientation_covariance, (0, 4), MOST_TURN_VARIANCE)  # the heading, entry 8, may be unknown: nothing here uses it
    o = imu.orientation
    quat = np.array([o.w, o.x, o.y, o.z])
    if reason is None and not quat.any():
        reason = "the quaternion is (0, 0, 0, 0)"
    if reason is not None:
        raise NotAvailableError(
            f"the IMU has no orientation ({reason}); the robot cannot balance without one: use a driver that estimates it"
        )
    return quat


def angular_velocity(imu: Any, needed: bool) -> FloatArray | None:
    """The angular velocity [rad/s] (3,) of an Imu message; None if it has none and the policy does not need it.

    Raises:
        NotAvailableError: it has none, and the policy needs it.
    """
    reason = _unknown(imu.angular_velocity_covariance, (0, 4, 8), MOST_RATE_VARIANCE)
    if reason is None:
        r = imu.angular_velocity
        return np.array([r.x, r.y, r.z])
    if needed:
        raise NotAvailableError(f"the IMU has no angular velocity ({reason}), and the policy needs it")
    return None


def acceleration(imu: Any) -> FloatArray | None:
    """What the accelerometer of an Imu message tells [m/s^2] (3,); None where it has none."""
    a = imu.linear_acceleration
    pull = np.array([a.x, a.y, a.z])
    return None if imu.linear_acceleration_covariance[0] < 0 or not pull.any() or not np.isfinite(pull).all() else pull


def _unknown(covariance: Any, entries: tuple[int, ...], most: float) -> str | None:
    """What in a covariance says that the quantity is not there; None for nothing. All zeros means: as good as the sensor is."""
    if covariance[0] < 0:
        return f"covariance[0] is {covariance[0]:g}, which means: not available"
    worst = max(covariance[entry] for entry in entries)
    return f"its variance is {worst:.3g}" if worst >= most else None


def check_arrays(message: Any) -> None:
    """Refuse a JointState without names, positions or velocities.

    Raises:
        NotAvailableError: names the array that is empty.
    """
    count = len(message.name)
    if count == 0:
        raise NotAvailableError("JointState.name is empty: joints are matched by their names, so the driver has to send them")
    for field in ("position", "velocity"):
        if len(getattr(message, field)) == 0:
            raise NotAvailableError(f"{field} has 0 values for {count} joints: the driver reports no {field}, and the robot needs it")
