"""Entering `stand` and `policy`: the ramps of targets and gains, and the conditions for the policy to take over.

The functions have no state: the controller knows when a state was entered, and in which pose.
"""

from __future__ import annotations

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.guards import tilt
from bridge.control.joints import FloatArray
from bridge.control.reading import Reading
from bridge.control.safety import JointVectors, SafetyLimits


def smooth(share: float) -> float:
    """3 s^2 - 2 s^3: from 0 to 1 for s from 0 to 1, with zero speed at both ends."""
    return share * share * (3 - 2 * share)


def stand_command(start_pose: FloatArray, elapsed_s: float, joints: JointVectors, limits: SafetyLimits) -> JointCommand:
    """The command `elapsed_s` [s] after entering `stand` in `start_pose` [rad] (J,): to the default pose, with gains rising from zero."""
    share = smooth(min(1.0, elapsed_s / limits.stand_s))
    gain = min(1.0, elapsed_s / limits.gain_ramp_s)
    target = start_pose + share * (joints.default_pose - start_pose)
    zero = np.zeros_like(target)
    return JointCommand(target, zero, zero, gain * joints.kp, joints.kd)


def not_ready(reading: Reading, standing_s: float, joints: JointVectors, limits: SafetyLimits) -> str | None:
    """Why the policy may not take over from a robot that has been in `stand` for `standing_s` [s]; None if it may."""
    if standing_s < limits.stand_s:
        return "still standing up"
    error, speed = np.abs(reading.position - joints.default_pose), np.abs(reading.velocity)
    far, fast = int(np.argmax(error)), int(np.argmax(speed))
    if error[far] > limits.entry_pose:
        return f"{joints.names[far]} is {error[far]:.2f} rad from the default pose, allowed {limits.entry_pose:.2f}"
    if speed[fast] > limits.entry_speed:
        return f"{joints.names[fast]} moves at {speed[fast]:.2f} rad/s, allowed {limits.entry_speed:.2f}"
    angle = 0.0 if reading.imu_quat_wxyz is None else tilt(reading.imu_quat_wxyz)
    return None if angle <= limits.entry_tilt else f"the base is tilted by {angle:.2f} rad, allowed {limits.entry_tilt:.2f}"


def eased(target: FloatArray, held_pose: FloatArray, elapsed_s: float, limits: SafetyLimits) -> FloatArray:
    """The policy's targets [rad] (J,), blended with the pose held before during the first `entry_ramp_s` in `policy`."""
    if elapsed_s >= limits.entry_ramp_s:
        return target
    return held_pose + smooth(elapsed_s / limits.entry_ramp_s) * (target - held_pose)
