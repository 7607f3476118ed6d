"""Seeds and draws."""

from __future__ import annotations

import numpy as np
import torch


def torch_seed(seed: int) -> int:
    """A seed for torch's generators from any non-negative integer: itself, or drawn from it if it has more than 63 bits.

    Raises:
        ValueError: it is negative.
    """
    seed = int(seed)
    if seed < 0:
        raise ValueError(f"seed must not be negative, is {seed}")
    return seed if seed < 2**63 else int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(1))


def uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Draw uniformly from [low, high], with a given shape, on the generator's device."""
    return low + torch.rand(shape, generator=generator, device=generator.device) * (high - low)
