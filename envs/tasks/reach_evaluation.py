"""How reaching policies are evaluated: a sequence of goals drawn by the task, each held for an equal share of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from envs.tasks.evaluation import Evaluation, Measure, Play
from envs.tasks.reach import SUCCESS_DISTANCE
from envs.terms.observations import tool_position
from envs.terms.rewards import goal_distance
from policies.contract.spec import CommandSpec

if TYPE_CHECKING:
    from envs.vec_env import VecEnv

NEAR = 0.04  # m; what a policy that sees its goal in few pixels can be asked for
TAIL_S = 0.5  # last part of each goal's time, in which the tool must stay there
CORNERS = ((0.5, 0.5, 0.6), (0.9, 0.1, 0.2), (0.9, 0.9, 0.3), (0.2, 0.8, 0.9), (0.3, 0.1, 0.8), (0.7, 0.5, 0.1), (0.1, 0.5, 0.4))
"""Goals for display, as shares of the workspace."""


def close_to_goal(env: VecEnv) -> torch.Tensor:
    """Worlds (N,) bool whose tool is within `SUCCESS_DISTANCE` of its goal."""
    return goal_distance(env) < SUCCESS_DISTANCE


def near_goal(env: VecEnv) -> torch.Tensor:
    """Worlds (N,) bool whose tool is within `NEAR` of its goal."""
    return goal_distance(env) < NEAR


def show_reaching(command: CommandSpec) -> list[tuple[float, ...]]:
    """Goals all over the workspace."""
    lower, upper = np.array(command.lower), np.array(command.upper)
    return [tuple((lower + np.array(corner) * (upper - lower)).tolist()) for corner in CORNERS]


REACH_EVALUATION = Evaluation(
    measures={
        "success": Measure(label="goals reached", kind="share", signal=close_to_goal, tail_s=TAIL_S, goal=0.95),
        "near": Measure(label="goals within 4 cm", kind="share", signal=near_goal, tail_s=TAIL_S),
        "distance": Measure(label="distance to the goal", kind="mean", signal=goal_distance, unit="m", tail_s=TAIL_S, dimension="length"),
    },
    score="success",
    worlds=50,
    goals=4,
    curves={"distance": "distance to the goal [m]", "at_goal": "share of goals reached"},
    play=Play(measured=tool_position, commands=show_reaching, units=("m", "m", "m")),
)
"""A goal counts as reached if the tool stays within 2 cm of it during the last half second."""
