"""Left-right symmetry of a legged robot: how observations and actions look in a mirror.

A reflection in the x-z plane of the base keeps x and z of vectors and flips y; it flips the x and z of angular velocities and keeps
y; it swaps left and right limbs. It is a signed permutation, so applying it twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import torch

from envs.robots.robot import Robot
from envs.scene.terrain import SCAN_POINTS

if TYPE_CHECKING:
    from envs.tasks.velocity import VelocityEnv

Mirror = tuple[torch.Tensor, torch.Tensor]
"""Permutation (n,) and sign (n,): mirrored = x[..., permutation] * sign."""


def opposite(name: str) -> str:
    """The name of the same part on the other side: `left_x` and `right_x`, `FL_x` and `FR_x`; parts of the middle keep theirs."""
    for left, right in (("left", "right"), ("FL", "FR"), ("RL", "RR")):
        for here, there in ((left, right), (right, left)):
            if name == here or name.startswith(here + "_"):
                return there + name[len(here) :]
    return name


def joint_mirror(robot: Robot) -> tuple[list[int], list[float]]:
    """Which joint each joint is in the mirror, and its sign: a rotation about y stays, one about x or z turns round."""
    index = {name: i for i, name in enumerate(robot.joints)}
    model = mujoco.MjModel.from_xml_path(str(robot.mjcf))
    axes = [model.jnt_axis[model.joint(name).id] for name in robot.joints]
    return [index[opposite(name)] for name in robot.joints], [1.0 if abs(axis[1]) > 0.9 else -1.0 for axis in axes]


def velocity_mirror(env: VelocityEnv) -> dict[str, Mirror]:
    """The reflections of `policy`, `privileged` and `action` vectors of a velocity task."""
    joint_permutation, joint_sign = joint_mirror(env.robot)
    feet = list(env.robot.feet)
    foot_permutation = [feet.index(opposite(name)) for name in feet]
    keep = ([0], [1.0])
    vector = ([0, 1, 2], [1.0, -1.0, 1.0])
    spin = ([0, 1, 2], [-1.0, 1.0, -1.0])
    joint = (joint_permutation, joint_sign)
    foot = (foot_permutation, [1.0] * len(feet))
    blocks = {
        "base_angular_velocity": spin,
        "projected_gravity": vector,
        "command": ([0, 1, 2], [1.0, -1.0, -1.0]),
        "joint_position": joint,
        "joint_velocity": joint,
        "last_action": joint,
        "clock": ([0, 1], [-1.0, -1.0]),  # half a turn later: the other feet swing
    }
    policy = [blocks[term.name] for term in env.spec.observation]
    # order of VelocityEnv.privileged_extras and FieldRandomizer.privileged
    extras = [vector, keep, foot, foot, foot, keep, keep, vector, vector, keep, keep, keep, keep, keep]
    if env.terrain is not None:  # the height scan: left and right change places
        points = [(round(x, 6), round(y, 6)) for x, y in SCAN_POINTS]
        extras = [*extras, ([points.index((x, -y if y else y)) for x, y in points], [1.0] * len(points))]
    parts = {"policy": policy, "privileged": policy + extras, "action": [joint]}
    return {name: _join(blocks, env.device) for name, blocks in parts.items()}


def _join(blocks: list[tuple[list[int], list[float]]], device: torch.device) -> Mirror:
    permutation: list[int] = []
    sign: list[float] = []
    for indices, signs in blocks:
        permutation += [len(sign) + index for index in indices]
        sign += signs
    return torch.tensor(permutation, device=device), torch.tensor(sign, device=device)
