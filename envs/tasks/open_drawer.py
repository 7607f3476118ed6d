"""Opening the drawer of a cabinet by its handle. After PixMC's cabinet (arXiv 2203.06173)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.scene.cabinet import add_cabinet
from envs.tasks import manipulation as common
from envs.tasks.evaluation import Evaluation, Measure
from envs.terms import drawers, objects, observations, terminations
from envs.terms.term import EventTerm, MetricTerm, PrivilegedTerm, ResetTerm, RewardTerm, SceneTerm, SuccessTerm, TerminationTerm

if TYPE_CHECKING:
    import torch

    from envs.vec_env import VecEnv

OPEN = 0.15  # m


def open_drawer(robot: Robot) -> EnvCfg:
    """Opening a drawer.

    Raises:
        ValueError: the robot has no gripper.
    """
    common.needs_gripper(robot, "opening a drawer")
    return EnvCfg(
        control_dt=common.CONTROL_DT,
        decimation=common.DECIMATION,
        episode_s=common.EPISODE_S,
        scene={"cabinet": SceneTerm(add_cabinet)},
        action=common.action(),
        observations=common.sensed(command=False),
        privileged={
            "tool_position": PrivilegedTerm(observations.tool_position),
            "tool_velocity": PrivilegedTerm(observations.tool_velocity),
            "hand_down": PrivilegedTerm(objects.hand_down),
            "finger_turn": PrivilegedTerm(objects.finger_turn),
            "tool_to_handle": PrivilegedTerm(drawers.tool_to_handle),
            "handle_position": PrivilegedTerm(drawers.handle_position),
            "drawer_opening": PrivilegedTerm(drawers.drawer_opening),
            "drawer_speed": PrivilegedTerm(drawers.drawer_speed),
            "randomization": PrivilegedTerm(observations.randomization),
        },
        rewards={
            "approach": RewardTerm(drawers.approach_handle, weight=1.0),
            "opening": RewardTerm(drawers.opening, weight=5.0, wanted=drawers.FULLY),
            "open": RewardTerm(drawers.opened, weight=2.0, wanted=OPEN),
            **common.care(),
        },
        terminations={"time": TerminationTerm(terminations.time_up, time_out=True)},
        reset=ResetTerm(drawers.arm_before_cabinet),
        success=SuccessTerm(drawers.opened, wanted=OPEN),
        metrics={"opening": MetricTerm(drawers.drawer_opening), "opened": MetricTerm(is_open)},
        randomization=common.worlds(object=None, cabinet=EventTerm(drawers.Cabinet)),
    )


def is_open(env: VecEnv) -> torch.Tensor:
    """Worlds (N,) whose drawer is open by 15 cm or more, as 0 or 1."""
    return drawers.opened(env, OPEN).float()


DRAWER_EVALUATION = Evaluation(
    measures={
        "success": Measure(label="drawers opened", kind="share", signal=is_open, tail_s=common.HELD_S, goal=0.85),
        "opening": Measure(
            label="opening of the drawer", kind="mean", signal=drawers.drawer_opening, unit="m", better="more", tail_s=common.HELD_S
        ),
    },
    score="success",
    worlds=100,
    curves={"opening": "opening of the drawer [m]", "opened": "share of drawers that are open"},
)
"""A drawer counts as opened if it is open by 15 cm of its 20 cm during the last ten steps."""
