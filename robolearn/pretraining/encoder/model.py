"""The masked autoencoder: an encoder sees a quarter of an image's patches, a light decoder paints the rest from what it says.

After He et al. 2022 (arXiv 2111.06377). Shapes: N images, P patches of which V are seen, E and B widths of a token in encoder and
decoder, F = p * p * c numbers of a patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from policies.encoders.shape import VitCfg
from policies.networks.vit import VitBlock, VitEncoder, positions
from robolearn.pretraining.encoder.config import EncoderCfg

FLAT = 1e-6
"""Added to a patch's variance, so that one of a single colour has a finite target."""


@dataclass(frozen=True)
class Guess:
    """What the autoencoder makes of images.

    Attributes:
        painted: the decoder's patches, in the units of the target, (N, P, F).
        hidden: patches that the encoder did not see, (N, P) bool.
    """

    painted: torch.Tensor
    hidden: torch.Tensor


class MaskedAutoencoder(nn.Module):
    """An encoder with the decoder that it is trained by.

    Attributes:
        encoder: what stays.
    """

    where: torch.Tensor

    def __init__(self, cfg: VitCfg, how: EncoderCfg) -> None:
        super().__init__()
        width, heads = how.decoder_dim, how.decoder_heads
        self.encoder = VitEncoder(cfg)
        self.seen, self.normalized = how.seen, how.normalized
        self.narrow = nn.Linear(cfg.dim, width)
        self.unknown = nn.Parameter(torch.zeros(width))
        self.register_buffer("where", positions(cfg.grid, width), persistent=False)
        self.blocks = nn.ModuleList(VitBlock(width, heads, 4 * width, cfg.norm_eps) for _ in range(how.decoder_layers))
        self.norm = nn.LayerNorm(width, cfg.norm_eps)
        self.paint = nn.Linear(width, cfg.patch * cfg.patch * cfg.channels)
        for linear in (self.narrow, self.paint):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        nn.init.normal_(self.unknown, std=0.02)

    def order(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """A random order of the patches of each image, (N, P); the first V are seen. Drawn on the CPU."""
        patches = self.encoder.position.shape[0] - 1
        return torch.rand(count, patches, generator=generator).argsort(1)

    def guess(self, patches: torch.Tensor, order: torch.Tensor) -> Guess:
        """Paint images of which only some patches are seen.

        Args:
            patches: (N, P, F).
            order: (N, P), see `order`.
        """
        seen, places = order[:, : self.seen], order.argsort(1)
        tokens = self.encoder.embed(patches)
        tokens = tokens.gather(1, seen[..., None].expand(-1, -1, tokens.shape[-1]))  # (N, V, E)
        known = self.narrow(self.encoder.through(tokens))  # (N, 1 + V, B), the class token first
        lacking = self.unknown.to(known.dtype).expand(len(known), patches.shape[1] - self.seen, -1)
        mixed = torch.cat([known[:, 1:], lacking], 1)  # (N, P, B) in the order of `order`
        x = mixed.gather(1, places[..., None].expand(-1, -1, mixed.shape[-1]))
        x = torch.cat([known[:, :1], x], 1) + self.where
        for block in self.blocks:
            x = block(x)
        return Guess(self.paint(self.norm(x))[:, 1:], places >= self.seen)

    def target(self, patches: torch.Tensor) -> torch.Tensor:
        """What is to be painted, (N, P, F)."""
        if not self.normalized:
            return patches
        apart = patches - patches.mean(-1, keepdim=True)
        return apart / (apart.square().sum(-1, keepdim=True) / (apart.shape[-1] - 1) + FLAT).sqrt()

    def forward(self, images: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """The loss: mean squared error over the hidden patches, of images (N, h, w, c) uint8."""
        patches = self.encoder.patches(images)
        guess = self.guess(patches, order)
        error = (guess.painted.float() - self.target(patches)).square().mean(-1)  # (N, P)
        return error[guess.hidden].mean()

    @torch.no_grad()
    def pictures(self, images: torch.Tensor, order: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is seen of images (N, h, w, c), and the whole with what was guessed, uint8.

        With normalised targets the decoder does not say how bright and how coloured a patch is: that is taken from the picture.
        """
        patches = self.encoder.patches(images)
        guess = self.guess(patches, order)
        painted = guess.painted.float()
        if self.normalized:
            painted = painted * (patches.var(-1, keepdim=True) + FLAT).sqrt() + patches.mean(-1, keepdim=True)
        hidden = guess.hidden[..., None]
        gray = torch.zeros_like(patches)
        return self._joined(torch.where(hidden, gray, patches)), self._joined(torch.where(hidden, painted, patches))

    def _joined(self, patches: torch.Tensor) -> torch.Tensor:
        """Patches (N, P, F) as images (N, h, w, c) uint8."""
        cfg, net = self.encoder.cfg, self.encoder
        (down, across), p = cfg.grid, cfg.patch
        x = patches.reshape(-1, down, across, p, p, cfg.channels).permute(0, 1, 3, 2, 4, 5).reshape(-1, *net.size, cfg.channels)
        return ((x - net.shift) / net.scale).round().clamp(0, 255).byte()
