"""Actors of a rollout: a policy file, a teacher or a student, each for N worlds at once."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from policies.networks.teacher import TeacherPolicy
from policies.networks.vision import Seeing
from robolearn.evaluation.sight import Sight


class Actor(Protocol):
    """A policy for N worlds. It may run on another device than the worlds; its actions are returned on the observation's device."""

    def reset(self, ids: torch.Tensor) -> None:
        """Clear the memory of worlds `ids`."""
        ...

    def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
        """Actions (N, J) from the robot's observation (N, O) or the privileged one (N, P); arbitrary for worlds that are not `alive`."""
        ...


@runtime_checkable
class Watcher(Protocol):
    """An actor that reads the state of the worlds, not their observations: the rollout passes it the worlds."""

    def watch(self, env: VecEnv) -> None:
        """Act in these worlds from now on."""
        ...


class FileActor:
    """A policy file with one memory per world, stepped as on the robot. Worlds whose episode has ended are not computed.

    Attributes:
        memories: the file in each world.
    """

    def __init__(self, file: PolicyFile, worlds: int) -> None:
        self.memories = [file.fork() for _ in range(worlds)]
        self._env: VecEnv | None = None

    def watch(self, env: VecEnv) -> None:
        """See what the cameras of these worlds show, where the policy wants it."""
        self._env = env

    def reset(self, ids: torch.Tensor) -> None:
        """Clear the memory of worlds `ids`."""
        for index in ids.tolist():
            self.memories[index].reset()

    def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
        """Actions (N, J), zeros for worlds whose episode has ended."""
        del privileged
        rows = policy.cpu().numpy()
        action = np.zeros((len(rows), self.memories[0].spec.action_dim), np.float32)
        for index in alive.nonzero()[:, 0].tolist():
            memory = self.memories[index]
            action[index] = memory.act(rows[index], self._pictures(index)) if memory.images else memory.act(rows[index])
        return torch.from_numpy(action).to(policy.device)

    def _pictures(self, index: int) -> dict[str, np.ndarray]:
        """The images of one world that the policy takes."""
        assert self._env is not None, "a policy that takes images acts in the worlds of a rollout"
        return {name: self._env.images[name][index].cpu().numpy() for name in self.memories[index].images}


class TeacherActor:
    """The teacher's mean action."""

    def __init__(self, teacher: TeacherPolicy) -> None:
        self._teacher = teacher
        self._device = next(teacher.parameters()).device

    def reset(self, ids: torch.Tensor) -> None:
        """Do nothing, since the teacher has no memory."""
        del ids

    @torch.no_grad()
    def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
        """Actions (N, J)."""
        del policy, alive
        return self._teacher.act(privileged.to(self._device)).to(privileged.device)


class StudentActor:
    """A student in torch for many worlds at once: during training, and for networks without a policy file.

    Attributes:
        network: the student's.
    """

    def __init__(self, student: Any, worlds: int) -> None:
        self.network = student
        self._stream = student.stream(student.start(worlds))
        self._device = next(student.parameters()).device
        self._first = torch.ones(worlds, dtype=torch.bool, device=self._device)
        self._sight: Sight | None = None

    def watch(self, env: VecEnv) -> None:
        """See what the cameras of these worlds show, if the student has eyes."""
        self._sight = Sight(self.network, env) if isinstance(self.network, Seeing) else None

    def reset(self, ids: torch.Tensor) -> None:
        """Clear the memory of worlds `ids`."""
        self._first[ids.to(self._device)] = True

    @torch.no_grad()
    def act(self, policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
        """Actions (N, J)."""
        del privileged, alive
        observation = policy.to(self._device)
        if self._sight is not None:
            observation = torch.cat([observation, self._sight.look()], dim=-1)
        action = self._stream.step(observation, self._first)
        self._first = torch.zeros_like(self._first)
        return action.to(policy.device)
