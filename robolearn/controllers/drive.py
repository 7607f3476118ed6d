"""From torques to targets of the robot's position actuators, torque = kp (target - q) - kd v.

A target is held for a whole control step, in which the joint moves on. So it is chosen such that the motor gives the desired torque in the
middle of that step, if the joint then is where it is expected:

    target = q' + (torque + kd v') / kp

If it is not, the motor itself pulls it there, much sooner than the next step could.
"""

from __future__ import annotations

import numpy as np

from envs.robots.robot import Robot


class Drive:
    """The position actuators of a robot.

    Attributes:
        kp: [N m / rad], (J,).
        kd: [N m s / rad], (J,).
        effort: largest torque [N m], (J,).
    """

    def __init__(self, robot: Robot) -> None:
        self.kp, self.kd, self.effort = np.array(robot.kp), np.array(robot.kd), np.array(robot.effort_limit)

    def targets(self, position: np.ndarray, velocity: np.ndarray, torque: np.ndarray) -> np.ndarray:
        """Targets [rad] for expected positions [rad] and velocities [rad/s] and desired torques [N m], (J,) each."""
        return position + (np.clip(torque, -self.effort, self.effort) + self.kd * velocity) / self.kp
