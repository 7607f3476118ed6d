"""Picking: grasp an object that lies before the arm, and lift it. After PixMC (Xiao et al. 2022, arXiv 2203.06173)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.tasks import manipulation as common
from envs.tasks.evaluation import Evaluation, Measure
from envs.terms import manipulation, objects
from envs.terms.term import MetricTerm, RewardTerm, SuccessTerm

if TYPE_CHECKING:
    import torch

    from envs.vec_env import VecEnv

HEIGHT = 0.4  # m, to which the object is lifted
CLOSE = 0.1  # m, from that height


def pick(robot: Robot) -> EnvCfg:
    """Grasping and lifting.

    Raises:
        ValueError: the robot has no gripper.
    """
    common.needs_gripper(robot, "picking")
    return EnvCfg(
        control_dt=common.CONTROL_DT,
        decimation=common.DECIMATION,
        episode_s=common.EPISODE_S,
        scene=common.scene(),
        action=common.action(),
        observations=common.sensed(command=False),
        privileged=common.told(),
        rewards={
            "approach": RewardTerm(manipulation.approach, weight=1.0),
            "grasp": RewardTerm(manipulation.grasp, weight=1.0),
            "lift": RewardTerm(manipulation.lift, weight=10.0, height=HEIGHT),
            "at_height": RewardTerm(manipulation.at_height, weight=5.0, height=HEIGHT),
            **common.care(),
        },
        terminations=common.ends(),
        reset=common.start(),
        success=SuccessTerm(manipulation.lifted, height=HEIGHT, distance=CLOSE),
        metrics={
            "holding": MetricTerm(objects.holding),
            "lifted": MetricTerm(is_lifted),
        },
        randomization=common.worlds(),
    )


def is_lifted(env: VecEnv) -> torch.Tensor:
    """Worlds (N,) whose object is within 0.1 m of the height of 0.4 m, as 0 or 1."""
    return manipulation.lifted(env, HEIGHT, CLOSE).float()


def height(env: VecEnv) -> torch.Tensor:
    """Height of the object [m], (N,)."""
    return objects.object_height(env)


PICK_EVALUATION = Evaluation(
    measures={
        "success": Measure(label="objects lifted", kind="share", signal=is_lifted, tail_s=common.HELD_S, goal=0.9),
        "height": Measure(label="height of the object", kind="mean", signal=height, unit="m", better="more", tail_s=common.HELD_S),
    },
    score="success",
    worlds=100,
    prepare=common.unhelped,
    curves={"holding": "share that holds its object", "lifted": "share that has lifted its object"},
)
"""An object counts as lifted if it stays within 0.1 m of the height of 0.4 m during the last ten steps."""
