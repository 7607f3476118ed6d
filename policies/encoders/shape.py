"""What an image encoder is, in numbers: the part of its file that is neither weights nor origin. Needs neither torch nor ONNX."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

Readout = Literal["class", "mean", "grid"]
READOUTS = ("class", "mean", "grid")
GRID = 4
"""Cells along a side of the readout `grid`."""


@dataclass(frozen=True, kw_only=True)
class VitCfg:
    """A vision transformer that turns one image into one latent.

    Attributes:
        height, width: of its images [pixels]; multiples of `patch`.
        channels: of its images.
        patch: side of a square patch [pixels].
        dim: width of a token.
        layers: number of blocks.
        heads: number of attention heads; divides `dim`.
        mlp_ratio: ratio of the hidden width of a block's MLP to `dim`.
        readout: `class`: the class token; `mean`: the mean of the patches' tokens; `grid`: their means over `GRID` x `GRID` cells, side by
            side, which keeps where things are.
        norm_eps: of the layer normalisation.
        mean, std: of each channel of the images, as shares of 255, by which they are normalised inside the graph.
    """

    height: int = 64
    width: int = 64
    channels: int = 3
    patch: int = 8
    dim: int = 128
    layers: int = 6
    heads: int = 4
    mlp_ratio: float = 4.0
    readout: Readout = "mean"
    norm_eps: float = 1e-6
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        for name in ("height", "width", "channels", "patch", "dim", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("height", "width"):
            if getattr(self, name) % self.patch:
                raise ValueError(f"{name} {getattr(self, name)} is not a multiple of the patch of {self.patch} pixels")
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by {self.heads} heads")
        if self.dim % 4:
            raise ValueError(f"dim must be a multiple of 4 for the positions of two axes, not {self.dim}")
        if self.readout not in READOUTS:
            raise ValueError(f"readout must be one of {', '.join(READOUTS)}, not {self.readout}")
        for name in ("mean", "std"):
            if len(getattr(self, name)) != self.channels:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {self.channels} channels")
        if any(not value > 0 for value in self.std):
            raise ValueError(f"std must be positive: {', '.join(f'{value:g}' for value in self.std)}")
        if self.readout == "grid" and min(self.grid) < GRID:
            raise ValueError(f"readout grid needs at least {GRID} x {GRID} patches, not {self.grid[0]} x {self.grid[1]}")

    @property
    def grid(self) -> tuple[int, int]:
        """Patches down and across."""
        return self.height // self.patch, self.width // self.patch

    @property
    def latent(self) -> int:
        """Width D of the latent."""
        return self.dim * GRID * GRID if self.readout == "grid" else self.dim

    @property
    def hidden(self) -> int:
        """Hidden width of a block's MLP."""
        return round(self.dim * self.mlp_ratio)


SIZES: dict[str, tuple[int, int, int]] = {
    "nano": (128, 6, 4),
    "micro": (192, 6, 4),
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
}
"""Name -> dim, layers, heads: 1.2, 2.7, 5.4 and 21.3 million parameters in the blocks; `tiny` and `small` are those of DeiT."""


def named(size: str, height: int, width: int, channels: int = 3, patch: int = 0, readout: Readout = "mean") -> VitCfg:
    """An encoder of a named size.

    Args:
        size: key of `SIZES`.
        height, width: of its images [pixels].
        channels: of its images.
        patch: side of a patch [pixels]; 0 for 8 up to 96 pixels and 16 above.
        readout: see `VitCfg`.

    Raises:
        ValueError: no such size, or the patch does not divide the picture.
    """
    if size not in SIZES:
        raise ValueError(f"no encoder size {size!r}; valid: {', '.join(SIZES)}")
    dim, layers, heads = SIZES[size]
    patch = patch or (8 if max(height, width) <= 96 else 16)
    cfg = VitCfg(height=height, width=width, patch=patch, dim=dim, layers=layers, heads=heads, readout=readout)
    if channels == 3:
        return cfg
    return dataclasses.replace(cfg, channels=channels, mean=(0.5,) * channels, std=(0.25,) * channels)
