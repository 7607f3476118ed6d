"""A legged robot in the mirror: which joint and which foot is which, in policy order."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco

from envs.robots.robot import Robot


@dataclass(frozen=True)
class RobotImage:
    """Permutation and sign of what there is one of a joint, and of what there is one of a foot.

    Attributes:
        joints: (J,) each; a joint's deviation from the default pose is its image's times the sign.
        feet: (F,) each; signs are all 1.
        faults: what has no image; the others are empty then.
    """

    joints: tuple[list[int], list[float]]
    feet: tuple[list[int], list[float]]
    faults: tuple[str, ...] = ()


def opposite(name: str) -> str:
    """The name of the same part on the other side: `left_x` and `right_x`, `FL_x` and `FR_x`; parts of the middle keep theirs."""
    for left, right in (("left", "right"), ("FL", "FR"), ("RL", "RR")):
        for here, there in ((left, right), (right, left)):
            if name == here or name.startswith(here + "_"):
                return there + name[len(here) :]
    return name


def robot_image(robot: Robot, model: mujoco.MjModel) -> RobotImage:
    """The robot in the mirror; `model` is that of its scene."""
    index = {name: i for i, name in enumerate(robot.joints)}
    axes = [model.jnt_axis[model.joint(name).id] for name in robot.joints]
    joints = [index[opposite(name)] for name in robot.joints], [1.0 if abs(axis[1]) > 0.9 else -1.0 for axis in axes]
    feet = list(robot.feet)
    return RobotImage(joints, ([feet.index(opposite(name)) for name in feet], [1.0] * len(feet)))
