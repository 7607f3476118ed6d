"""A custom network: gated recurrent units (Cho et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from policies.networks.normalizer import Normalizer
from policies.networks.protocol import Memory, Network, NetworkCfg
from policies.networks.registry import NetworkKind


@dataclass(frozen=True, kw_only=True)
class GruCfg(NetworkCfg):
    """One layer of `width` units."""

    kind: str = "gru"
    width: int = 64


class Gru(Network):
    """Memory `h` (N, D), zero at the start of an episode."""

    def __init__(self, observation_dim: int, action_dim: int, cfg: GruCfg) -> None:
        super().__init__()
        self.cfg = cfg
        self.normalizer = Normalizer(observation_dim)
        self.cell = nn.GRUCell(observation_dim, cfg.width)
        self.head = nn.Linear(cfg.width, action_dim)
        nn.init.zeros_(self.head.bias)

    def start(self, worlds: int) -> Memory:
        return {"h": self.head.weight.new_zeros(worlds, self.cell.hidden_size)}

    def forward(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        assert self.normalizer is not None
        x, h = self.normalizer(observation), memory["h"]
        outputs: list[torch.Tensor] = []
        for t in range(x.shape[1]):
            if first is not None:
                h = h * (~first[:, t, None]).to(h.dtype)
            h = self.cell(x[:, t], h)
            outputs.append(self.head(h))
        return torch.stack(outputs, dim=1), {"h": h}


GRU = NetworkKind(cfg=GruCfg, make=Gru)
