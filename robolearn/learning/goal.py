"""Whether a training has reached its targets: a small evaluation with intervals, so that luck does not end it early.

What is asked and measured is the task's own (`envs.tasks.evaluation`), as in `robolearn evaluate`; the seed is another than the one that
judges afterwards. The worlds are on the engine and the device of the training.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch

from envs.tasks.evaluation import Evaluation
from envs.tasks.registry import get_task
from robolearn.config.schema import UntilCfg
from robolearn.errors import UserError, suggestion
from robolearn.evaluation.actors import StudentActor, TeacherActor
from robolearn.evaluation.evaluate import evaluate
from robolearn.evaluation.figures import written
from robolearn.evaluation.result import EvaluationResult, Outcome
from robolearn.evaluation.statistics import wilson

SEED = 2000


class Goal:
    """The targets of one training.

    Attributes:
        first, last: iterations after which it is checked for the first time, and after which it ends in any case.
        every: iterations between two checks.
        missed: what the newest check missed, each in some words; empty where nothing, None before the first.
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
        """The goal of a trainer; None where its config has none."""
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
        found = self._evaluate(self._actor(self._trainer.policy))
        wanted = self._of_student(found) if self._trainer.kind == "student" else self._of(found)
        self.missed = [text for name, value in wanted.items() for text in missing(found.figures[name], value)]
        figures = {"score": found.score} | {name: figure.value for name, figure in found.figures.items() if figure.kind == "mean"}
        return {f"check/{name}": value for name, value in figures.items() if value is not None}

    def _actor(self, policy: Any) -> Any:
        """Makes an actor of a copy, which leaves the training as it is."""
        if self._trainer.kind == "teacher":
            return lambda worlds: TeacherActor(copy.deepcopy(policy))
        return lambda worlds: StudentActor(copy.deepcopy(policy.actor), worlds)

    def _evaluate(self, actor: Any) -> EvaluationResult:
        cfg, threads = self._trainer.cfg, torch.get_num_threads()
        try:
            return evaluate(actor, cfg.task, cfg.robot, cfg.env.engine, seeds=self._until.seeds, seed=SEED, env=cfg.env)
        finally:
            torch.set_num_threads(threads)

    def _of(self, found: EvaluationResult) -> dict[str, float]:
        """What a teacher must reach, by figure."""
        until: Any = self._until
        goals = {name: figure.goal for name, figure in found.figures.items() if figure.goal is not None} if until.goals else {}
        goals.pop(found.score_name, None)
        return {found.score_name: until.score} | goals | until.figures

    def _of_student(self, found: EvaluationResult) -> dict[str, float]:
        """What a student must reach, by figure, where its teacher reaches that itself."""
        until: Any = self._until
        if self._of_teacher is None:
            teacher = self._trainer.teacher
            self._of_teacher = self._evaluate(lambda worlds: TeacherActor(copy.deepcopy(teacher)))
        theirs = self._of_teacher
        values = {name: (ratio, theirs.value(name)) for name, ratio in until.ratios.items()}
        wanted = {name: ratio * value for name, (ratio, value) in values.items() if value is not None}
        return {found.score_name: until.score_ratio * theirs.score} | wanted


def missing(figure: Outcome, wanted: float) -> list[str]:
    """How far a figure's interval lies from what is wanted; empty where it does not."""
    if figure.reaches(wanted):
        return []
    aim = figure.text_of(wanted)
    if figure.value is None:
        return [f"no {figure.label}, since no episode was long enough; {aim} wanted"]
    side = "begin" if figure.better == "more" else "end"
    ends = "" if figure.interval is None else f" [{', '.join(written(end, figure.unit) for end in figure.interval)}]"
    return [f"{figure.label} {figure.text()}{ends}, the interval must {side} at {aim}"]


def check_attainable(cfg: Any, kind: str) -> None:
    """Look whether targets can be met at all.

    Raises:
        UserError: a figure that the task does not have, or a score that its few episodes cannot show even where all of them go well.
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
    more = "no number of them would do" if enough is None else f"give {kind}.until.seeds={enough}"
    raise UserError(
        f"{kind}.until.{score}={wanted:g} cannot be met with {kind}.until.seeds={until.seeds}: where all of the {until.seeds * episodes}"
        f" episodes go well the 95 % interval begins at {best:.3f}; {more}"
    )
