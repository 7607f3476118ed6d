"""Left-right symmetry of a task: the mirror images of its observations and actions, composed from the images of its terms.

A reflection in the x-z plane of the base keeps x and z of vectors and flips y; it flips the x and z of angular velocities and keeps
y; it swaps left and right limbs. It is a signed permutation, so applying it twice changes nothing. A task whose terms do not all have an
image has no such symmetry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from envs.robots.symmetry import RobotImage, robot_image
from envs.terms.about import About, Image
from envs.terms.face import Env

Mirror = tuple[torch.Tensor, torch.Tensor]
"""Permutation (n,) and sign (n,): mirrored = x[..., permutation] * sign."""
GAIT_TOLERANCE = 0.01  # turns
FIXED: dict[str, Image] = {
    "keep": ([0], [1.0]),
    "flip": ([0], [-1.0]),
    "vector": ([0, 1, 2], [1.0, -1.0, 1.0]),
    "spin": ([0, 1, 2], [-1.0, 1.0, -1.0]),
}
"""Images that do not depend on the robot."""


@dataclass(frozen=True)
class Block:
    """One term of a vector.

    Attributes:
        name: name of the term.
        dim: number of entries.
        about: its image.
    """

    name: str
    dim: int
    about: About


@dataclass(frozen=True)
class Symmetry:
    """The mirror images of a task's vectors, or why there are none.

    Attributes:
        mirrors: images of `policy`, `privileged` and `action`; empty if there are none.
        faults: parts without an image, and why.
    """

    mirrors: Mapping[str, Mirror]
    faults: tuple[str, ...]


def symmetry(env: Env, policy: list[Block], extras: list[Block], command: tuple[float, ...] | None) -> Symmetry:
    """The symmetry of a task.

    Args:
        env: the environment.
        policy: terms of the policy's observation, in order.
        extras: further terms of the privileged observation after those.
        command: sign of each entry of the command in the mirror; None if it has no image.
    """
    if not env.robot.floating_base:
        return Symmetry({}, (f"{env.robot.name} has a fixed base",))
    robot = robot_image(env.robot, env.robot.compiled)
    faults = [*robot.faults, *_gait_faults(env, policy, robot)]
    images: dict[str, list[Image]] = {"policy": [], "extras": []}
    for part, blocks in (("policy", policy), ("extras", extras)):
        for block in blocks:
            image = _image(env, block, robot, command)
            if isinstance(image, str):
                faults.append(f"term {block.name!r} {image}")
            else:
                images[part].append(image)
    if faults:
        return Symmetry({}, tuple(faults))
    parts = {"policy": images["policy"], "privileged": images["policy"] + images["extras"], "action": [robot.joints]}
    return Symmetry({name: _join(found, env.device) for name, found in parts.items()}, ())


def _gait_faults(env: Env, policy: list[Block], robot: RobotImage) -> list[str]:
    """Feet whose image does not swing half a turn of the clock later, as the clock's mirror image requires."""
    if robot.faults or all(block.name != "clock" for block in policy):
        return []
    turns, names = env.robot.gait, list(env.robot.feet)
    pairs = [(foot, image) for foot, image in enumerate(robot.feet[0]) if abs((turns[foot] - turns[image]) % 1.0 - 0.5) > GAIT_TOLERANCE]
    return [f"the foot {names[foot]} does not lift off half a turn after {names[image]}" for foot, image in pairs]


def _image(env: Env, block: Block, robot: RobotImage, command: tuple[float, ...] | None) -> Image | str:
    """The image of a term, or what is wrong with it."""
    mirror = block.about.mirror
    if mirror is None:
        return "has no mirror image; declare one for its function with envs.terms.about.about(mirror=...)"
    if callable(mirror):
        image = mirror(env)
    else:
        kinds = (mirror,) if isinstance(mirror, str) else mirror
        if "command" in kinds and command is None:
            return "has no mirror image: the command's class declares none"
        signs = list(command or ())
        known = FIXED | {"joint": robot.joints, "foot": robot.feet, "command": (list(range(len(signs))), signs)}
        if len(kinds) == 1 and kinds[0] in ("keep", "flip"):
            kinds = kinds * block.dim
        image = _chain([known[kind] for kind in kinds])
    if len(image[0]) != block.dim:
        return f"has {block.dim} entries, but an image of {len(image[0])}"
    return image


def _chain(images: list[Image]) -> Image:
    permutation: list[int] = []
    sign: list[float] = []
    for indices, signs in images:
        permutation += [len(sign) + index for index in indices]
        sign += signs
    return permutation, sign


def _join(images: list[Image], device: torch.device) -> Mirror:
    permutation, sign = _chain(images)
    return torch.tensor(permutation, device=device), torch.tensor(sign, device=device)
