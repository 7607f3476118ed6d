"""A student with eyes: an encoder for its cameras in front of any network with memory.

    images --encoder--> latents --readout--> features +
    state --normalizer---------------------------------> | --> core (transformer, LSTM, TCN, MLP or yours) --> action

`forward` and `stream` take the state and the features as one vector (N, T, O + F), so that an image is encoded once, whenever it comes, and
not once per control step: `encode` makes latents of images, `read` features of latents, `observed` joins them with the state. `step`, which
becomes the policy file, takes the images themselves.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

import torch
from torch import nn

from policies.encoders.shape import SIZES, named
from policies.networks import vit
from policies.networks.cnn import Cnn, CnnCfg
from policies.networks.layers import mlp
from policies.networks.normalizer import Normalizer
from policies.networks.protocol import STATE, Memory, Network, NetworkCfg, Stream
from policies.networks.registry import make_network

Shape = tuple[int, int, int]
"""Height, width and channels of an image."""


class Encoder(Protocol):
    """What makes a vector of an image; an `nn.Module` with these.

    Attributes:
        width: entries of the vector, D.
        frozen: whether training leaves it as it is, so that its latents can be kept in place of images.
    """

    width: int
    frozen: bool

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, height, width, channels) -> (n, D) float32."""
        ...


@dataclass(frozen=True, kw_only=True)
class VisionCfg:
    """What a student sees, and how.

    Attributes:
        cameras: the entries of `env.observations` that it sees; empty for all that are cameras.
        encoder: `cnn`, a small convolutional network for each camera; the name of a vision transformer's size (`nano`, `micro`, `tiny`,
            `small`), untrained; or the path of an encoder's file (`robolearn pretrain encoder`, or published weights). All cameras share
            a transformer.
        readout: what a transformer's latent is: the class token (`class`), the mean of its patches (`mean`), or their means over 4 x 4
            cells (`grid`), which keep where things are; null for the file's own, and `grid` for an untrained one.
        frozen: whether the encoder stays as it is; null: one from a file does, others learn. Latents of a frozen encoder are kept in place
            of images, which makes a training cheaper.
        cnn: size of the convolutional network.
        hidden: hidden layers between an encoder's latent and the core.
        width: entries that each camera gives to the core.
    """

    cameras: tuple[str, ...] = ()
    encoder: str = "cnn"
    readout: Literal["class", "mean", "grid"] | None = None
    frozen: bool | None = None
    cnn: CnnCfg = field(default_factory=CnnCfg)
    hidden: tuple[int, ...] = (128,)
    width: int = 64

    def __post_init__(self) -> None:
        if self.width < 1 or any(size < 1 for size in self.hidden):
            raise ValueError(f"width and hidden layers must be at least 1, not {self.width} and {list(self.hidden)}")
        if not self.encoder:
            raise ValueError("encoder is empty; give cnn, or the path of an encoder's file")
        if self.from_file:  # a training may be resumed from another folder
            object.__setattr__(self, "encoder", os.path.abspath(os.path.expanduser(self.encoder)))

    @property
    def from_file(self) -> bool:
        """Whether the encoder is read from a file."""
        return self.encoder != "cnn" and self.encoder not in SIZES

    @property
    def fixed(self) -> bool:
        """Whether the encoder stays as it is."""
        return self.from_file if self.frozen is None else self.frozen


