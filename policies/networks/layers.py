"""Layers shared by several networks."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import nn


def mlp(sizes: tuple[int, ...], gain: float = 1.0) -> nn.Sequential:
    """Linear layers with ELU in between, orthogonal initialisation, and the last layer scaled by `gain`.

    Args:
        sizes: input, hidden layers, output.
        gain: gain of the last layer; 0.01 makes initial actions close to zero.
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
