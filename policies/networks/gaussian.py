"""The distribution of actions in training: a diagonal Gaussian around the network's mean."""

from __future__ import annotations

import math

import torch
from torch import nn


class Gaussian(nn.Module):
    """Diagonal Gaussian with a learned, state-independent standard deviation."""

    LOG_2PI = math.log(2 * math.pi)

    def __init__(self, size: int, initial_std: float) -> None:
        super().__init__()
        self.log_std = nn.Parameter(torch.full((size,), math.log(initial_std)))

    def log_prob(self, mean: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Log density of actions (..., A) under means (..., A), (...)."""
        z = (action - mean) * torch.exp(-self.log_std)
        return -0.5 * z.square().sum(-1) - self.log_std.sum() - 0.5 * mean.shape[-1] * self.LOG_2PI

    def entropy(self) -> torch.Tensor:
        """Differential entropy, a scalar."""
        return self.log_std.sum() + 0.5 * len(self.log_std) * (1 + self.LOG_2PI)

    def sample(self, mean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw actions."""
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        return mean + noise * self.log_std.exp()
