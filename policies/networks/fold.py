"""A symmetric world looked at from one side: what makes a policy exactly left-right symmetric."""

from __future__ import annotations

import torch
from torch import nn

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
