"""Ranges of joints on tensors."""

from __future__ import annotations

import torch


def soft_range(lower: torch.Tensor, upper: torch.Tensor, share: float = 0.95) -> tuple[torch.Tensor, torch.Tensor]:
    """The inner share of joint ranges (J,) [rad]; unlimited joints stay unlimited."""
    middle, half = (lower + upper) / 2, (upper - lower) / 2
    limited = half.isfinite()
    return torch.where(limited, middle - share * half, lower), torch.where(limited, middle + share * half, upper)
