"""Whether a training has reached its targets: a small evaluation with intervals, so that luck does not end it early.

The grid, the horizon and the randomization are those of `robolearn.evaluation.evaluate`; the seed is another than the one that judges
afterwards.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch

from envs.tasks.velocity import VelocityCfg
from robolearn.config.schema import UntilCfg
from robolearn.errors import UserError
from robolearn.evaluation.evaluate import Evaluation, StudentActor, TeacherActor, episodes_a_seed, evaluate
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
        self._of_teacher: Evaluation | None = None

    @staticmethod
    def of(trainer: Any) -> Goal | None:
        """The goal of a trainer; None where its config has none."""
        until = getattr(trainer.cfg, trainer.kind).until
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
        self.missed = self._student(found) if self._trainer.kind == "student" else self._teacher(found)
        figures = {"score": found.score, "velocity_error_xy": found.velocity_error_xy, "velocity_error_yaw": found.velocity_error_yaw}
        return {f"check/{name}": value for name, value in figures.items() if value is not None}

    def _actor(self, policy: Any) -> Any:
        """Makes an actor on the CPU, where evaluations run."""
        if self._trainer.kind == "teacher":
            return lambda worlds: TeacherActor(copy.deepcopy(policy).cpu())
        return lambda worlds: StudentActor(copy.deepcopy(policy.actor).cpu(), worlds)

    def _evaluate(self, actor: Any) -> Evaluation:
        cfg, threads = self._trainer.cfg, torch.get_num_threads()
        try:
            return evaluate(actor, cfg.task, seeds=self._until.seeds, seed=SEED, env=cfg.env)
        finally:
            torch.set_num_threads(threads)

    def _teacher(self, found: Evaluation) -> list[str]:
        until: Any = self._until
        missed = _below(found, until.score)
        if until.velocity_error_xy is not None:
            missed += _above(found, until.velocity_error_xy)
        return missed

    def _student(self, found: Evaluation) -> list[str]:
        until: Any = self._until
        if self._of_teacher is None:
            teacher = self._trainer.teacher
            self._of_teacher = self._evaluate(lambda worlds: TeacherActor(copy.deepcopy(teacher).cpu()))
        theirs = self._of_teacher
        missed = _below(found, until.score_ratio * theirs.score)
        if until.error_ratio is not None and theirs.velocity_error_xy is not None:
            missed += _above(found, until.error_ratio * theirs.velocity_error_xy)
        return missed


def check_attainable(cfg: Any, kind: str) -> None:
    """Look whether targets can be met at all.

    Raises:
        UserError: a planar error of a task that has none, or a score that its few episodes cannot show even where all of them go well.
    """
    until = getattr(cfg, kind).until
    if until is None:
        return
    score, error = ("score", "velocity_error_xy") if kind == "teacher" else ("score_ratio", "error_ratio")
    if getattr(until, error) is not None and not isinstance(cfg.env, VelocityCfg):
        raise UserError(f"{kind}.until.{error} is for tasks that follow a velocity; {cfg.task} does not")
    wanted, episodes = getattr(until, score), episodes_a_seed(cfg.env)
    best = wilson(until.seeds * episodes, until.seeds * episodes)[0]
    if wanted <= best:
        return
    enough = next((n for n in range(until.seeds, 1000) if wilson(n * episodes, n * episodes)[0] >= wanted), None)
    more = "no number of them would do" if enough is None else f"give {kind}.until.seeds={enough}"
    raise UserError(
        f"{kind}.until.{score}={wanted:g} cannot be met with {kind}.until.seeds={until.seeds}: where all of the {until.seeds * episodes}"
        f" episodes go well the 95 % interval begins at {best:.3f}; {more}"
    )


def _below(found: Evaluation, wanted: float) -> list[str]:
    """What is missing of a score."""
    name = "success" if found.survival is None else "survival"
    low, high = found.intervals[name]
    if low >= wanted:
        return []
    return [f"{name} {100 * found.score:.1f} % [{100 * low:.1f}, {100 * high:.1f}], the interval must begin at {100 * wanted:.1f} %"]


def _above(found: Evaluation, wanted: float) -> list[str]:
    """How far a planar error is too large."""
    if found.velocity_error_xy is None:
        return [f"no planar error, since nobody stood long enough; {wanted:.3f} m/s wanted"]
    low, high = found.intervals["velocity_error_xy"]
    if high <= wanted:
        return []
    return [f"planar error {found.velocity_error_xy:.3f} m/s [{low:.3f}, {high:.3f}], the interval must end at {wanted:.3f} m/s"]
