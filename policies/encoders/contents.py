"""What is read out of any encoder's file: its numbers, its weights by our names, and where it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from policies.encoders.shape import VitCfg


@dataclass(frozen=True, kw_only=True)
class Contents:
    """An encoder as plain data.

    Attributes:
        cfg: its numbers.
        weights: by their names in `policies.networks.vit.VitEncoder`.
        origin: plain JSON values; `licence` and, in a file of ours, `weights_sha256` are among them.
        assumed: what the file does not say and was concluded, in sentences.
    """

    cfg: VitCfg
    weights: Mapping[str, torch.Tensor]
    origin: Mapping[str, Any] = field(default_factory=dict[str, Any])
    assumed: tuple[str, ...] = ()


def weights_sha256(weights: Mapping[str, torch.Tensor]) -> str:
    """The hash by which an encoder is named: of its weights alone, whichever file holds them."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu().float().contiguous()
        digest.update(f"{name}{tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
