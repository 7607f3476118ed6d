"""Collects rollouts of a policy as a dataset: batches of worlds, each a function of its seed, until enough episodes are kept.

A batch is written as a whole. A stopped collection continues with the seed after the last one in the dataset, so that the result is the
same as without the stop.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch

from envs.robots.robot import Robot
from envs.vec_env import VecEnv
from policies.contract.spec import PolicySpec
from robolearn.data.columns import ACTION, COMMAND, SENSED, Column, robot_columns, sensed_column
from robolearn.data.harvest import Acting, Taken, take
from robolearn.data.shots import IMAGES, Shots, columns_of_cameras
from robolearn.data.source import Episode, Source
from robolearn.data.writer import DatasetWriter
from robolearn.errors import UserError

SETTLE_S, TAIL_S = 1.0, 0.5
"""For each command: the time to reach it, and the time at its end in which the task's score must hold."""
PART_BYTES = 2**27
"""Images of episodes that are laid out per step at a time."""
Kept = tuple[Episode, Mapping[str, Shots]]
FRUITLESS = 20
"""The collection gives up after this many batches in a row without a kept episode."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to collect.

    Attributes:
        episodes: number of episodes.
        steps: longest episode [steps].
        keep: `all`, only `successes`, or only `failures`.
        best_of: attempts per command, of which the best is kept.
        commands: commands that take turns, (K, C), held for whole episodes; empty lets the task draw.
        seed: seed of the first batch.
        least: shortest episode to keep [steps].
    """

    episodes: int
    steps: int
    keep: Literal["all", "successes", "failures"] = "all"
    best_of: int = 1
    commands: tuple[tuple[float, ...], ...] = ()
    seed: int = 0
    least: int = 2


@dataclass(slots=True)
class Collected:
    """The result of a collection.

    Attributes:
        episodes, frames: numbers written by this run.
        before: number of episodes of the same collection that existed already.
        attempts: number of episodes that were run.
        successes: number of successes among them.
        unsound: number of episodes with values that were not finite; they are never kept.
    """

    episodes: int = 0
    frames: int = 0
    before: int = 0
    attempts: int = 0
    successes: int = 0
    unsound: int = 0


class Starting(Acting, Protocol):
    """A policy in all worlds that can be restarted, see `robolearn.evaluation.rollout.Rollout`."""

    def start(self, command: torch.Tensor | None = None) -> None:
        """Reset all worlds, with `command` (N, C) held or commands drawn by the task."""
        ...

    def draw(self) -> None:
        """Let the task draw another command for all worlds, and hold it."""
        ...

    def ask(self, command: torch.Tensor) -> None:
        """Hold another command (N, C)."""
        ...


def columns_of(robot: Robot, spec: PolicySpec, sensed: bool = False) -> tuple[Column, ...]:
    """The columns of the dataset for a task, its colour cameras among them; with `sensed` also the readings that the policy saw."""
    extra = [*([sensed_column(robot.joint_names)] if sensed else []), *columns_of_cameras(spec)]
    return robot_columns(robot.joint_names, tuple(robot.feet), spec.command.labels, extra)


def succeeded(taken: Taken, control_dt: float) -> bool:
    """Whether an episode was a success: it lasted to its end, and the task's score held at the end of each command that lasted long
    enough.
    """
    if not taken.lasted or taken.good is None:
        return taken.lasted
    command = taken.columns.get(COMMAND)
    begins = [0] if command is None else [0, *(np.flatnonzero((np.diff(command, axis=0) != 0).any(axis=1)) + 1).tolist()]
    tail, least = round(TAIL_S / control_dt), round((SETTLE_S + TAIL_S) / control_dt)
    pieces = [(begin, end) for begin, end in zip(begins, [*begins[1:], len(taken)], strict=True) if end - begin >= least]
    return all(bool(taken.good[end - tail : end].all()) for _, end in pieces)


def collect(
    acting: Starting,
    plan: Plan,
    source: Source,
    writer: DatasetWriter,
    every_step: Callable[[int, int], None] = lambda kept, step: None,
) -> Collected:
    """Collect until the dataset has `plan.episodes` of this source.

    Args:
        acting: the N worlds.
        plan: what to collect.
        source: the episodes' source; each batch gets its own seed in it.
        writer: writer of the dataset, which may hold episodes of the same source already.
        every_step: called after each step with the number of episodes and the number of the step in its batch.

    Returns:
        What was written.

    Raises:
        UserError: many batches gave no episode to keep.
    """
    done, sensed = Collected(), SENSED in writer.info.features
    cameras = [name.removeprefix(IMAGES) for name in writer.info.features if name.startswith(IMAGES)]
    by_seed = of_source(writer, source)
    done.before = sum(by_seed.values())
    seed = max(by_seed, default=plan.seed)
    fruitless = 0
    while done.before + done.episodes < plan.episodes:
        kept = _batch(acting, plan, source, seed, done, lambda step: every_step(done.before + done.episodes, step), sensed, cameras)
        there = by_seed.get(seed, 0)  # from a batch that was cut short, by a limit or by a signal
        fresh = kept[there : there + plan.episodes - done.before - done.episodes]
        for part in _parts(fresh):
            writer.add(*(_with_images(*item) for item in part))
        done.episodes += len(fresh)
        done.frames += sum(len(episode) for episode, _ in fresh)
        fruitless = 0 if fresh or there else fruitless + 1
        if fruitless == FRUITLESS:
            raise UserError(
                f"none of {done.attempts} episodes was kept ({done.successes} were successes; --keep is {plan.keep}); change --keep or "
                f"the policy"
            )
        seed += 1
    return done


