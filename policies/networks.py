"""The plain networks: multilayer perceptron, Gaussian head and running normaliser."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn


class Normalizer(nn.Module):
    """Running mean and standard deviation of a vector, kept in float64; frozen between calls of `update`.

    Chan et al. 1979: moments of two sets combined.
    """

    CLIP = 8.0  # standard deviations; rare spikes, e.g. of a foot thrown up in a fall, must not dominate

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
        self._freeze()

    @property
    def std(self) -> torch.Tensor:
        """Standard deviation, never below epsilon, (size,) float64."""
        return self.var.sqrt() + self.epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(x - mean) / std within +-CLIP, (..., size)."""
        return ((x - self.shift) * self.inverse).clip(-self.CLIP, self.CLIP)

    @torch.no_grad()
    def update(self, x: torch.Tensor) -> None:
        """Take in samples (..., size)."""
        x = x.reshape(-1, x.shape[-1])
        var, mean = torch.var_mean(x, dim=0, correction=0)
        var, mean, n = var.double(), mean.double(), float(len(x))
        total = self.count + n
        delta = mean - self.mean
        self.var += (var - self.var) * (n / total) + delta.square() * (self.count * n / total.square())
        self.mean += delta * (n / total)
        self.count += n
        self._freeze()

    @torch.no_grad()
    def copy_head(self, other: Normalizer) -> None:
        """Take over the statistics of the first entries of a longer vector."""
        size = len(self.mean)
        self.mean.copy_(other.mean[:size])
        self.var.copy_(other.var[:size])
        self.count.copy_(other.count)
        self._freeze()

    def _freeze(self) -> None:
        self.shift.copy_(self.mean)
        self.inverse.copy_(1.0 / self.std)

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        super()._load_from_state_dict(*args, **kwargs)  # type: ignore[arg-type]
        self._freeze()


def mlp(sizes: tuple[int, ...], gain: float = 1.0) -> nn.Sequential:
    """Linear layers with ELU between, orthogonal initialisation, last layer scaled by `gain`.

    Args:
        sizes: input, hidden layers, output.
        gain: of the last layer; 0.01 makes an initial policy act near zero.
    """
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        linear = nn.Linear(a, b)
        last = i == len(sizes) - 2
        nn.init.orthogonal_(linear.weight, gain if last else math.sqrt(2))
        nn.init.zeros_(linear.bias)
        layers.append(linear)
        if not last:
            layers.append(nn.ELU(inplace=True))  # in place: its backward pass then needs no exponential
    return nn.Sequential(*layers)


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


class TeacherPolicy(nn.Module):
    """Actor and critic on privileged state, sharing its normaliser.

    Attributes:
        normalizer: of the privileged observation, P.
        actor: P -> J.
        critic: P -> 1.
        distribution: over actions.
    """

    def __init__(self, privileged_dim: int, action_dim: int, hidden: tuple[int, ...], initial_std: float) -> None:
        super().__init__()
        self.normalizer = Normalizer(privileged_dim)
        self.actor = mlp((privileged_dim, *hidden, action_dim), gain=0.01)
        self.critic = mlp((privileged_dim, *hidden, 1), gain=0.01)
        self.distribution = Gaussian(action_dim, initial_std)

    def act(self, privileged: torch.Tensor) -> torch.Tensor:
        """Mean action (N, J) of raw privileged observations (N, P)."""
        return self.actor(self.normalizer(privileged))

    def value(self, privileged: torch.Tensor) -> torch.Tensor:
        """Value (N,) of raw privileged observations."""
        return self.critic(self.normalizer(privileged)).squeeze(-1)
