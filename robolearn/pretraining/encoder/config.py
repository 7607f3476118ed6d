"""The settings of an encoder's pretraining, `encoder` beside a few general ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from policies.encoders.shape import Readout, VitCfg, named
from robolearn.learning.precision import Asked


@dataclass(frozen=True, kw_only=True)
class EncoderCfg:
    """How an image encoder learns by masked autoencoding, and from what.

    Attributes:
        size: of the network: nano 1.2, micro 2.7, tiny 5.4, small 21 million parameters.
        height, width: of its images [pixels]; all images are brought to this size.
        patch: side of a patch [pixels]; 0 for 8 up to 96 pixels and 16 above.
        readout: what the latent is: `class`, the class token; `mean` of the patches' tokens; `grid`, means over 4 x 4 cells side by side.
        images: folders of images, or single ones, the same as with `--images`.
        videos: video files or folders of them, the same as with `--videos`.
        data: datasets, the same as with `--data`.
        render: presets whose cameras are drawn as it goes, the same as with `--render`.
        policy: policy file that half of the rendered worlds follow; empty for random actions in all of them.
        weights: share of each source in a batch, in the order images, videos, data, render; empty for equal shares.
        mask: share of an image's patches that the encoder does not see.
        normalized: whether the target of each patch is its pixels less their mean, divided by their standard deviation.
        decoder_dim, decoder_layers, decoder_heads: size of the decoder, which is thrown away.
        iterations: number of iterations, of `updates` optimiser steps each.
        updates: optimiser steps of an iteration.
        batch: images of an optimiser step, of each process.
        learning_rate: highest learning rate; it rises over `warmup` and falls by a cosine.
        warmup: share of the training in which the learning rate rises.
        weight_decay: of AdamW.
        max_grad_norm: norm at which gradients are clipped.
        crop: smallest share of an image's side that is cut out at random from images of files; 1 always takes the whole.
        held_out: share of the images of files that is used for testing only.
        every: frames from one that is taken out of a video or a dataset to the next.
        worlds: rendered worlds at once.
        reuse: how often a rendered image is learned from, on average.
        kept: rendered images from which a batch is drawn.
        apart_s: time from one image of a rendered world to the next [s].
        allow: names of licences that are allowed, see `robolearn.data.licence`.
    """

    size: Literal["nano", "micro", "tiny", "small"] = "nano"
    height: int = 64
    width: int = 64
    patch: int = 0
    readout: Readout = "grid"
    images: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    render: tuple[str, ...] = ()
    policy: str = ""
    weights: tuple[float, ...] = ()
    mask: float = 0.75
    normalized: bool = True
    decoder_dim: int = 96
    decoder_layers: int = 2
    decoder_heads: int = 4
    iterations: int = 200
    updates: int = 20
    batch: int = 128
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0
    crop: float = 0.7
    held_out: float = 0.05
    every: int = 5
    worlds: int = 64
    reuse: float = 4.0
    kept: int = 4096
    apart_s: float = 0.2
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("iterations", "updates", "batch", "every", "worlds", "kept", "decoder_dim", "decoder_layers", "decoder_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "max_grad_norm", "apart_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name):g}")
        for name in ("warmup", "held_out"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, 1 excluded, not {getattr(self, name):g}")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay must not be negative, is {self.weight_decay:g}")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop must lie between 0 and 1, not {self.crop:g}")
        if not self.reuse >= 1:
            raise ValueError(f"reuse must be at least 1, not {self.reuse:g}")
        if self.decoder_dim % self.decoder_heads or self.decoder_dim % 4:
            raise ValueError(f"decoder_dim must be a multiple of 4 and of decoder_heads, not {self.decoder_dim} with {self.decoder_heads}")
        patches = self.vit.grid[0] * self.vit.grid[1]
        if not 0 < self.mask < 1 or not 0 < self.seen < patches:
            raise ValueError(f"mask must leave some of the {patches} patches to see and some to guess, not {self.mask:g}")
        count = len(self.images) + len(self.videos) + len(self.data) + len(self.render)
        if self.weights and (len(self.weights) != count or any(not w >= 0 for w in self.weights) or not sum(self.weights) > 0):
            raise ValueError(f"weights must be one number for each of the {count} sources, none negative, not all 0")

    @property
    def vit(self) -> VitCfg:
        """The encoder's numbers.

        Raises:
            ValueError: the patch does not divide the picture.
        """
        return named(self.size, self.height, self.width, patch=self.patch, readout=self.readout)

    @property
    def seen(self) -> int:
        """Patches of an image that the encoder sees."""
        return round(self.vit.grid[0] * self.vit.grid[1] * (1 - self.mask))


@dataclass(frozen=True, kw_only=True)
class EncoderTraining:
    """All settings of a run of `robolearn pretrain encoder`.

    Attributes:
        seed: of everything random.
        threads: torch threads; 0 for all cores.
        precision: of the matrix products: auto takes bf16 where this CPU computes it rightly and faster.
        device: cpu or cuda.
        licence: of the images in `encoder.images` and `encoder.videos`, by its SPDX name.
        init: encoder that this one starts from; empty for random weights.
        checkpoint_every: iterations between two checkpoints.
        encoder: how the encoder learns, and from what.
    """

    seed: int = 0
    threads: int = 0
    precision: Asked = "auto"
    device: Literal["cpu", "cuda"] = "cpu"
    licence: str = "unknown"
    init: str = ""
    checkpoint_every: int = 25
    encoder: EncoderCfg = field(default_factory=EncoderCfg)

    def __post_init__(self) -> None:
        if self.checkpoint_every < 1:
            raise ValueError(f"checkpoint_every must be at least 1, not {self.checkpoint_every}")
