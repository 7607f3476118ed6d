"""Teaching a student on under given conditions: its own training goes on, with its teacher as the expert, in worlds that meet them."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import torch

from envs.terms.conditions import Conditions
from robolearn.config.schema import TrainCfg
from robolearn.learning.finish import finished
from robolearn.learning.run import readable
from robolearn.learning.student import StudentTrainer
from robolearn.learning.teacher import load_teacher
from robolearn.mining.explore import worlds_of
from robolearn.mining.space import Space
from robolearn.mining.weigh import Drawn

RATE = 0.3
"""Share of the student's learning rate at which it is taught on, falling with a cosine in each round."""


def config_of_round(cfg: TrainCfg, iterations: int, seconds: float, margin: float, seed: int) -> TrainCfg:
    """The config of a round's training: the student's own at the end of its schedule, in the worlds of `worlds_of`.

    Args:
        cfg: of the student.
        iterations: of the round.
        seconds, margin: see `worlds_of`.
        seed: of the round.
    """
    student = cfg.student
    last = dataclasses.replace(student.imitation, weight=_last_weight(cfg), annealed_at=0.0, rl_from=0.0)
    ppo = dataclasses.replace(student.ppo, learning_rate=RATE * student.ppo.learning_rate)
    student = dataclasses.replace(student, iterations=iterations, until=None, imitation=last, ppo=ppo)
    return dataclasses.replace(cfg, seed=seed, student=student, env=worlds_of(cfg.env, seconds, margin))


def _last_weight(cfg: TrainCfg) -> float:
    imitation = cfg.student.imitation
    return imitation.final_weight if imitation.annealed_at > 0 else imitation.weight


def teach(
    source: dict[str, Any], cfg: TrainCfg, space: Space, drawn: Drawn, ordinary: float, trained_levels: int | None, folder: Path
) -> dict[str, Any]:
    """Go on from a student's checkpoint, or from where a teaching that was stopped left its folder.

    Args:
        source: the student's checkpoint.
        cfg: see `config_of_round`.
        space: what the conditions' columns are.
        drawn: the conditions.
        ordinary: share of the episodes that have none and are as in training.
        trained_levels: of the ground that these start on; None where there is none.
        folder: of the run.

    Returns:
        The checkpoint after it.

    Raises:
        Interrupted: an end was asked for; the same call goes on.
    """

    def make(fresh: bool) -> StudentTrainer:
        with readable(folder):
            trainer = StudentTrainer(cfg, load_teacher({"policy": source["teacher"]}, cfg))
        env = trainer.env
        values, weights = torch.from_numpy(drawn.conditions), torch.from_numpy(drawn.weights)
        env.meet(Conditions(space.names, values, env.num_worlds, env.generator, weights, ordinary, trained_levels))
        if fresh:
            _begin(trainer, source, folder)
        return trainer

    return finished(folder, cfg.student.iterations, make)


def _begin(trainer: StudentTrainer, source: dict[str, Any], folder: Path) -> None:
    """Give a fresh trainer all that the student has learned."""
    with readable(folder):
        trainer.policy.load_state_dict(source["policy"])
        trainer.optimizer.load_state_dict(copy.deepcopy(source["optimizer"]))  # or its moments would be trained on in place
        if trainer.reference is not None:  # whom the student was held near: the one made here knows nothing
            trainer.reference.load_state_dict(source["reference"]["weights"])
    trainer.pretrained = source.get("pretrained")
    stage = {"config": source["config"], "iterations": source["iteration"], "minutes": source.get("minutes", 0.0)}
    trainer.history = [*source.get("history", []), stage]
    trainer.begin_anew()
