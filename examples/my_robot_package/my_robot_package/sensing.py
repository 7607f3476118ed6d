"""A custom observation from the robot's sensors, with operators that numpy and torch share, so that training and robot agree."""

from typing import Any

from policies.contract.observation import Sensors


def joint_error(sensors: Sensors, default_pose: Any) -> Any:
    """Distance of the joints from their last targets [rad], (..., J), which shows a load to a robot without torque sensors."""
    return None if sensors.joint_target is None else sensors.joint_target - sensors.joint_position
