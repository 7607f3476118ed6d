"""Left-right symmetry of a legged robot: how observations and actions look in a mirror.

A reflection in the x-z plane of the base keeps x and z of vectors and flips y; it flips the x and z of angular velocities and keeps
y; it swaps left and right legs and flips the hips' abduction. It is a signed permutation, so applying it twice changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from envs.vec_env import VecEnv

Mirror = tuple[torch.Tensor, torch.Tensor]
"""Permutation (n,) and sign (n,): mirrored = x[..., permutation] * sign."""


def joint_mirror(joints: tuple[str, ...]) -> tuple[list[int], list[float]]:
    """Which joint each joint is in the mirror, and its sign: names that begin with the legs' FR, FL, RR, RL are swapped."""
    swap = {"FR": "FL", "FL": "FR", "RR": "RL", "RL": "RR"}
    index = {name: i for i, name in enumerate(joints)}
    permutation = [index[swap[name[:2]] + name[2:]] for name in joints]
    return permutation, [-1.0 if "_hip_" in name else 1.0 for name in joints]


def velocity_mirror(env: VecEnv) -> dict[str, Mirror]:
    """The reflections of `policy`, `privileged` and `action` vectors of a velocity task."""
    joint_permutation, joint_sign = joint_mirror(env.robot.joints)
    feet = list(env.robot.feet)
    foot_permutation = [feet.index(name[0] + {"R": "L", "L": "R"}[name[1]]) for name in feet]
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
        "clock": ([0, 1], [-1.0, -1.0]),  # half a turn later: the other diagonal pair swings
    }
    policy = [blocks[term.name] for term in env.spec.observation]
    # order of VelocityEnv.privileged_extras and FieldRandomizer.privileged
    extras = [vector, keep, foot, foot, foot, keep, keep, vector, vector, keep, keep, keep, keep]
    parts = {"policy": policy, "privileged": policy + extras, "action": [joint]}
    return {name: _join(blocks, env.device) for name, blocks in parts.items()}


def _join(blocks: list[tuple[list[int], list[float]]], device: torch.device) -> Mirror:
    permutation: list[int] = []
    sign: list[float] = []
    for indices, signs in blocks:
        permutation += [len(sign) + index for index in indices]
        sign += signs
    return torch.tensor(permutation, device=device), torch.tensor(sign, device=device)
