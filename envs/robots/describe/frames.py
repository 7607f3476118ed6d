"""Checks that a robot's base frame is x forward, y left, z up, as robolearn assumes."""

from __future__ import annotations

import mujoco
import numpy as np

from envs.robots.describe.notes import Log

LIMBS = 2
Z_UP = "robolearn assumes that its z axis is up"
SIDEWAYS = 3.0
"""z is not up if the ends of limbs are, on average, this many times farther to the side than below."""


def say_frame(model: mujoco.MjModel, root: str, free: bool, log: Log) -> None:
    """Remarks on a base whose frame is rotated in the file, or whose limbs reach along another axis than -z."""
    up = np.zeros(9)
    mujoco.mju_quat2Mat(up, model.body_quat[model.body(root).id])
    mend = "turn the model so that the base's x axis points forward and its z axis up"
    if free and up[8] < 0.7:
        log.remark(f"the frame of {root} is not upright in the file, and {Z_UP}", mend)
    elif (sideways := limbs_sideways(model, root)) is not None:
        log.remark(f"the limbs of {root} reach along its {'xyz'[int(np.abs(sideways).argmax())]} axis, and {Z_UP}", mend)


def limbs_sideways(model: mujoco.MjModel, root: str) -> np.ndarray | None:
    """The axis (3,) of the root's frame along which its limbs reach, if that is x or y in either direction; None if its z may be up."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    body = model.body(root).id
    ends = _limb_ends(model, data, body)
    if len(ends) < LIMBS:
        return None
    local = (data.xpos[ends] - data.xpos[body]) @ data.xmat[body].reshape(3, 3)
    mean = local.mean(axis=0)
    axis = int(np.abs(mean).argmax())
    if axis == 2 or abs(mean[axis]) < SIDEWAYS * abs(mean[2]) or abs(mean[axis]) < 0.3 * float(np.linalg.norm(local, axis=1).mean()):
        return None
    direction = np.zeros(3)
    direction[axis] = np.sign(mean[axis])
    return direction


def _limb_ends(model: mujoco.MjModel, data: mujoco.MjData, root: int) -> list[int]:
    """For each limb attached to the root by a joint, the body farthest from the root, at least two joints away."""
    farthest: dict[int, tuple[float, int]] = {}
    for body in range(root + 1, model.nbody):
        joints, limb = 0, body
        while limb > root:
            joints += int(model.body_jntnum[limb])
            if model.body_parentid[limb] == root:
                break
            limb = int(model.body_parentid[limb])
        if limb > root and model.body_jntnum[limb] and joints >= 2:
            distance = float(np.linalg.norm(data.xpos[body] - data.xpos[root]))
            farthest[limb] = max(farthest.get(limb, (-1.0, body)), (distance, body))
    return [body for _, body in farthest.values()]
