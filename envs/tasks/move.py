"""Moving: grasp an object that lies before the arm, and hold it at a place that is shown. After PixMC (arXiv 2203.06173)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.tasks import manipulation as common
from envs.tasks.evaluation import Evaluation, Measure, Play
from envs.terms import manipulation, objects
from envs.terms.goals import PlaceGoal
from envs.terms.marks import GoalMark
from envs.terms.term import CommandTerm, EventTerm, MetricTerm, PrivilegedTerm, RewardTerm, SuccessTerm

if TYPE_CHECKING:
    import torch

    from envs.vec_env import VecEnv

CLOSE = 0.05  # m, from the goal


def move(robot: Robot) -> EnvCfg:
    """Moving an object to a place.

    Raises:
        ValueError: the robot has no gripper.
    """
    common.needs_gripper(robot, "moving an object")
    return EnvCfg(
        control_dt=common.CONTROL_DT,
        decimation=common.DECIMATION,
        episode_s=common.EPISODE_S,
        scene=common.scene(),
        action=common.action(),
        command=CommandTerm(PlaceGoal),
        observations=common.sensed(command=True),
        privileged={"object_to_goal": PrivilegedTerm(objects.object_to_goal), **common.told()},
        rewards={
            "approach": RewardTerm(manipulation.approach, weight=1.0),
            "grasp": RewardTerm(manipulation.grasp, weight=1.0),
            "carry": RewardTerm(manipulation.carry, weight=8.0),
            "near": RewardTerm(manipulation.near_goal, weight=4.0),
            **common.care(),
        },
        terminations=common.ends(),
        reset=common.start(),
        success=SuccessTerm(manipulation.arrived, distance=CLOSE),
        metrics={"holding": MetricTerm(objects.holding), "arrived": MetricTerm(is_there)},
        randomization=common.worlds(goal=EventTerm(GoalMark)),
    )


def is_there(env: VecEnv) -> torch.Tensor:
    """Worlds (N,) whose object is within 5 cm of its goal, as 0 or 1."""
    return manipulation.arrived(env, CLOSE).float()


MOVE_EVALUATION = Evaluation(
    measures={
        "success": Measure(label="objects brought", kind="share", signal=is_there, tail_s=common.HELD_S, goal=0.85),
        "distance": Measure(
            label="distance of the object to its goal", kind="mean", signal=manipulation.goal_distance, unit="m", tail_s=common.HELD_S
        ),
    },
    score="success",
    worlds=100,
    prepare=common.unhelped,
    curves={"holding": "share that holds its object", "arrived": "share of objects at their goal"},
    play=Play(measured=objects.object_position, units=("m", "m", "m")),
)
"""An object counts as brought if it stays within 5 cm of its goal during the last ten steps."""
