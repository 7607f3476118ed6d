"""The two tests that every round must sit, always the same: conditions that nothing is learned from, and the task's own evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from envs.vec_env import VecEnv
from policies.contract.spec import CommandSpec
from robolearn.evaluation.actors import Actor
from robolearn.evaluation.evaluate import command_grid
from robolearn.evaluation.worlds import judged
from robolearn.mining.episodes import Episodes
from robolearn.mining.explore import MORE_S, Judge, explore, make_worlds, worlds_of
from robolearn.mining.space import Space, space_of
from robolearn.mining.subject import Subject

WORLDS = 256
"""Of a batch."""
HELD_OUT, NOMINAL, MINING, LISTS, TEACHING = 7_000_000, 8_000_000, 1_000_000, 2_000_000, 3_000_000
CHOOSING = 2_000_000
"""How far from the two tests' own seeds those episodes begin by which a round is chosen, so that no reported figure chose it."""
"""Where the seeds of each purpose begin; a round adds to them, and `SEEDS_APART` for each seed of the whole."""
SEEDS_APART = 10_000
FOREVER_S = 1e30


class Bench:
    """Worlds to test policies of one training in; made when they are first needed.

    Attributes:
        space: what is drawn.
        judge: what has failed.
    """

    def __init__(self, subject: Subject, seconds: float, margin: float, judge: Judge, seed: int) -> None:
        self._subject, self._seconds, self._margin, self._seed = subject, seconds, margin, seed
        self.judge = judge
        self._wide: VecEnv | None = None
        self._plain: VecEnv | None = None
        self._worlds = WORLDS
        self.space: Space = space_of(subject.cfg.env, self._spec(), subject.robot, seconds, margin)

    def _spec(self) -> CommandSpec:
        """The command's contract, of one world."""
        cfg = self._subject.cfg
        return make_worlds(cfg.task, self._subject.robot, dataclasses.replace(cfg.env, terrain=None, curriculum={}), 1).spec.command

    def explored(self, actor: Callable[[int], Actor], count: int, round_: int, label: str) -> Episodes:
        """Episodes of a round in which a policy is looked at, (count)."""
        return self._in_wide(actor, count, MINING + self._seed * SEEDS_APART + round_, label)

    def held_out(self, actor: Callable[[int], Actor], count: int, label: str, choosing: bool = False) -> Episodes:
        """The same episodes whichever round it is, which nothing is learned from; others for `choosing` a round."""
        return self._in_wide(actor, count, HELD_OUT + CHOOSING * choosing + self._seed * SEEDS_APART, label)

    def nominal(self, actor: Callable[[int], Actor], seeds: int, label: str, choosing: bool = False) -> Episodes:
        """The commands of the task's evaluation, each held for an episode, in worlds as it has them; others for `choosing` a round."""
        cfg, evaluation = self._subject.cfg, self.judge.evaluation
        worlds = evaluation.worlds
        if self._plain is None:
            env = judged(cfg.env, sees_ground=False, terrain=evaluation.terrain)
            env = evaluation.prepare(env) if evaluation.prepare is not None else env
            self._plain = make_worlds(cfg.task, self._subject.robot, dataclasses.replace(env, episode_s=self._seconds + MORE_S), worlds)
        env = self._plain
        names: tuple[str, ...] = ()
        asked = np.zeros((worlds, 0), np.float32)
        if evaluation.commands is not None:
            names = (*(f"command.{label}" for label in env.spec.command.labels), "change_s")
            grid = command_grid(evaluation, env).cpu().numpy()
            asked = np.concatenate([grid, np.full((worlds, 1), FOREVER_S, np.float32)], axis=1)
        conditions = np.tile(asked, (seeds, 1))
        seed = NOMINAL + CHOOSING * choosing + self._seed * SEEDS_APART
        with _bar(label, seeds * round(self._seconds / env.cfg.control_dt)) as tell:
            return explore(env, actor(worlds), self.judge, names, conditions, self._seconds, seed, tell)

    def wide(self, worlds: int) -> VecEnv:
        """So many worlds to meet conditions in, the same ones in each call with that number."""
        if self._wide is None or self._wide.num_worlds != worlds:
            self._wide = None  # before others are made
            cfg = worlds_of(self._subject.cfg.env, self._seconds, self._margin)
            self._wide = make_worlds(self._subject.cfg.task, self._subject.robot, cfg, worlds)
        return self._wide

    def _in_wide(self, actor: Callable[[int], Actor], count: int, seed: int, label: str) -> Episodes:
        env = self.wide(min(WORLDS, count))
        batches = -(-count // env.num_worlds)
        with _bar(label, batches * round(self._seconds / env.cfg.control_dt)) as tell:
            conditions = self.space.draw(count, seed)
            return explore(env, actor(env.num_worlds), self.judge, self.space.names, conditions, self._seconds, seed, tell)


@contextmanager
def _bar(label: str, steps: int) -> Iterator[Callable[[], None]]:
    """A bar that vanishes when it is done; nothing where no person watches."""
    with tqdm(total=steps, desc=label, unit="step", dynamic_ncols=True, leave=False, disable=None) as bar:

        def tell() -> None:
            bar.update()

        yield tell
