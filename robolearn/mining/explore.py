"""Let a policy act under many conditions, and take down what becomes of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import torch

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.tasks.evaluation import Evaluation
from envs.tasks.registry import get_task, make_env
from envs.terms.conditions import Conditions
from envs.vec_env import VecEnv
from robolearn.errors import UserError, suggestion
from robolearn.evaluation.actors import Actor
from robolearn.evaluation.rollout import Rollout
from robolearn.mining.episodes import Episodes
from robolearn.mining.space import widened

MORE_S = 1.0
"""How much longer an episode may last in the simulator than it is watched [s], so that none is cut off."""


def worlds_of(cfg: EnvCfg, seconds: float, margin: float) -> EnvCfg:
    """The worlds of a training as conditions fill them: at full strength, on wider ground, in short episodes, without curricula.

    Args:
        cfg: of the training.
        seconds: how long an episode is watched [s].
        margin: see `robolearn.mining.space.space_of`.
    """
    ground = None if cfg.terrain is None else widened(cfg.terrain, margin)
    return dataclasses.replace(cfg.at_full_strength(), terrain=ground, curriculum={}, episode_s=seconds + MORE_S)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge:
    """When an episode has failed.

    Attributes:
        evaluation: the task's.
        limits: of its means, in this robot's units; whoever is beyond has failed.
    """

    evaluation: Evaluation
    limits: Mapping[str, float]

    @staticmethod
    def of(task: str, limits: Mapping[str, float] | None = None) -> Judge:
        """The judge of a task: its score alone, or limits as well.

        Raises:
            UserError: a limit of what is no mean of the task's.
        """
        evaluation = get_task(task).evaluation
        means = [name for name, measure in evaluation.measures.items() if measure.kind == "mean"]
        for name in limits or {}:
            if name not in means:
                raise UserError(f"task {task} measures no {name!r}{suggestion(name, means)}; --limit takes one of: {', '.join(means)}")
        return Judge(evaluation=evaluation, limits=dict(limits or {}))


def explore(
    env: VecEnv,
    actor: Actor,
    judge: Judge,
    names: tuple[str, ...],
    conditions: np.ndarray,
    seconds: float,
    seed: int,
    every_step: Callable[[], None] = lambda: None,
) -> Episodes:
    """One episode under each condition; a function of the seed, whatever the worlds did before.

    Args:
        env: worlds made of `worlds_of`.
        actor: who acts in as many.
        judge: what is measured, and what has failed.
        names: of the columns.
        conditions: (E, C).
        seconds: length of an episode [s].
        seed: of all else that is random.
        every_step: is called after each step of each batch.
    """
    torch.set_num_threads(1)  # a training before may have left more
    table = Conditions(names, torch.from_numpy(conditions), env.num_worlds, env.generator)
    env.meet(table)
    parts = []
    try:
        for first in range(0, len(conditions), env.num_worlds):
            table.first = first
            env.reseed(seed + first)
            found = _batch(env, actor, judge, names, round(seconds / env.cfg.control_dt), every_step)
            parts.append(_rows(found, conditions[first : first + env.num_worlds]))
    finally:
        env.meet(None)
    return Episodes.join(parts)


def make_worlds(task: str, robot: Robot, cfg: EnvCfg, worlds: int) -> VecEnv:
    """Worlds to explore in."""
    return make_env(task, robot, cfg, num_worlds=worlds)


def _batch(env: VecEnv, actor: Actor, judge: Judge, names: tuple[str, ...], steps: int, every_step: Callable[[], None]) -> Episodes:
    """One episode in each world; its conditions are left out."""
    evaluation, n, dt = judge.evaluation, env.num_worlds, env.cfg.control_dt
    rollout = Rollout(env, actor)
    rollout.start()
    means = {name: measure for name, measure in evaluation.measures.items() if measure.kind == "mean"}
    score = evaluation.measures[evaluation.score]
    sums = {name: torch.zeros(n, device=env.device) for name in means}
    weights = {name: torch.zeros(n, device=env.device) for name in means}
    held, fell = torch.ones(n, dtype=torch.bool, device=env.device), torch.zeros(n, dtype=torch.bool, device=env.device)
    lasted = torch.zeros(n, device=env.device)
    for index in range(steps):
        before = rollout.alive
        step = rollout.step()
        alive = rollout.alive
        fell |= before & step.terminated  # who walked off the map has not fallen
        lasted += alive.float() * dt
        settled = index * dt >= evaluation.settle_s
        for name, measure in means.items():
            assert measure.signal is not None
            if settled if measure.tail_s is None else index >= steps - round(measure.tail_s / dt):
                weight = torch.ones(n, device=env.device) if measure.per is None else measure.per(env)
                sums[name] += torch.where(alive, measure.signal(env), 0.0)
                weights[name] += torch.where(alive, weight, 0.0)
        if score.signal is not None and (settled if score.tail_s is None else index >= steps - round(score.tail_s / dt)):
            held &= score.signal(env) | ~alive
        every_step()
        if not bool(alive.any()):
            break
    figures = {name: (sums[name] / weights[name]).cpu().numpy() for name in means}
    failed = (fell | ~held).cpu().numpy()
    for name, limit in judge.limits.items():
        beyond = figures[name] > limit if not means[name].more_is_better else figures[name] < limit
        failed = failed | beyond
    return Episodes(
        names=names,
        conditions=np.zeros((n, len(names)), np.float32),
        failed=failed,
        fell=fell.cpu().numpy(),
        lasted_s=lasted.cpu().numpy().astype(float),
        figures=figures,
    )


def _rows(found: Episodes, conditions: np.ndarray) -> Episodes:
    """The episodes of the worlds that had a condition of their own."""
    n = len(conditions)
    return dataclasses.replace(
        found,
        conditions=conditions,
        failed=found.failed[:n],
        fell=found.fell[:n],
        lasted_s=found.lasted_s[:n],
        figures={name: values[:n] for name, values in found.figures.items()},
    )
