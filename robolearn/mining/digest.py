"""A name for weights, so that a folder can tell whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch


def digest(weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of named tensors."""
    total = hashlib.sha256()
    for name, value in sorted(weights.items()):
        total.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()