def of_source(writer: DatasetWriter, source: Source) -> dict[int, int]:
    """Seed -> number of episodes that a dataset already has from this source with that seed."""
    info = writer.info
    seeds = {
        number: item.seed
        for number, (item, _) in enumerate(info.sources)
        if item.seed is not None and dataclasses.replace(item, seed=source.seed, joint_names=source.joint_names) == source
    }
    found: dict[int, int] = {}
    for number in info.episode_sources[: info.total_episodes]:
        if number in seeds:
            found[seeds[number]] = found.get(seeds[number], 0) + 1
    return found


def unused_seed(writer: DatasetWriter, source: Source) -> int:
    """The source's seed, or the next one without episodes of its policy, since the same seed may repeat the same motion."""
    used = [item.seed for item, _ in writer.info.sources if item.file_hash == source.file_hash and item.seed is not None]
    first = source.seed or 0
    return max([first, *(seed + 1 for seed in used)]) if first in used else first


def difference(writer: DatasetWriter, source: Source) -> str:
    """The differences to the most similar source, as text."""
    names = [item.name for item in dataclasses.fields(source) if item.name != "seed"]
    told = [
        [name for name in names if getattr(item, name) != getattr(source, name)]
        for item, _ in writer.info.sources
        if item.kind == source.kind
    ]
    nearest = min(told, key=len, default=["kind"])
    return "another policy" if "file_hash" in nearest else f"the existing one differs in {', '.join(nearest)}"


def _batch(
    acting: Starting,
    plan: Plan,
    source: Source,
    seed: int,
    done: Collected,
    every_step: Callable[[int], None],
    sensed: bool,
    cameras: Sequence[str],
) -> list[Kept]:
    """The episodes of one batch to keep, in the order of worlds."""
    env = acting.env
    env.reseed(seed)
    _begin(acting, plan)
    count = 0

    def tell() -> None:
        nonlocal count
        count += 1
        every_step(count)

    taken = take(acting, plan.steps, tell, sensed, cameras)
    good = [item is not None and succeeded(item, env.cfg.control_dt) for item in taken]
    done.attempts += len(taken)
    done.successes += sum(good)
    done.unsound += sum(item is None for item in taken)
    mine = dataclasses.replace(source, seed=seed)
    task = task_text(env)
    wanted = {"all": (True, False), "successes": (True,), "failures": (False,)}[plan.keep]
    kept = []
    for first in range(0, len(taken), plan.best_of):
        tries = [(taken[i], good[i]) for i in range(first, min(first + plan.best_of, len(taken))) if taken[i] is not None]
        fits = [(item, well) for item, well in tries if item is not None and well in wanted and len(item) >= plan.least]
        if fits:
            item, well = max(fits, key=lambda pair: (pair[1], pair[0].total))
            columns = {name: values for name, values in item.columns.items() if source.control_mode or name != ACTION}
            kept.append((Episode(columns=columns, task=task, source=mine, success=well), item.shots))
    return kept


def _with_images(episode: Episode, shots: Mapping[str, Shots]) -> Episode:
    """The episode with an image for each of its steps."""
    seen = {column: rows for name, found in shots.items() for column, rows in found.columns(name).items()}
    return dataclasses.replace(episode, columns={**episode.columns, **seen})


def _parts(kept: list[Kept]) -> list[list[Kept]]:
    """The episodes in parts to write at once: whole, or few enough that their images fit into memory."""
    largest = max((sum(shots.nbytes for shots in item[1].values()) for item in kept), default=0)
    size = max(1, PART_BYTES // largest) if largest else len(kept)
    return [kept[start : start + size] for start in range(0, len(kept), max(1, size))]


def _begin(acting: Starting, plan: Plan) -> None:
    """Start all worlds with their commands."""
    env = acting.env
    if plan.commands:
        rows = torch.tensor(plan.commands, dtype=torch.float32, device=env.device)
        slots = -(-env.num_worlds // plan.best_of)
        acting.start(rows.repeat(-(-slots // len(rows)), 1)[:slots].repeat_interleave(plan.best_of, 0)[: env.num_worlds])
        return
    env.release_command()
    acting.start()
    if plan.best_of > 1 and env.command.shape[1]:
        acting.draw()
        acting.ask(env.command[:: plan.best_of].repeat_interleave(plan.best_of, 0)[: env.num_worlds])


def task_text(env: VecEnv) -> str:
    """The text of an episode's task: the task's name and its commands."""
    labels = env.spec.command.labels
    return f"{env.task_name}: {', '.join(labels)} as commanded" if labels else env.task_name


def worlds_of(plan: Plan, most: int) -> int:
    """Worlds per batch: no more than needed, and a multiple of `best_of`."""
    return max(1, math.ceil(min(most, plan.episodes * plan.best_of) / plan.best_of)) * plan.best_of


def commands_of(text: Sequence[Sequence[float]], spec: PolicySpec) -> tuple[tuple[float, ...], ...]:
    """Commands as typed.

    Raises:
        UserError: one has another length than the task's, or a number that is not finite.
    """
    labels = spec.command.labels
    for row in text:
        if len(row) != len(labels):
            raise UserError(f"--command of {spec.task} takes {len(labels)} numbers ({' '.join(labels)}), not {len(row)}")
        if not all(math.isfinite(value) for value in row):
            raise UserError("--command takes finite numbers")
    return tuple(tuple(float(value) for value in row) for row in text)
