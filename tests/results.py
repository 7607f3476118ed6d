"""Made-up results of evaluations."""

from __future__ import annotations

import dataclasses
from typing import Any

from envs.robots.registry import get_robot
from envs.tasks.registry import get_task
from robolearn.evaluation.figures import Figure
from robolearn.evaluation.result import EvaluationResult, outcomes
from tests.pairs import PAIRS

Given = float | None | tuple[float, float, float]


def result(name: str = "go1-velocity-flat", episodes: int = 100, **figures: Given) -> EvaluationResult:
    """A result of a pair of `tests.pairs`, whose figures are given by name: a value, or a value with its interval."""
    task, robot = PAIRS[name]
    evaluation = get_task(task).evaluation
    made = {figure: Figure(None, None, None, 0) for figure in evaluation.measures} | _figures(episodes, figures)
    told: dict[str, Any] = {"policy": "p", "robot": robot, "task": task, "engine": "mujoco", "seconds": 10.0, "seed": 0}
    found = outcomes(evaluation, made, get_robot(robot))
    return EvaluationResult(**told, episodes=episodes, figures=found, score_name=evaluation.score)


def changed(given: EvaluationResult, **figures: Given) -> EvaluationResult:
    """A result with other values of some of its figures."""
    new = _figures(given.episodes, figures)
    return dataclasses.replace(
        given,
        figures={
            name: dataclasses.replace(outcome, **{f: getattr(new[name], f) for f in ("value", "low", "high", "count")})
            if name in new
            else outcome
            for name, outcome in given.figures.items()
        },
    )


def _figures(episodes: int, given: dict[str, Given]) -> dict[str, Figure]:
    rows = {name: value if isinstance(value, tuple) else (value, None, None) for name, value in given.items()}
    return {name: Figure(*row, 0 if row[0] is None else episodes) for name, row in rows.items()}
