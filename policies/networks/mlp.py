"""The plain networks: multilayer perceptron, Gaussian head and running normaliser."""

from __future__ import annotations

import copy
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
        """Take in samples (..., size)."""
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
        """Take over the statistics of the first entries of a longer vector."""
        size = len(self.mean)
        self.mean.copy_(other.mean[:size])
        self.var.copy_(other.var[:size])
        self.count.copy_(other.count)
        self.freeze()

    def freeze(self) -> None:
        """Make `forward` use the mean and variance as they are now."""
        self.shift.copy_(self.mean)
        self.inverse.copy_(1.0 / self.std)

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        super()._load_from_state_dict(*args, **kwargs)  # type: ignore[arg-type]
        self.freeze()


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


ZERO_SINE = 1e-5


class Fold(nn.Module):
    """Halves a symmetric world: what happens in the second half of the gait's cycle is looked at in the mirror.

    In the mirror the clock is half a cycle earlier, so a policy behind a fold sees the first half-cycle alone, and is exactly symmetric:
    pi(M s) = M pi(s). It costs nothing, and each step teaches both sides.
    """

    permutation: torch.Tensor
    sign: torch.Tensor
    action_permutation: torch.Tensor
    action_sign: torch.Tensor

    def __init__(self, observation: tuple[torch.Tensor, torch.Tensor], action: tuple[torch.Tensor, torch.Tensor], clock: int) -> None:
        """Make one.

        Args:
            observation, action: mirrors (permutation, sign) of observations (P) and actions (J).
            clock: index of the sine of the gait's phase in an observation; its cosine follows.
        """
        super().__init__()
        self.register_buffer("permutation", observation[0])
        self.register_buffer("sign", observation[1])
        self.register_buffer("action_permutation", action[0])
        self.register_buffer("action_sign", action[1])
        self.register_buffer("clock", torch.tensor(clock))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Folded observations (..., P), and which of them were mirrored (..., 1) bool."""
        sine, cosine = x[..., self.clock, None], x[..., self.clock + 1, None]  # pyright: ignore
        mirrored = torch.where(sine.abs() < ZERO_SINE, cosine < 0, sine < 0)  # rounding must not decide about the middle of the cycle
        return torch.where(mirrored, x[..., self.permutation] * self.sign, x), mirrored

    def unfold(self, action: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
        """Actions (..., J) back in the world."""
        return torch.where(mirrored, action[..., self.action_permutation] * self.action_sign, action)

    @staticmethod
    def placeholder(observation: int, action: int) -> Fold:
        """A fold of these sizes, to load a state into."""
        one = torch.ones(observation), torch.ones(action)
        return Fold((torch.arange(observation), one[0]), (torch.arange(action), one[1]), 0)


class TeacherPolicy(nn.Module):
    """Actor and critic on privileged state, sharing its normaliser, behind a fold where the task is symmetric.

    Attributes:
        normalizer: of the (folded) privileged observation, P.
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
        """Mean and variance of unfolded observations: half of them are as the normaliser saw them, half mirrored."""
        if self.fold is None:
            return self.normalizer
        seen, permutation, sign = self.normalizer, self.fold.permutation, self.fold.sign
        whole = copy.deepcopy(seen)
        mirrored = seen.mean[permutation] * sign
        whole.mean.copy_((seen.mean + mirrored) / 2)
        whole.var.copy_((seen.var + seen.var[permutation]) / 2 + ((seen.mean - mirrored) / 2).square())
        whole.freeze()
        return whole
