"""The one loop in which a policy acts: evaluations, the suite, targets of a training, playback and benchmarks step through it.

rollout = Rollout(env, FileActor(file, env.num_worlds))
rollout.start(command)
for _ in range(steps):
    step = rollout.step()
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from envs.screening import Step
from envs.vec_env import VecEnv
from robolearn.evaluation.actors import Actor, Watcher

Alter = Callable[[torch.Tensor], torch.Tensor]


class Rollout:
    """An actor in all worlds of an environment.

    Attributes:
        env: the worlds.
        actor: the actor.
        alive: worlds whose episode has not ended since `start` or `revive`, (N,) bool; always all if `go_on`.
        policy, privileged: the present observations, (N, O) and (N, P).
    """

    def __init__(self, env: VecEnv, actor: Actor, go_on: bool = False) -> None:
        """Take over the worlds; `start` begins.

        Args:
            env: the worlds.
            actor: the actor.
            go_on: whether a world whose episode ends continues with a new one; otherwise it stops.
        """
        self.env, self.actor, self._go_on = env, actor, go_on
        self._everywhere = torch.arange(env.num_worlds, device=env.device)
        self.alive = torch.ones(env.num_worlds, dtype=torch.bool, device=env.device)
        if isinstance(actor, Watcher):
            actor.watch(env)

    def start(self, command: torch.Tensor | None = None) -> None:
        """Reset all worlds and memories; they hold `command` (N, C) or (C,), or the task draws commands."""
        self.policy, self.privileged = self.env.reset()
        self.actor.reset(self._everywhere)
        self.revive()
        if command is not None:
            self.ask(command)

    def revive(self) -> None:
        """Let all worlds act again."""
        self.alive = torch.ones_like(self.alive)

    def ask(self, command: torch.Tensor) -> None:
        """Hold another command, (N, C) or (C,), until the next one; it is observed at once."""
        self.env.hold_command(command)
        self.policy, self.privileged = self.env.observe()

    def draw(self) -> None:
        """Let the task draw another command for all worlds; it is observed at once."""
        self.env.release_command()
        self.env.hold_command(self.env.command)
        self.policy, self.privileged = self.env.observe()

    def step(self, alter: Alter | None = None) -> Step:
        """Act once in all worlds.

        Args:
            alter: changes the actions (N, J) before they reach the robot.
        """
        action = self.actor.act(self.policy, self.privileged, self.alive)
        step = self.env.step(action if alter is None else alter(action))
        self.policy, self.privileged = step.policy, step.privileged
        ended = step.terminated | step.truncated
        if bool(ended.any()):
            self.actor.reset(ended.nonzero()[:, 0])
            if not self._go_on:
                self.alive = self.alive & ~ended
        return step
