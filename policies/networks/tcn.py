"""Temporal convolutions (Bai et al. 2018, arXiv 1803.01271) over the last observations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from policies.networks.protocol import Memory, ages
from policies.networks.residual import CoreCfg, CoreNetwork


@dataclass(frozen=True, kw_only=True)
class TcnCfg(CoreCfg):
    """Size of the convolutions.

    Attributes:
        window: least number of observations that an action depends on, spread over the layers.
    """

    kind: str = "tcn"
    window: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 1:
            raise ValueError(f"window must be at least 1, not {self.window}")


class Tcn(CoreNetwork):
    """Residual causal convolutions, dilated by powers of the kernel size so that the layers together see at least `window` observations.

    Memory: `past_l` (N, P, D), the past inputs of layer l that its taps use, oldest first, and `age` (N,), steps since the start of the
        episode, -1 before the first. Inputs before the episode are zero.
    """

    def __init__(self, observation_dim: int, action_dim: int, cfg: TcnCfg) -> None:
        super().__init__(observation_dim, action_dim, cfg)
        self.kernel = max(2, round(cfg.window ** (1 / cfg.layers)))
        while self.kernel**cfg.layers < cfg.window:
            self.kernel += 1
        self.dilations = [self.kernel**layer for layer in range(cfg.layers)]
        self.pasts = [(self.kernel - 1) * dilation for dilation in self.dilations]
        self.norms = nn.ModuleList(nn.LayerNorm(cfg.width) for _ in self.dilations)
        self.taps = nn.ModuleList(nn.Linear(self.kernel * cfg.width, cfg.width) for _ in self.dilations)
        self.mixes = nn.ModuleList(nn.Linear(cfg.width, cfg.width) for _ in self.dilations)

    @property
    def history_steps(self) -> int:
        """See `Network`."""
        return sum(self.pasts) + 1

    def start(self, worlds: int) -> Memory:
        """See `Network`."""
        weight = self.norm.weight
        memory = {f"past_{layer}": weight.new_zeros(worlds, past, len(weight)) for layer, past in enumerate(self.pasts)}
        return {"age": weight.new_full((worlds,), -1.0), **memory}

    def core(self, x: torch.Tensor, memory: Memory, first: torch.Tensor | None) -> tuple[torch.Tensor, Memory]:
        """See `CoreNetwork`."""
        t = x.shape[1]
        age = ages(memory["age"], t, first)  # (N, T)
        after = {"age": age[:, -1].clamp(max=float(self.pasts[-1]))}  # nothing depends on larger values
        for layer, (dilation, past) in enumerate(zip(self.dilations, self.pasts, strict=True)):
            row = torch.cat([memory[f"past_{layer}"], self.norms[layer](x)], dim=1)  # (N, P + T, D), oldest first
            seen: list[torch.Tensor] = []
            for tap in range(self.kernel):
                back = tap * dilation
                inside = (age >= back).to(x.dtype)[..., None]
                seen.append(row[:, past - back : past - back + t] * inside)
            x = x + self.mixes[layer](F.gelu(self.taps[layer](torch.cat(seen, dim=-1)), approximate="tanh"))
            after[f"past_{layer}"] = row[:, t:]
        return x, after
