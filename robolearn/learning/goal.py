"""Checks whether a training has reached its targets, by a small evaluation with intervals, so that luck does not end it early.

Commands and measures are the task's (`envs.tasks.evaluation`), as in `robolearn evaluate`, with another seed than the later evaluation's.
The worlds are on the engine and the device of the training.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch

from envs.env_cfg import EnvCfg
from envs.tasks.evaluation import Evaluation
from envs.tasks.registry import get_task
from robolearn.config.schema import UntilCfg
from robolearn.errors import UserError, suggestion
from robolearn.evaluation.actors import StudentActor, TeacherActor
from robolearn.evaluation.evaluate import evaluate
from robolearn.evaluation.figures import written
from robolearn.evaluation.result import EvaluationResult, Outcome
from robolearn.evaluation.sight import worlds_of
from robolearn.evaluation.statistics import wilson

SEED = 2000


class Goal:
    """The targets of one training.

    Attributes:
        first, last: iterations after which the targets are first checked, and after which the training ends in any case.
        every: iterations between two checks.
        missed: targets that the latest check missed, in words; empty if none, None before the first check.
    """

    def __init__(self, trainer: Any, until: UntilCfg) -> None:
        self._trainer, self._until = trainer, until
        self.first = int(trainer.iterations)
        self.every = max(1, round(until.every * self.first))
        self.last = max(self.first, math.floor(until.at_most * self.first))
        self.missed: list[str] | None = None
        self._of_teacher: EvaluationResult | None = None

    @staticmethod
    def of(trainer: Any) -> Goal | None:
        """The goal of a trainer; None if its config has none."""
        until = getattr(getattr(trainer.cfg, trainer.kind), "until", None)  # a pretraining has none
        if until is None:
            return None
        check_attainable(trainer.cfg, trainer.kind)
        return Goal(trainer, until)

    def due(self) -> bool:
        """Whether to check now."""
        done = self._trainer.iteration
        return done >= self.last or (done >= self.first and (done - self.first) % self.every == 0)

    def check(self) -> dict[str, float]:
        """Evaluate, and set `missed`. Returns the figures as metrics."""
        cfg = self._trainer.cfg
        env = worlds_of(cfg.env, cfg.student) if self._trainer.kind == "student" else cfg.env.blind()
        found = self._evaluate(self._actor(self._trainer.policy), env)
        wanted = self._of_student(found) if self._trainer.kind == "student" else self._of(found)
        self.missed = [text for name, value in wanted.items() for text in missing(found.figures[name], value)]
        figures = {"score": found.score} | {name: figure.value for name, figure in found.figures.items() if figure.kind == "mean"}
        return {f"check/{name}": value for name, value in figures.items() if value is not None}

    def _actor(self, policy: Any) -> Any:
        """Makes an actor from a copy of the policy, so that the training is not affected."""
        if self._trainer.kind == "teacher":
            return lambda worlds: TeacherActor(copy.deepcopy(policy))
        return lambda worlds: StudentActor(copy.deepcopy(policy.actor), worlds)

    def _evaluate(self, actor: Any, env: EnvCfg) -> EvaluationResult:
        cfg, threads = self._trainer.cfg, torch.get_num_threads()
        try:
            return evaluate(actor, cfg.task, cfg.robot, cfg.env.engine, seeds=self._until.seeds, seed=SEED, env=env)
        finally:
            torch.set_num_threads(threads)

    def _of(self, found: EvaluationResult) -> dict[str, float]:
        """A teacher's targets, by figure."""
        until: Any = self._until
        goals = {name: figure.goal for name, figure in found.figures.items() if figure.goal is not None} if until.goals else {}
        goals.pop(found.score_name, None)
        return {found.score_name: until.score} | goals | until.figures

    def _of_student(self, found: EvaluationResult) -> dict[str, float]:
        """A student's targets, by figure, as far as its teacher reaches them itself."""
        until: Any = self._until
        if self._of_teacher is None:
            teacher = self._trainer.teacher
            self._of_teacher = self._evaluate(lambda worlds: TeacherActor(copy.deepcopy(teacher)), self._trainer.cfg.env.blind())
        theirs = self._of_teacher
        values = {name: (ratio, theirs.value(name)) for name, ratio in until.ratios.items()}
        wanted = {name: ratio * value for name, (ratio, value) in values.items() if value is not None}
        return {found.score_name: until.score_ratio * theirs.score} | wanted


def missing(figure: Outcome, wanted: float) -> list[str]:
    """How a figure's interval misses its target, in words; empty if it does not."""
    if figure.reaches(wanted):
        return []
    aim = figure.text_of(wanted)
    if figure.value is None:
        return [f"no {figure.label}, since no episode was long enough; the target is {aim}"]
    side = "begin" if figure.better == "more" else "end"
    ends = "" if figure.interval is None else f" [{', '.join(written(end, figure.unit) for end in figure.interval)}]"
    return [f"{figure.label} {figure.text()}{ends}, the interval must {side} at {aim}"]


def check_attainable(cfg: Any, kind: str) -> None:
    """Check whether targets can be met at all.

    Raises:
        UserError: the task lacks a figure, or its few episodes cannot show the score even if all succeed.
    """
    until = getattr(cfg, kind).until
    if until is None:
        return
    evaluation: Evaluation = get_task(cfg.task).evaluation
    score, table = ("score", "figures") if kind == "teacher" else ("score_ratio", "ratios")
    for name in getattr(until, table):
        if name == evaluation.score:
            raise UserError(f"{kind}.until.{table}.{name} is the score of task {cfg.task}: give {kind}.until.{score}")
        if name not in evaluation.measures:
            near, valid = suggestion(name, evaluation.measures), ", ".join(n for n in evaluation.measures if n != evaluation.score)
            raise UserError(f"{kind}.until.{table} names {name!r}, which task {cfg.task} does not measure{near}; valid: {valid}")
    wanted, episodes = getattr(until, score), evaluation.episodes_a_seed
    best = wilson(until.seeds * episodes, until.seeds * episodes)[0]
    if wanted <= best:
        return
    enough = next((n for n in range(until.seeds, 1000) if wilson(n * episodes, n * episodes)[0] >= wanted), None)
    more = "no number of them is enough" if enough is None else f"give {kind}.until.seeds={enough}"
    raise UserError(
        f"{kind}.until.{score}={wanted:g} cannot be met with {kind}.until.seeds={until.seeds}: even if all {until.seeds * episodes} "
        f"episodes succeed, the 95 % interval begins at {best:.3f}; {more}"
    )
