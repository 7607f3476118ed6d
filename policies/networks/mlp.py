"""A network without memory, to show what a student loses that only sees the present observation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from policies.networks.protocol import Memory
from policies.networks.residual import CoreCfg, CoreNetwork


@dataclass(frozen=True, kw_only=True)
class MlpCfg(CoreCfg):
    """Size of the plain network, `width` and `layers` as the transformer's."""

    kind: str = "mlp"


class Mlp(CoreNetwork):
    """Residual blocks on the present observation; no memory."""

    def __init__(self, observation_dim: int, action_dim: int, cfg: MlpCfg) -> None:
        super().__init__(observation_dim, action_dim, cfg)
        hidden = 4 * cfg.width
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(cfg.width), nn.Linear(cfg.width, hidden), nn.GELU("tanh"), nn.Linear(hidden, cfg.width))
            for _ in range(cfg.layers)
        )

    @property
    def history_steps(self) -> int:
        """See `Network`."""
        return 1

    def start(self, worlds: int) -> Memory:
        """See `Network`: nothing."""
        del worlds
        return {}

    def core(self, x: torch.Tensor, memory: Memory, first: torch.Tensor | None) -> tuple[torch.Tensor, Memory]:
        """See `CoreNetwork`."""
        del first
        for block in self.blocks:
            x = x + block(x)
        return x, memory
