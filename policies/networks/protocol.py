"""The interface of students' networks: a chunk in training, a step in a rollout and on the robot, and a memory of named arrays.

A network maps raw observations (N, T, O) of N worlds and T control steps to action means (N, T, A). Between chunks it
keeps its memory: a table name -> array whose first axis is the world. Training passes chunks with the memory before them and a mask of the
steps that begin an episode; a policy file holds one step for one robot, with the memory as explicit inputs and outputs.

Your own network subclasses `Network`, writes `start` and `forward`, and is registered with `policies.networks.registry.register_network`.
Then it is a student (`--student.network.kind=NAME`) and becomes a policy file like the transformer.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

STATE = "state"
Memory = dict[str, torch.Tensor]
"""Name -> array (N, ...), float32. Names are letters, digits and underscores: they are inputs of the policy file."""


@dataclass(frozen=True, kw_only=True)
class NetworkCfg:
    """Settings of a student's network; each kind has a subclass with its sizes.

    Attributes:
        kind: its registered name.
    """

    kind: str


class Stream(Protocol):
    """Many worlds, step by step."""

    def step(self, observation: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        """Action means (N, A) of raw observations (N, O); `first` (N,) bool marks the worlds whose episode begins."""
        ...

    def memory(self) -> Memory:
        """The memory after the steps so far; a copy."""
        ...


class Network(nn.Module):
    """A student's network. A subclass implements `start` and `forward`; the defaults of the rest are valid for any network.

    Attributes:
        cfg: its settings, of its kind's subclass of `NetworkCfg`.
        normalizer: a `Normalizer` of the group `state`, inside the network, or None. Distillation gives it the teacher's statistics.
        groups: names of the observation groups that `step` takes. Groups other than `state` need their own `step`.
    """

    cfg: Any
    normalizer: Any
    groups: tuple[str, ...] = (STATE,)

    def __init__(self) -> None:
        super().__init__()
        self.normalizer = None

    @property
    def apart(self) -> Mapping[str, nn.Module]:
        """By image group, a module without memory from pictures (N, height, width, channels) to latents (N, D) float32.

        The policy file holds each as a model of its own, so that a picture is encoded once, beside the control loop; `step` then has to
        take latents (N, D) in place of pictures too. Empty for a network that encodes inside its step.
        """
        return {}

    @property
    def history_steps(self) -> int:
        """Number of observations that an action depends on, including the present one; 0 for all since the episode's start."""
        return 0

    def start(self, worlds: int) -> Memory:
        """Memory before the first observation of `worlds` episodes."""
        raise NotImplementedError

    def forward(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """Run a chunk.

        Args:
            observation: raw, (N, T, O).
            memory: the memory before the chunk.
            first: steps that begin an episode, (N, T) bool: nothing before them may have influence. None for none.

        Returns:
            Action means (N, T, A) and the memory after the chunk.
        """
        raise NotImplementedError

    def stream(self, memory: Memory) -> Stream:
        """Continue from a memory step by step, for rollouts."""
        return ForwardStream(self, memory)

    def step(self, observations: Mapping[str, torch.Tensor], memory: Memory) -> tuple[torch.Tensor, Memory]:
        """One step inside an episode, as in a policy file: groups (N, *shape) by name and memory -> (N, A) and memory.

        Counters of steps must stay bounded, since a robot runs for days.
        """
        action, after = self(observations[STATE][:, None], memory)
        return action[:, 0], after

    def prepared(self) -> Network:
        """A copy for exporting `step`; a subclass may fold constants into the weights."""
        return copy.deepcopy(self)

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, Memory]:
        """See `forward`."""
        return super().__call__(*args, **kwargs)


class ForwardStream:
    """Steps of any network, by its forward pass."""

    def __init__(self, net: Network, memory: Memory) -> None:
        self._net, self._memory = net, memory

    def memory(self) -> Memory:
        """See `Stream`."""
        return clone(self._memory)

    @torch.no_grad()
    def step(self, observation: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        """See `Stream`."""
        mean, self._memory = self._net(observation[:, None], self._memory, first[:, None])
        return mean[:, 0]


def clone(memory: Memory) -> Memory:
    """A copy that later steps do not change."""
    return {name: value.clone() for name, value in memory.items()}


def select(memory: Memory, ids: torch.Tensor) -> Memory:
    """Memory of some worlds, a copy."""
    return {name: value[ids] for name, value in memory.items()}


def to_device(memory: Memory, device: torch.device | str) -> Memory:
    """The memory on a device."""
    return {name: value.to(device) for name, value in memory.items()}


def ages(before: torch.Tensor, t: int, first: torch.Tensor | None) -> torch.Tensor:
    """For every step of a chunk, the number of steps since the start of its episode, (N, T): 0 at a first step.

    Args:
        before: age of the last step before the chunk; -1 for none, (N,) float.
        t: length T of the chunk.
        first: steps that begin an episode, (N, T) bool; None for none.
    """
    age = before[:, None] + torch.arange(1, t + 1, device=before.device, dtype=before.dtype)
    if first is None:
        return age
    # subtract the age at the last start: cummax over the ages at starts
    last = torch.cummax(torch.where(first, age, torch.zeros_like(age) - 1), dim=1).values
    return torch.where(last >= 0, age - last, age)
