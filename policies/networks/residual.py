"""The common part of the small networks: normaliser, embedding, a core with memory, and action head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from policies.networks.layers import mlp
from policies.networks.normalizer import Normalizer
from policies.networks.protocol import Memory, Network, NetworkCfg


@dataclass(frozen=True, kw_only=True)
class CoreCfg(NetworkCfg):
    """Size of a network with a core between embedding and head.

    Attributes:
        width: width D of its layers.
        layers: number L of layers in its core.
        embed_hidden: hidden layers between observation and core.
        head_hidden: hidden layers between core and action.
    """

    width: int = 192
    layers: int = 4
    embed_hidden: tuple[int, ...] = ()
    head_hidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("width", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


class CoreNetwork(Network, ABC):
    """Normaliser and embedding, then `core`, then norm and action head."""

    normalizer: Normalizer

    def __init__(self, observation_dim: int, action_dim: int, cfg: CoreCfg) -> None:
        super().__init__()
        self.cfg = cfg
        self.normalizer = Normalizer(observation_dim)
        self.embed = mlp((observation_dim, *cfg.embed_hidden, cfg.width))
        self.norm = nn.LayerNorm(cfg.width)
        self.head = mlp((cfg.width, *cfg.head_hidden, action_dim), gain=0.01)

    def forward(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """See `Network`."""
        x, after = self.core(self.embed(self.normalizer(observation)), memory, first)
        return self.head(self.norm(x)), after

    @abstractmethod
    def core(self, x: torch.Tensor, memory: Memory, first: torch.Tensor | None) -> tuple[torch.Tensor, Memory]:
        """Embedded observations (N, T, D), memory, steps that begin an episode (N, T) or None -> (N, T, D) and memory."""
