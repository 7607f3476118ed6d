"""An encoder for images of another size: its positions interpolated over the new grid of patches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch.nn import functional as F

from policies.encoders.errors import EncoderError
from policies.encoders.shape import VitCfg


def resized(cfg: VitCfg, weights: Mapping[str, torch.Tensor], size: tuple[int, int], where: str) -> tuple[VitCfg, dict[str, torch.Tensor]]:
    """The same encoder for images of another size; only `position` changes.

    Args:
        cfg: its numbers.
        weights: by their names in `policies.networks.vit.VitEncoder`.
        size: height and width of the new images [pixels].
        where: where the encoder comes from, for messages.

    Raises:
        EncoderError: the patch does not divide the new size.
    """
    try:
        new = dataclasses.replace(cfg, height=size[0], width=size[1])
    except ValueError as error:
        raise EncoderError(f"{where} cannot take images of {size[0]} x {size[1]}: {error}") from error
    return new, dict(weights) | {"position": interpolated(weights["position"], cfg.grid, new.grid)}


def interpolated(position: torch.Tensor, old: tuple[int, int], new: tuple[int, int]) -> torch.Tensor:
    """Positions (1 + P, E) of a grid as those of another, by bicubic interpolation; the class token's stays."""
    if old == new:
        return position
    plane = position[1:].T.reshape(1, -1, *old)
    spread = F.interpolate(plane, size=new, mode="bicubic", align_corners=False)
    return torch.cat([position[:1], spread.flatten(2)[0].T])
