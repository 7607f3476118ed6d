"""The left-right symmetry of a legged robot: mirror images of joints and feet, in policy order, from its `mirror` table or its geometry."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.describe.symmetry import mirror
from envs.robots.robot import Robot
from envs.robots.spots import foot_site

FOOT_TOLERANCE = 0.1  # share of the base's height: largest distance of a foot from its mirrored place


@dataclass(frozen=True)
class RobotImage:
    """Permutation and sign of quantities with one entry per joint, and per foot.

    Attributes:
        joints: (J,) each; a joint's deviation from the default pose is its image's times the sign.
        feet: (F,) each; signs are all 1.
        faults: parts without an image; then the others are empty.
    """

    joints: tuple[list[int], list[float]]
    feet: tuple[list[int], list[float]]
    faults: tuple[str, ...] = ()


def robot_image(robot: Robot, model: mujoco.MjModel) -> RobotImage:
    """The symmetry of a robot about its base's x-z plane; `model` is that of its scene.

    If the robot's constants have no table, the tree of joints is reflected in the default pose; names are not used.
    """
    faults: list[str] = []
    images = robot.mirror
    if images is None:
        found = mirror(model, np.array(model.key("stand").qpos))
        lacking = [name for name in robot.joints if found.joints.get(name, ("", 0.0))[0] not in robot.joints]
        faults += found.faults or [f"{name} has no mirror image among the controlled joints" for name in lacking]
        images = found.joints
    elif not images:
        faults.append("its `mirror` is empty: it has no symmetry")
    feet = _feet(robot, model)
    if feet is None:
        faults.append("its feet are placed differently on the left and on the right")
    if faults or feet is None:
        return RobotImage(([], []), ([], []), tuple(faults))
    index = {name: i for i, name in enumerate(robot.joints)}
    pairs = [images[name] for name in robot.joints]
    return RobotImage(([index[image] for image, _ in pairs], [float(sign) for _, sign in pairs]), (feet, [1.0] * len(feet)))


def _feet(robot: Robot, model: mujoco.MjModel) -> list[int] | None:
    """The mirror image of each foot, by their places; None if one has no counterpart."""
    if not robot.feet:
        return []
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
    mujoco.mj_kinematics(model, data)
    root = int(model.body_rootid[model.body(robot.base).id])
    at_b = np.array([data.site(foot_site(foot)).xpos - data.xpos[root] for foot in robot.feet]) @ data.xmat[root].reshape(3, 3)
    away = np.linalg.norm(at_b[None] - (at_b * [1, -1, 1])[:, None], axis=2)  # from the image of the first to the second
    images = away.argmin(axis=1)
    fits = away.min(axis=1).max() < FOOT_TOLERANCE * robot.leg_length and sorted(images) == list(range(len(images)))
    return [int(image) for image in images] if fits else None
