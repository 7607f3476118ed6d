"""Accumulates a task's measures while its worlds run: per world and episode, then over episodes."""

from __future__ import annotations

import numpy as np
import torch

from envs.tasks.evaluation import Evaluation, Measure, Signal
from envs.vec_env import VecEnv
from robolearn.errors import UserError
from robolearn.evaluation.figures import Figure, mean, share


class Tally:
    """Accumulates the measures of an evaluation, episode by episode.

    tally.begin(steps)
    for _ in range(steps):
        rollout.step()
        tally.add(rollout.alive)
    tally.end()
    """

    def __init__(self, evaluation: Evaluation, env: VecEnv, settle_s: float | None = None) -> None:
        """Begin empty.

        Args:
            evaluation: the measures.
            env: the worlds.
            settle_s: time at the start of an episode that is left out of means [s]; None for the evaluation's own.
        """
        self._env, self._dt = env, env.cfg.control_dt
        self._settle_s = evaluation.settle_s if settle_s is None else settle_s
        self._counts = {name: _Count(name, measure, env) for name, measure in evaluation.measures.items()}
        self._index = self._steps = 0
        self._alive = torch.ones(env.num_worlds, dtype=torch.bool, device=env.device)

    def begin(self, steps: int) -> None:
        """Begin an episode of this many control steps in all worlds, under the present command."""
        self._index, self._steps = 0, steps
        self._alive = torch.ones_like(self._alive)
        for count in self._counts.values():
            count.begin()

    def add(self, alive: torch.Tensor) -> None:
        """Add a step; `alive` (N,) are the worlds whose episode has not ended by its end."""
        self._alive = alive
        for count in self._counts.values():
            tail_s = count.measure.tail_s
            if self._index * self._dt >= self._settle_s if tail_s is None else self._index >= self._steps - round(tail_s / self._dt):
                count.add(alive)
        self._index += 1

    def end(self) -> None:
        """End the episode."""
        for count in self._counts.values():
            count.end(self._alive)

    def episodes(self) -> dict[str, np.ndarray]:
        """For each measure its value in every episode that it covers, in the order of worlds; NaN if nothing was counted."""
        return {name: np.concatenate(count.episodes) for name, count in self._counts.items()}

    def figures(self) -> dict[str, Figure]:
        """The figures so far, over all episodes and worlds."""
        return {name: count.figure() for name, count in self._counts.items()}


class _Count:
    """One measure in all worlds."""

    def __init__(self, name: str, measure: Measure, env: VecEnv) -> None:
        self.measure, self._name, self._env = measure, name, env
        self.episodes: list[np.ndarray] = []

    def begin(self) -> None:
        worlds, device = self._env.num_worlds, self._env.device
        self._sum, self._weight = torch.zeros(worlds, device=device), torch.zeros(worlds, device=device)
        self._held = torch.ones(worlds, dtype=torch.bool, device=device)
        self._about = self._held if self.measure.about is None else self._ask(self.measure.about).bool()

    def add(self, alive: torch.Tensor) -> None:
        if self.measure.signal is None:
            return
        value = self._ask(self.measure.signal)
        if self.measure.kind == "share":
            self._held = self._held & value.bool()
            return
        weight = torch.ones_like(self._weight) if self.measure.per is None else self._ask(self.measure.per)
        self._sum += torch.where(alive, value, 0.0)  # values of ended worlds are arbitrary
        self._weight += torch.where(alive, weight, 0.0)

    def end(self, alive: torch.Tensor) -> None:
        if self.measure.kind == "share":
            values = (self._held & alive)[self._about]
        else:
            values = (self._sum / self._weight)[self._about]  # NaN if nothing was counted
        self.episodes.append(values.cpu().numpy())

    def figure(self) -> Figure:
        values = np.concatenate(self.episodes) if self.episodes else np.zeros(0)
        return share(values) if self.measure.kind == "share" else mean(values)

    def _ask(self, signal: Signal) -> torch.Tensor:
        """A signal of all worlds.

        Raises:
            UserError: it is not one value per world.
        """
        value = signal(self._env)
        if value.shape != (self._env.num_worlds,):
            name = getattr(signal, "__qualname__", str(signal))
            wanted = f"one value per world, ({self._env.num_worlds},)"
            raise UserError(f"measure {self._name!r} of task {self._env.spec.task}: {name} gives {tuple(value.shape)}, not {wanted}")
        return value
