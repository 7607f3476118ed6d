"""Long short-term memory (Hochreiter and Schmidhuber 1997), the network of most deployed walking policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from policies.networks.protocol import Memory
from policies.networks.residual import CoreCfg, CoreNetwork


@dataclass(frozen=True, kw_only=True)
class LstmCfg(CoreCfg):
    """Size of the LSTM: `layers` cells of `width` units."""

    kind: str = "lstm"


class Lstm(CoreNetwork):
    """Stacked cells; memory `h_l`, `c_l` (N, D) of each layer l, zero at the start of an episode."""

    def __init__(self, observation_dim: int, action_dim: int, cfg: LstmCfg) -> None:
        super().__init__(observation_dim, action_dim, cfg)
        self._names = [(f"h_{layer}", f"c_{layer}") for layer in range(cfg.layers)]
        self.cells = nn.ModuleList(nn.LSTMCell(cfg.width, cfg.width) for _ in range(cfg.layers))

    def start(self, worlds: int) -> Memory:
        """See `Network`."""
        weight = self.norm.weight
        return {name: weight.new_zeros(worlds, len(weight)) for names in self._names for name in names}

    def core(self, x: torch.Tensor, memory: Memory, first: torch.Tensor | None) -> tuple[torch.Tensor, Memory]:
        """See `CoreNetwork`."""
        states = [(memory[h], memory[c]) for h, c in self._names]
        goes_on = None if first is None else (~first).to(x.dtype)[..., None]  # (N, T, 1)
        outputs: list[torch.Tensor] = []
        for t in range(x.shape[1]):
            y = x[:, t]
            for layer, cell in enumerate(self.cells):
                h, c = states[layer]
                if goes_on is not None:
                    h, c = h * goes_on[:, t], c * goes_on[:, t]
                states[layer] = cast(nn.LSTMCell, cell)(y, (h, c))
                y = states[layer][0]
            outputs.append(y)
        after = {name: value for names, state in zip(self._names, states, strict=True) for name, value in zip(names, state, strict=True)}
        return torch.stack(outputs, dim=1), after