class Seeing(Network):
    """A network behind encoders.

    Attributes:
        core: the network of state and latents.
        views: shape of each camera's images, by the name of its observation group, in order.
        normalizer: of the group `state`; the core's own stays as it is made.
        frozen: whether all encoders stay as they are.
        widths: entries of each camera's latent.
        feature_dim: entries of all cameras' features, F.
    """

    normalizer: Normalizer

    def __init__(self, state: int, action: int, cfg: NetworkCfg, vision: VisionCfg, views: Mapping[str, Shape]) -> None:
        """An untrained network.

        Args:
            state: entries of the group `state`, O.
            action: entries of an action.
            cfg: the core's settings.
            vision: what it sees, and how.
            views: shape of each camera's images.

        Raises:
            ValueError: there is no camera, or the encoder is for other images.
            policies.errors.UserError: the encoder's file cannot be used.
        """
        super().__init__()
        if not views:
            raise ValueError("a student that sees needs at least one camera among the observations")
        self.views, self.vision, self.groups = dict(views), vision, (STATE, *views)
        self.encoders = nn.ModuleList(_encoders(vision, list(views.values())))
        self.widths = {name: self._encoder(index).width for index, name in enumerate(views)}
        self.frozen = all(self._encoder(index).frozen for index in range(len(views)))
        self.feature_dim, self._state = len(views) * vision.width, state
        self.normalizer = Normalizer(state)
        self.readouts = nn.ModuleList(mlp((width, *vision.hidden, vision.width)) for width in self.widths.values())
        self.core = make_network(state + self.feature_dim, action, cfg)
        self.cfg = self.core.cfg

    def _encoder(self, index: int) -> Encoder:
        return cast(Encoder, self.encoders[index % len(self.encoders)])

    def encode(self, name: str, images: torch.Tensor) -> torch.Tensor:
        """Latents (n, D) of a camera's images (n, height, width, channels); without gradients if the encoder is frozen."""
        encoder = self._encoder(list(self.views).index(name))
        if not encoder.frozen:
            return encoder(images)
        with torch.no_grad():
            return encoder(images)

    def read(self, name: str, latents: torch.Tensor) -> torch.Tensor:
        """Features (n, F / cameras) of a camera's latents (n, D)."""
        return self.readouts[list(self.views).index(name)](latents)

    def observed(self, state: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """What `forward` and `stream` take, (..., O + F), of raw states (..., O) and all cameras' features (..., F)."""
        return torch.cat([state, features], dim=-1)

    def fused(self, observation: torch.Tensor) -> torch.Tensor:
        """What the core takes of observations (..., O + F)."""
        return torch.cat([self.normalizer(observation[..., : self._state]), observation[..., self._state :]], dim=-1)

    @property
    def apart(self) -> Mapping[str, nn.Module]:
        """See `Network`."""
        return {name: self.encoders[index % len(self.encoders)] for index, name in enumerate(self.views)}

    @property
    def history_steps(self) -> int:
        """See `Network`."""
        return self.core.history_steps

    def start(self, worlds: int) -> Memory:
        """See `Network`."""
        return self.core.start(worlds)

    def forward(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """See `Network`; of observations (N, T, O + F), see `observed`."""
        return self.core(self.fused(observation), memory, first)

    def stream(self, memory: Memory) -> Stream:
        """See `Network`; of observations (N, O + F)."""
        return _SeeingStream(self, self.core.stream(memory))

    def step(self, observations: Mapping[str, torch.Tensor], memory: Memory) -> tuple[torch.Tensor, Memory]:
        """See `Network`."""
        given = {name: observations[name] for name in self.views}  # images, or latents where the policy file holds the encoder apart
        latents = {name: value if value.dim() == 2 else self.encode(name, value) for name, value in given.items()}
        features = torch.cat([self.read(name, latents[name]) for name in self.views], dim=-1)
        return self.core.step({STATE: self.fused(self.observed(observations[STATE], features))}, memory)

    def prepared(self) -> Seeing:
        """See `Network`."""
        net = copy.deepcopy(self)
        net.core = self.core.prepared()
        return net


class _SeeingStream:
    def __init__(self, net: Seeing, inner: Stream) -> None:
        self._net, self._inner = net, inner

    def memory(self) -> Memory:
        return self._inner.memory()

    @torch.no_grad()
    def step(self, observation: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        return self._inner.step(self._net.fused(observation), first)


def _encoders(vision: VisionCfg, shapes: Sequence[Shape]) -> list[nn.Module]:
    """One encoder for each camera, or the one that all share.

    Raises:
        ValueError: a transformer cannot be for all these images.
        policies.encoders.errors.EncoderError: the encoder's file cannot be used.
    """
    if vision.encoder == "cnn":
        return [Cnn(shape, vision.cnn, frozen=vision.fixed) for shape in shapes]
    if len(set(shapes)) > 1:
        told = ", ".join("x".join(map(str, shape)) for shape in shapes)
        raise ValueError(f"a transformer is shared by all cameras, so their images must be alike, not {told}; or use encoder: cnn")
    height, width, channels = shapes[0]
    if channels != 3:
        raise ValueError(f"a transformer encodes colour, and these images have {channels} channel; use encoder: cnn")
    if vision.from_file:
        net = vit.load(vision.encoder, size=(height, width), readout=vision.readout)
    else:
        net = vit.VitEncoder(named(vision.encoder, height, width, readout=vision.readout or "grid"))
    net.frozen = vision.fixed
    if vision.fixed:
        return [net.freeze()]
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name != "position")
    return [net]
