"""Pushing: bring an object to a place on the floor, 10 to 20 cm from where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.tasks import manipulation as common
from envs.tasks.evaluation import Evaluation, Measure, Play
from envs.terms import manipulation, objects
from envs.terms.goals import FloorGoal
from envs.terms.marks import GoalMark
from envs.terms.term import CommandTerm, EventTerm, MetricTerm, PrivilegedTerm, RewardTerm, SuccessTerm

if TYPE_CHECKING:
    import torch

    from envs.vec_env import VecEnv

CLOSE = 0.05  # m, from the goal, along the floor


def push(robot: Robot) -> EnvCfg:
    """Pushing an object along the floor.

    Raises:
        ValueError: the robot has no gripper.
    """
    common.needs_gripper(robot, "pushing")
    return EnvCfg(
        control_dt=common.CONTROL_DT,
        decimation=common.DECIMATION,
        episode_s=common.EPISODE_S,
        scene=common.scene(),
        action=common.action(),
        command=CommandTerm(FloorGoal),
        observations=common.sensed(command=True),
        privileged={"object_to_goal": PrivilegedTerm(objects.object_to_goal), **common.told()},
        rewards={
            "approach": RewardTerm(manipulation.approach, weight=1.0),
            "bring": RewardTerm(manipulation.bring, weight=4.0, sigma=0.15, planar=True),
            "near": RewardTerm(manipulation.near_goal, weight=2.0, planar=True),
            **common.care(),
        },
        terminations=common.ends(),
        reset=common.start(),
        success=SuccessTerm(manipulation.arrived, distance=CLOSE, planar=True),
        metrics={"distance": MetricTerm(distance), "arrived": MetricTerm(is_there)},
        randomization=common.worlds(goal=EventTerm(GoalMark)),
    )


def is_there(env: VecEnv) -> torch.Tensor:
    """Worlds (N,) whose object is within 5 cm of its goal along the floor, as 0 or 1."""
    return manipulation.arrived(env, CLOSE, planar=True).float()


def distance(env: VecEnv) -> torch.Tensor:
    """From the object to its goal along the floor [m], (N,)."""
    return manipulation.goal_distance(env, planar=True)


PUSH_EVALUATION = Evaluation(
    measures={
        "success": Measure(label="objects brought", kind="share", signal=is_there, tail_s=common.HELD_S, goal=0.85),
        "distance": Measure(label="distance of the object to its goal", kind="mean", signal=distance, unit="m", tail_s=common.HELD_S),
    },
    score="success",
    worlds=100,
    prepare=common.unhelped,
    curves={"distance": "distance of the object to its goal [m]", "arrived": "share of objects at their goal"},
    play=Play(measured=objects.object_position, units=("m", "m", "m")),
)
"""An object counts as brought if it stays within 5 cm of its goal during the last ten steps."""
