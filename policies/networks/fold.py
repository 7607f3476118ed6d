"""The fold: makes a policy exactly left-right symmetric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from policies.networks.protocol import STATE, Memory, Network, Stream

ZERO_SINE = 1e-5


class Fold(nn.Module):
    """Mirrors observations and actions in the second half of the gait's cycle.

    The mirrored clock is half a cycle earlier, so a network behind a fold only sees the first half-cycle, and the policy is exactly
    symmetric: pi(M s) = M pi(s). It costs nothing, and each step trains both sides.
    """

    permutation: torch.Tensor
    sign: torch.Tensor
    action_permutation: torch.Tensor
    action_sign: torch.Tensor
    clock: torch.Tensor

    def __init__(self, observation: tuple[torch.Tensor, torch.Tensor], action: tuple[torch.Tensor, torch.Tensor], clock: int) -> None:
        """Make a fold.

        Args:
            observation, action: mirrors (permutation, sign) of observations (P) and actions (J).
            clock: index of the sine of the gait's phase in an observation; its cosine follows.
        """
        super().__init__()
        self.register_buffer("permutation", observation[0])
        self.register_buffer("sign", observation[1])
        self.register_buffer("action_permutation", action[0])
        self.register_buffer("action_sign", action[1])
        self.register_buffer("clock", torch.tensor(clock))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Folded observations (..., P), and whether each was mirrored (..., 1) bool."""
        sine, cosine = x.index_select(-1, self.clock[None]), x.index_select(-1, self.clock[None] + 1)
        mirrored = torch.where(sine.abs() < ZERO_SINE, cosine, sine) < 0  # rounding must not decide in the middle of the cycle
        return torch.where(mirrored, x[..., self.permutation] * self.sign, x), mirrored

    def unfold(self, action: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
        """Unfolded actions (..., J)."""
        return torch.where(mirrored, action[..., self.action_permutation] * self.action_sign, action)

    @staticmethod
    def placeholder(observation: int, action: int) -> Fold:
        """A fold with these sizes, to load a state into."""
        one = torch.ones(observation), torch.ones(action)
        return Fold((torch.arange(observation), one[0]), (torch.arange(action), one[1]), 0)


class Folded(Network):
    """A network with memory behind a fold, which makes it exactly symmetric: every observation is folded by its own phase.

    Its memory consists of folded observations, so the other half-cycle is remembered as its mirror image.

    Attributes:
        inner: the network for folded observations.
        fold: fold of the policy's observation.
    """

    def __init__(self, inner: Network, fold: Fold) -> None:
        nn.Module.__init__(self)  # the normaliser belongs to the inner network
        self.inner, self.fold, self.cfg = inner, fold, inner.cfg

    @property
    def normalizer(self) -> Any:
        """Normaliser of folded observations."""
        return self.inner.normalizer

    @property
    def history_steps(self) -> int:
        """See `Network`."""
        return self.inner.history_steps

    def start(self, worlds: int) -> Memory:
        """See `Network`."""
        return self.inner.start(worlds)

    def forward(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """See `Network`."""
        folded, mirrored = self.fold(observation)
        action, after = self.inner(folded, memory, first)
        return self.fold.unfold(action, mirrored), after

    def stream(self, memory: Memory) -> Stream:
        """See `Network`."""
        return _FoldedStream(self.fold, self.inner.stream(memory))

    def step(self, observations: Mapping[str, torch.Tensor], memory: Memory) -> tuple[torch.Tensor, Memory]:
        """See `Network`."""
        folded, mirrored = self.fold(observations[STATE])
        action, after = self.inner.step({**observations, STATE: folded}, memory)
        return self.fold.unfold(action, mirrored), after

    def prepared(self) -> Folded:
        """See `Network`."""
        return Folded(self.inner.prepared(), self.fold)


class _FoldedStream:
    def __init__(self, fold: Fold, inner: Stream) -> None:
        self._fold, self._inner = fold, inner

    def memory(self) -> Memory:
        return self._inner.memory()

    @torch.no_grad()
    def step(self, observation: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        folded, mirrored = self._fold(observation)
        return self._fold.unfold(self._inner.step(folded, first), mirrored)
