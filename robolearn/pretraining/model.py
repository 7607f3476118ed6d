"""A student's network while it is pretrained, with what a robot does not need: vectors in place of what is missing, and a head for o_{t+1}.

The network itself is the student's, unchanged: what is added here stands around it and is left behind when it is exported. Both objectives
use it: `next` passes a window causally, `masked` both ways.

Shapes: B windows, T tokens, O entries of an observation in M modalities, P of them predicted, J joints, D width.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from policies.networks.fold import Folded
from policies.networks.normalizer import Normalizer
from policies.networks.protocol import Network
from policies.networks.transformer import Transformer
from robolearn.errors import UserError
from robolearn.pretraining.sources import Statistics
from robolearn.pretraining.tokens import MODALITIES, Layout, Tokens


class SequenceModel(nn.Module):
    """The student's transformer, and what only its pretraining needs.

    Attributes:
        actor: the student's network; its normaliser has the statistics of the source that acts.
        missing: what is added to a token's embedding in place of a modality that is missing or hidden, (M, D).
        observation_head: hidden state (and a_t where the objective is not aligned) -> the predicted entries of o_{t+1}, normalised.
    """

    mean: torch.Tensor
    inverse: torch.Tensor
    action_inverse: torch.Tensor
    modality: torch.Tensor
    predicted: torch.Tensor

    def __init__(self, actor: Network, layout: Layout, statistics: Statistics, *, aligned: bool = True) -> None:
        """Put the parts around a network.

        Raises:
            UserError: the network is no transformer.
        """
        super().__init__()
        inner = actor.inner if isinstance(actor, Folded) else actor
        if not isinstance(inner, Transformer):
            raise UserError(f"a network of kind {inner.cfg.kind!r} cannot be pretrained; give --student.network.kind=transformer")
        self.actor, self._aligned = actor, aligned
        first = cast(nn.Linear, inner.embed[0])
        self.missing = nn.Parameter(torch.randn(len(MODALITIES), first.out_features) * 0.02)
        told = 0 if aligned else layout.spec.action_dim
        self.observation_head = nn.Linear(inner.cfg.width + told, len(layout.predicted))
        self.register_buffer("mean", statistics.mean)
        self.register_buffer("inverse", 1.0 / statistics.std)
        self.register_buffer("action_inverse", 1.0 / statistics.action_std)
        self.register_buffer("modality", layout.modality, persistent=False)
        self.register_buffer("predicted", layout.predicted, persistent=False)

    @property
    def net(self) -> Transformer:
        """The transformer, without a fold around it."""
        return cast(Transformer, self.actor.inner if isinstance(self.actor, Folded) else self.actor)

    def act_as(self, statistics: Statistics, source: int) -> None:
        """Give the network the statistics of a source, so that it acts as that one did."""
        normalizer = self.net.normalizer
        normalizer.mean.copy_(statistics.mean[source])
        normalizer.var.copy_((statistics.std[source].double() - normalizer.epsilon).square())
        normalizer.count.fill_(float(statistics.rows[source]))
        normalizer.freeze()

    def normalized(self, observation: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Observations (B, T, O) by the statistics of their sources (B,)."""
        x = (observation - self.mean[source][:, None]) * self.inverse[source][:, None]
        return x.clip(-Normalizer.CLIP, Normalizer.CLIP)

    def encode(self, x: torch.Tensor, hidden: torch.Tensor, *, both_ways: bool = False, inside: torch.Tensor | None = None) -> torch.Tensor:
        """Hidden states (B, T, D).

        Args:
            x: normalised observations, (B, T, O); what is hidden may be anything, NaN included.
            hidden: modalities that are missing or masked, (B, T, M) bool.
            both_ways, inside: see `Transformer.alone`.
        """
        net = self.net
        seen = torch.where(hidden[..., self.modality], 0.0, x)
        embedded = net.embed[0](seen) + F.linear(hidden.to(x.dtype), self.missing.T)
        return net.alone(net.embed[1:](embedded), both_ways, inside)

    def predict_observation(self, states: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """o_{t+1} (B, T, P), normalised, from hidden states (B, T, D); `action` a_t (B, T, J) is told where that is asked for."""
        return self.observation_head(states if self._aligned else torch.cat([states, action], dim=-1))

    def folded(self, tokens: Tokens, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What is seen, observations (B, T, O), those after them, and actions (B, T, J), all from the side that each token is looked at.

        Args:
            tokens: B windows.
            seen: their observations as the network sees them, (B, T, O).
        """
        now, after, action = tokens.observation[:, :-1], tokens.observation[:, 1:], tokens.action
        if not isinstance(self.actor, Folded):
            return seen, now, after, action
        fold = self.actor.fold
        seen, mirrored = fold(seen)
        now, after = (torch.where(mirrored, x[..., fold.permutation] * fold.sign, x) for x in (now, after))
        return seen, now, after, fold.unfold(action, mirrored)  # a mirror undoes itself
