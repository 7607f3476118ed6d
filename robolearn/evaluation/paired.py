"""Compares two policies on the same commands, in worlds of the same seed, episode by episode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.tasks.registry import get_task
from robolearn.evaluation.actors import Actor
from robolearn.evaluation.evaluate import measured, worlds_of
from robolearn.evaluation.figures import Figure, mean

Episodes = dict[str, np.ndarray]
"""Measure -> its value in every episode."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The worlds in which all policies are evaluated.

    Attributes:
        task, robot, env: what to evaluate in; the policies do not observe the ground.
        seeds: episodes per command.
        seconds: length of an episode [s].
        seed: seed of the worlds.
    """

    task: str
    robot: Robot
    env: EnvCfg
    seeds: int = 2
    seconds: float = 10.0
    seed: int = 1000

    def episodes(self, make_actor: Callable[[int], Actor]) -> Episodes:
        """Evaluate an actor; `make_actor` gets the number of worlds."""
        world = worlds_of(self.task, self.robot, "mujoco", self.seeds, self.seconds, self.seed, self.env, sees_ground=False)
        evaluation = get_task(self.task).evaluation
        return measured(world, make_actor(world.num_worlds), evaluation, self.seeds, self.seconds).episodes()


def difference(ours: Episodes, theirs: Episodes, name: str) -> Figure:
    """Mean of ours minus theirs over the episodes in which both have a value, with its bootstrap interval."""
    return mean(ours[name].astype(float) - theirs[name].astype(float))


def pooled(parts: list[Episodes]) -> Episodes:
    """The concatenated episodes of several evaluations."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
