"""A small convolutional encoder whose latent says where things are in the image: trained from nothing with its student.

Each feature map of the last layer becomes the point at which it is strongest on average (a softmax over its pixels, Levine et al. 2016,
arXiv 1504.00702, eq. 2) and its mean under that softmax. A policy that moves towards what it sees needs places, and learns them from few
images this way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

FAR = 4.0  # m; depths beyond look alike
LABELS = 8.0  # a segmentation's label that becomes 1


@dataclass(frozen=True, kw_only=True)
class CnnCfg:
    """Size of the convolutional network.

    Attributes:
        maps: feature maps of each layer; the first two layers halve the image's sides.
    """

    maps: tuple[int, ...] = (16, 32, 32)

    def __post_init__(self) -> None:
        if not self.maps or min(self.maps) < 1:
            raise ValueError(f"maps must name at least one layer, of at least 1 map each, not {list(self.maps)}")


class Cnn(nn.Module):
    """Images -> places of what it knows, see `policies.networks.vision.Encoder`.

    Attributes:
        size: height and width of an image [pixels].
        channels: of an image.
        width: entries of a latent: 3 for each map of the last layer.
        frozen: whether training leaves it as it is.
    """

    rows: torch.Tensor
    columns: torch.Tensor

    def __init__(self, shape: tuple[int, int, int], cfg: CnnCfg, frozen: bool = False) -> None:
        super().__init__()
        height, width, self.channels = shape
        self.size, self.frozen, self.width = (height, width), frozen, 3 * cfg.maps[-1]
        layers: list[nn.Module] = []
        for index, (a, b) in enumerate(pairwise((self.channels, *cfg.maps))):
            layers += [nn.Conv2d(a, b, 5 if index == 0 else 3, 2 if index < 2 else 1, 2 if index == 0 else 1), nn.ReLU()]
            height, width = ((height + 1) // 2, (width + 1) // 2) if index < 2 else (height, width)
        self.layers = nn.Sequential(*layers[:-1])  # the softmax needs both signs
        self.sharpness = nn.Parameter(torch.ones(cfg.maps[-1], 1))
        self.register_buffer("rows", torch.linspace(-1, 1, height).repeat_interleave(width), persistent=False)
        self.register_buffer("columns", torch.linspace(-1, 1, width).repeat(height), persistent=False)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.orthogonal_(layer.weight, 2**0.5)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType] (there is one)
        if frozen:
            self.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See `Encoder`."""
        x = self.layers(scaled(images).permute(0, 3, 1, 2)).flatten(2)  # (n, K, pixels)
        weights = (x * self.sharpness).softmax(-1)
        places = (weights * self.columns).sum(-1), (weights * self.rows).sum(-1), F.softsign((weights * x).sum(-1))
        return torch.cat(places, dim=-1)


def scaled(images: torch.Tensor) -> torch.Tensor:
    """Images (..., channels) as float32 of about unit size: colours around 0, depths up to `FAR`, labels."""
    if images.dtype != torch.uint8:
        return images.clamp(0.0, FAR) * (2.0 / FAR) - 1.0
    return images.float() * (2.0 / 255.0) - 1.0 if images.shape[-1] == 3 else images.float() / LABELS
