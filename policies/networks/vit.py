"""A vision transformer as an image encoder: one image in, one latent out, for a policy that sees by it.

    images uint8 (N, h, w, c) -> normalised pixels -> P patches -> tokens (N, 1 + P, E) -> blocks -> latent (N, D)

The first token is a learned one that belongs to no patch. After Dosovitskiy et al. 2021 (arXiv 2010.11929) in the form of MAE (He et al.
2022, 2111.06377), so that published weights fit. Images are normalised inside the network: whoever calls it gives bytes.

Shapes: N images, h x w pixels, c channels, p side of a patch, P = h w / p^2 patches, E width of a token, H heads, D width of the latent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from policies.encoders.errors import EncoderError
from policies.encoders.reading import read
from policies.encoders.resizing import resized
from policies.encoders.shape import GRID, Readout, VitCfg


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(q k^T / sqrt(E / H)) v, (N, H, T, E / H) each.

    On the CPU in three operations: the backward pass of torch's own takes half of a training step there, with so few tokens.
    """
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v)
    return torch.matmul(torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)).softmax(-1), v)


class VitBlock(nn.Module):
    """Pre-norm attention of all tokens to all, and an MLP."""

    def __init__(self, dim: int, heads: int, hidden: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps), nn.LayerNorm(dim, eps)
        self.qkv, self.project = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        for linear in (self.qkv, self.project, self.up, self.down):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (N, T, E) -> (N, T, E)."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))  # (N, T, 3, H, E / H)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (N, H, T, E / H) each
        attended = attend(q, k, v)
        x = x + self.project(attended.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


def positions(grid: tuple[int, int], dim: int) -> torch.Tensor:
    """Sines and cosines of a patch's column and row, each half of the entries, as MAE has them; 0 for the class token, (1 + P, E)."""
    frequency = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    row, column = torch.meshgrid(*(torch.arange(count, dtype=torch.float64) for count in grid), indexing="ij")
    halves = [torch.cat([angle.sin(), angle.cos()], 1) for angle in (place.flatten()[:, None] * frequency for place in (column, row))]
    return torch.cat([torch.zeros(1, dim), torch.cat(halves, 1).float()])


def cells(grid: tuple[int, int]) -> torch.Tensor:
    """Weights (GRID^2, P) that turn the patches' tokens into their means over the cells of the readout `grid`."""
    of = [torch.arange(count) * GRID // count for count in grid]  # the cell of each row, of each column
    cell = (of[0][:, None] * GRID + of[1]).flatten()
    members = F.one_hot(cell, GRID * GRID).T.float()
    return members / members.sum(1, keepdim=True).clamp(min=1)


class VitEncoder(nn.Module):
    """An image encoder: the interface that every policy which sees expects.

    Attributes:
        cfg: its numbers.
        size: height and width of its images [pixels].
        channels: of its images.
        width: D, of its latent.
        frozen: whether its weights stay as they are.
    """

    scale: torch.Tensor
    shift: torch.Tensor
    cells: torch.Tensor

    def __init__(self, cfg: VitCfg) -> None:
        super().__init__()
        self.cfg, self.size, self.channels, self.width = cfg, (cfg.height, cfg.width), cfg.channels, cfg.latent
        self.frozen = False
        mean, std = torch.tensor(cfg.mean, dtype=torch.float64), torch.tensor(cfg.std, dtype=torch.float64)
        self.register_buffer("scale", (1 / (255 * std)).float())
        self.register_buffer("shift", (-mean / std).float())
        self.register_buffer("cells", cells(cfg.grid), persistent=False)
        self.patch = nn.Linear(cfg.patch * cfg.patch * cfg.channels, cfg.dim)
        self.first = nn.Parameter(torch.zeros(cfg.dim))
        self.position = nn.Parameter(positions(cfg.grid, cfg.dim), requires_grad=False)
        self.blocks = nn.ModuleList(VitBlock(cfg.dim, cfg.heads, cfg.hidden, cfg.norm_eps) for _ in range(cfg.layers))
        self.norm = nn.LayerNorm(cfg.dim, cfg.norm_eps)
        nn.init.xavier_uniform_(self.patch.weight)
        nn.init.zeros_(self.patch.bias)
        nn.init.normal_(self.first, std=0.02)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Latents of images.

        Args:
            images: (N, h, w, c) uint8.

        Returns:
            (N, D) float32.
        """
        return self.read(self.through(self.embed(self.patches(images)))).float()

    def patches(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised pixels (N, P, p * p * c) of images (N, h, w, c): a patch's rows, in them its columns, in them the channels.

        Raises:
            ValueError: images of another size.
        """
        if tuple(images.shape[1:]) != (*self.size, self.channels):
            raise ValueError(
                f"images of shape {tuple(images.shape)}; this encoder takes (N, {self.size[0]}, {self.size[1]}, {self.channels})"
            )
        (down, across), p = self.cfg.grid, self.cfg.patch
        x = images.float() * self.scale + self.shift
        x = x.reshape(-1, down, p, across, p, self.channels).permute(0, 1, 3, 2, 4, 5)  # (N, down, across, p, p, c)
        return x.reshape(-1, down * across, p * p * self.channels)

    def embed(self, patches: torch.Tensor) -> torch.Tensor:
        """Tokens (N, P, E) of patches, with their positions and without the first token."""
        return self.patch(patches) + self.position[1:]

    def through(self, tokens: torch.Tensor) -> torch.Tensor:
        """All blocks: tokens (N, T, E) of any of the patches -> (N, 1 + T, E), the class token first."""
        first = (self.first + self.position[0]).expand(tokens.shape[0], 1, -1)
        x = torch.cat([first, tokens], 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def read(self, x: torch.Tensor) -> torch.Tensor:
        """The latent (N, D) of all tokens (N, 1 + P, E)."""
        if self.cfg.readout == "class":
            return x[:, 0]
        if self.cfg.readout == "mean":
            return x[:, 1:].mean(1)
        return torch.matmul(self.cells, x[:, 1:]).flatten(1)  # a cell after the other

    def freeze(self) -> VitEncoder:
        """Fix all weights from here on. Returns the encoder."""
        self.frozen = True
        return cast(VitEncoder, self.requires_grad_(False).eval())

    def train(self, mode: bool = True) -> VitEncoder:
        """As of every module; a frozen one stays as it is."""
        return cast(VitEncoder, super().train(mode and not self.frozen))


def count(module: nn.Module) -> int:
    """Number of its parameters, fixed ones included."""
    return sum(math.prod(parameter.shape) for parameter in module.parameters())


def build(cfg: VitCfg, weights: Mapping[str, torch.Tensor], where: str) -> VitEncoder:
    """A frozen encoder with given weights.

    Args:
        cfg: its numbers.
        weights: of all its parameters, by their names here; `scale` and `shift` may be left out.
        where: where they come from, for messages.

    Raises:
        EncoderError: one is missing, is one too many, has another shape or is not finite.
    """
    net = VitEncoder(cfg)
    own = net.state_dict()
    lacking = [name for name in own if name not in weights and name not in ("scale", "shift")]
    more = [name for name in weights if name not in own]
    if lacking or more:
        told = [f"lacks {_few(lacking)}"] * bool(lacking) + [f"has {_few(more)} besides"] * bool(more)
        raise EncoderError(f"{where} does not hold an encoder of {cfg.layers} blocks: it {' and '.join(told)}")
    for name, value in weights.items():
        if value.shape != own[name].shape:
            raise EncoderError(f"{where}: {name} has the shape {tuple(value.shape)}, but must have {tuple(own[name].shape)}")
        if not bool(value.isfinite().all()):
            raise EncoderError(f"{where}: {name} is not finite")
    net.load_state_dict({**own, **weights})
    return net.freeze()


def load(path: str | Path, size: tuple[int, int] | None = None, heads: int | None = None, readout: Readout | None = None) -> VitEncoder:
    """An image encoder from a file, frozen: ours (ONNX, or a checkpoint of `robolearn pretrain encoder`) or published weights.

    Args:
        path: of the file, see `policies.encoders.reading.read`.
        size: height and width of its images [pixels], to which its positions are then interpolated; None for its own.
        heads: attention heads, for weights of others that do not tell.
        readout: what the latent is; None for the file's own, or the class token.

    Returns:
        The encoder, with the interface of `VitEncoder`.

    Raises:
        EncoderError: the file is not there, is none of these, or does not fit.
    """
    found = read(path, heads, readout)
    cfg, weights = found.cfg, dict(found.weights)
    if size is not None and size != (cfg.height, cfg.width):
        cfg, weights = resized(cfg, weights, size, str(path))
    return build(cfg, weights, str(path))


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
