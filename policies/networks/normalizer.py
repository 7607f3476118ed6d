"""Running mean and standard deviation of observations, inside every network and its policy file."""

from __future__ import annotations

import torch
from torch import nn


class Normalizer(nn.Module):
    """Running mean and standard deviation of a vector, kept in float64; frozen between calls of `update`.

    Chan et al. 1979: moments of two sets combined.
    """

    CLIP = 8.0  # standard deviations; rare spikes, e.g. of a foot in a fall, must not dominate

    mean: torch.Tensor
    var: torch.Tensor
    count: torch.Tensor
    shift: torch.Tensor
    inverse: torch.Tensor

    def __init__(self, size: int, epsilon: float = 1e-2) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("var", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(size), persistent=False)
        self.register_buffer("inverse", torch.ones(size), persistent=False)
        self.freeze()

    @property
    def std(self) -> torch.Tensor:
        """Standard deviation, never below epsilon, (size,) float64."""
        return self.var.sqrt() + self.epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(x - mean) / std within +-CLIP, (..., size)."""
        return ((x - self.shift) * self.inverse).clip(-self.CLIP, self.CLIP)

    @torch.no_grad()
    def update(self, x: torch.Tensor) -> None:
        """Add samples (..., size)."""
        x = x.reshape(-1, x.shape[-1])
        var, mean = torch.var_mean(x, dim=0, correction=0)
        var, mean, n = var.double(), mean.double(), float(len(x))
        total = self.count + n
        delta = mean - self.mean
        self.var += (var - self.var) * (n / total) + delta.square() * (self.count * n / total.square())
        self.mean += delta * (n / total)
        self.count += n
        self.freeze()

    @torch.no_grad()
    def copy_head(self, other: Normalizer) -> None:
        """Copy the statistics of the first entries of a longer vector."""
        size = len(self.mean)
        self.mean.copy_(other.mean[:size])
        self.var.copy_(other.var[:size])
        self.count.copy_(other.count)
        self.freeze()

    def freeze(self) -> None:
        """Make `forward` use the current mean and variance."""
        self.shift.copy_(self.mean)
        self.inverse.copy_(1.0 / self.std)

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        super()._load_from_state_dict(*args, **kwargs)  # type: ignore[arg-type]
        self.freeze()
