"""The teacher: actor and critic on privileged state."""

from __future__ import annotations

import copy

import torch
from torch import nn

from policies.networks.fold import Fold
from policies.networks.gaussian import Gaussian
from policies.networks.layers import mlp
from policies.networks.normalizer import Normalizer


class TeacherPolicy(nn.Module):
    """Actor and critic on privileged state, with a shared normaliser, behind a fold if the task is symmetric.

    Attributes:
        normalizer: normaliser of the (folded) privileged observation, P.
        actor: P -> J.
        critic: P -> 1.
        distribution: over actions.
        fold: or None.
    """

    def __init__(self, privileged_dim: int, action_dim: int, hidden: tuple[int, ...], initial_std: float, fold: Fold | None = None) -> None:
        super().__init__()
        self.fold = fold
        self.normalizer = Normalizer(privileged_dim)
        self.actor = mlp((privileged_dim, *hidden, action_dim), gain=0.01)
        self.critic = mlp((privileged_dim, *hidden, 1), gain=0.01)
        self.distribution = Gaussian(action_dim, initial_std)

    def act(self, privileged: torch.Tensor) -> torch.Tensor:
        """Mean action (N, J) of raw privileged observations (N, P)."""
        if self.fold is None:
            return self.actor(self.normalizer(privileged))
        folded, mirrored = self.fold(privileged)
        return self.fold.unfold(self.actor(self.normalizer(folded)), mirrored)

    def value(self, privileged: torch.Tensor) -> torch.Tensor:
        """Value (N,) of raw privileged observations."""
        folded = privileged if self.fold is None else self.fold(privileged)[0]
        return self.critic(self.normalizer(folded)).squeeze(-1)

    @torch.no_grad()
    def world_statistics(self) -> Normalizer:
        """Mean and variance of unfolded observations: half of them are as seen by the normaliser, half mirrored."""
        if self.fold is None:
            return self.normalizer
        seen, permutation, sign = self.normalizer, self.fold.permutation, self.fold.sign
        whole = copy.deepcopy(seen)
        mirrored = seen.mean[permutation] * sign
        whole.mean.copy_((seen.mean + mirrored) / 2)
        whole.var.copy_((seen.var + seen.var[permutation]) / 2 + ((seen.mean - mirrored) / 2).square())
        whole.freeze()
        return whole
