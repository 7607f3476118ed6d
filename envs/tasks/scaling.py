"""How numbers of a task grow with the robot."""

from __future__ import annotations

from envs.robots.robot import Robot


def factor(robot: Robot, dimension: str) -> float:
    """What a number of a dimension is multiplied by; 1 for the robot that the task's numbers are of."""
    del robot, dimension
    return 1.0
