"""An observation of our own: what the robot can sense, by operators that numpy and torch share, so that training and robot agree."""

from typing import Any

from policies.contract.observation import Sensors


def joint_error(sensors: Sensors, default_pose: Any) -> Any:
    """How far the joints are from their last targets [rad], (..., J): a robot without torque sensors feels a load by it."""
    return None if sensors.joint_target is None else sensors.joint_target - sensors.joint_position
