"""Finds the joints of arms, and the joints that swing against a leg, from the robot's kinematic tree, independent of names.

A leg's joint moves a foot. An arm's joint moves none and has another joint as its image in the left-right mirror; a waist is its own image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.robot import Robot
from envs.vec_env import VecEnv

PITCHING = 0.8  # least cosine of the angle between a joint's axis and the robot's lateral axis, for a joint that swings fore and aft


@dataclass(frozen=True, kw_only=True)
class Limbs:
    """Joints by their index in policy order.

    Attributes:
        arms: all joints of arms.
        pairs: the joint that swings each arm fore and aft, and the one that swings the leg of the other side.
        sign: 1 or -1 for each joint, so that a positive signed angle turns any limb backward about the lateral axis, (J,).
        knees: the second joint of each leg that swings it fore and aft; None if there is none.
    """

    arms: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    sign: np.ndarray
    knees: tuple[int | None, ...] = ()


def limbs(env: VecEnv) -> Limbs:
    """The limbs of an environment's robot; no arms if it has none, or no left-right symmetry."""
    mirror = env.mirror()
    return find_limbs(env.robot, env.engine.model, None if mirror is None else mirror["action"][0].tolist())


def find_limbs(robot: Robot, model: mujoco.MjModel, image: Sequence[int] | None) -> Limbs:
    """The limbs of a robot; `model` is that of its scene, `image` is the mirror image of each joint, None if unknown."""
    names = list(robot.joint_names)
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    ids = [model.joint(name).id for name in names]
    lateral, side = data.xaxis[ids, 1], data.xanchor[ids, 1]
    above = [bodies_above(model, int(model.jnt_bodyid[joint])) for joint in ids]  # chain of bodies from each joint's own body to the root
    carried = [bodies_above(model, int(model.site(f"{foot}_foot").bodyid[0])) for foot in robot.feet]
    legs = [i for i, bodies in enumerate(above) if any(bodies[0] in chain for chain in carried)]
    pitching = [i for i in range(len(names)) if abs(lateral[i]) > PITCHING]
    knees: list[int | None] = []
    for carriers in carried:
        own = sorted((i for i in pitching if above[i][0] in carriers), key=lambda i: len(above[i]))
        knees.append(own[1] if len(own) > 1 else None)
    if image is None:
        return Limbs(arms=(), pairs=(), sign=np.ones(len(names)), knees=tuple(knees))
    arms = [i for i in range(len(names)) if i not in legs and image[i] != i]

    def swings(joints: list[int]) -> list[int]:
        """For each limb, the joint nearest to the trunk that swings it fore and aft."""
        able = [i for i in joints if i in pitching]
        own = {i: above[i][0] for i in able}
        return [i for i in able if not any(own[j] in above[i][1:] for j in able if j != i)]

    hips = swings(legs)
    pairs = []
    for shoulder in swings(arms):
        other = [hip for hip in hips if side[hip] * side[shoulder] < 0]
        if other:
            pairs.append((shoulder, min(other, key=lambda hip: abs(data.xanchor[ids[hip], 0] - data.xanchor[ids[shoulder], 0]))))
    return Limbs(arms=tuple(arms), pairs=tuple(pairs), sign=np.where(lateral < -PITCHING, -1.0, 1.0), knees=tuple(knees))


def bodies_above(model: mujoco.MjModel, body: int) -> list[int]:
    """A body and its ancestors, without the world."""
    chain = []
    while body:
        chain.append(body)
        body = int(model.body_parentid[body])
    return chain
