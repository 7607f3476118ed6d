"""Episodes of the expert under a round's conditions as a dataset: what a model of sequences is taught with where the student fails.

A model that `robolearn pretrain` made is taught on by `robolearn pretrain PRESET --data DATASET --init RUN`, with its first data beside it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from tqdm import tqdm

from envs.terms.conditions import Conditions
from envs.vec_env import VecEnv
from robolearn.config import loading as config
from robolearn.data import collect
from robolearn.data.source import Source
from robolearn.data.writer import DatasetWriter
from robolearn.errors import UserError
from robolearn.evaluation.rollout import Rollout
from robolearn.learning.export import source_commit
from robolearn.mining.bench import SEEDS_APART, Bench
from robolearn.mining.digest import digest
from robolearn.mining.subject import Subject
from robolearn.mining.weigh import Drawn

KEPT = 9_000_000
"""Where the seeds of kept episodes begin."""
LARGEST_BATCH = 64


class Collection:
    """Keeps episodes of each round in one dataset; what is there already is not run again."""

    def __init__(self, path: Path, episodes: int, seconds: float, seed: int, licence: str) -> None:
        """Nothing is written yet.

        Args:
            path: of the dataset, new or of the same collection.
            episodes: of each round.
            seconds: how long an episode lasts at most [s].
            seed: of the whole.
            licence: of the episodes, an identifier of SPDX.
        """
        self._path, self._episodes, self._seconds, self._seed, self._licence = path, episodes, seconds, seed, licence

    def __call__(self, subject: Subject, bench: Bench, drawn: Drawn, number: int) -> None:
        """Keep the episodes of round `number`.

        Raises:
            UserError: there is no expert, or the dataset is of another robot or rate.
        """
        expert = subject.expert()
        if expert is None:
            raise UserError(f"{subject.path} has no teacher to keep episodes of")
        assert subject.state is not None
        env = bench.wide(LARGEST_BATCH)
        seed = KEPT + self._seed * SEEDS_APART + 100 * number
        fps = 1.0 / env.cfg.control_dt
        source = Source(
            kind="policy",
            robot=env.robot.name,
            joint_names=env.robot.joint_names,
            fps=round(fps, 6),
            control_mode=env.spec.action.mode,
            licence=self._licence,
            file_hash=digest(subject.state["teacher"]),
            config=config.dump(subject.cfg),
            seed=seed,
            engine=env.cfg.engine,
            commit=source_commit(),
            note=f"teacher of {subject.name} under the conditions of round {number}, seed {self._seed}; {env.num_worlds} worlds a batch",
        )
        plan = collect.Plan(episodes=self._episodes, steps=round(self._seconds / env.cfg.control_dt), seed=seed)
        values, weights = torch.from_numpy(drawn.conditions), torch.from_numpy(drawn.weights)
        env.meet(Conditions(bench.space.names, values, env.num_worlds, env.generator, weights))
        try:
            with self._writer(env, fps) as writer, tqdm(desc=f"round {number}, kept", unit="step", leave=False, disable=None) as bar:

                def tell(kept: int, step: int) -> None:
                    del kept, step
                    bar.update()

                collect.collect(Rollout(env, expert), plan, _as_begun(source, writer), writer, tell)
        finally:
            env.meet(None)

    def _writer(self, env: VecEnv, fps: float) -> DatasetWriter:
        if not (self._path / "meta" / "info.json").is_file():
            return DatasetWriter(self._path, collect.columns_of(env.robot, env.spec), round(fps))
        writer = DatasetWriter.append(self._path)
        if writer.info.fps != round(fps):
            writer.close()
            raise UserError(f"{self._path} has {writer.info.fps} frames a second, these episodes {fps:g}; give another --dataset")
        return writer


def _as_begun(source: Source, writer: DatasetWriter) -> Source:
    """The source, of the commit that its collection was begun with: what is there already is not run again for a later one."""
    begun = [item.commit for item, _ in writer.info.sources if (item.note, item.file_hash) == (source.note, source.file_hash)]
    return dataclasses.replace(source, commit=begun[0]) if begun else source
