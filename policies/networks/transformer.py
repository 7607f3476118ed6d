"""The student: a causal transformer whose attention is a band, so that training in chunks and running step by step are the same.

Token t is the normalised observation o_t, which holds the action a_{t-1}. In every layer a token attends to itself and to the W - 1
tokens before it, never across the start of an episode; positions enter only as a learned bias per head and distance. Hence

- one pass over a chunk of T tokens, given the keys and values of the W - 1 tokens before it, equals T single steps with a cache;
- a step costs one token, however long the episode.

Shapes: N worlds, T tokens, W window, D width, H heads, K = D / H, L layers.
After Radosavovic et al. 2024 (arXiv 2303.03381), with a band in place of a sliding context window (Beltagy et al. 2020, 2004.05150)
and a bias by distance (Raffel et al. 2020, 1910.10683).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from policies.networks.mlp import Normalizer, mlp


@dataclass(frozen=True, kw_only=True)
class TransformerCfg:
    """Size of the student.

    Attributes:
        width: D.
        layers: L.
        heads: H; divides the width.
        window: W, tokens that a token sees in each layer, itself included.
        mlp_ratio: hidden width of a block's MLP over D.
        embed_hidden: hidden layers between observation and first block.
        head_hidden: hidden layers between last block and action.
    """

    width: int = 192
    layers: int = 4
    heads: int = 4
    window: int = 16
    mlp_ratio: int = 2
    embed_hidden: tuple[int, ...] = ()
    head_hidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by {self.heads} heads")
        if self.window < 1:
            raise ValueError(f"window must be at least 1, not {self.window}")


class Memory:
    """What a run of tokens leaves behind for the next: the keys and values of the last W - 1 tokens, and each world's age.

    Attributes:
        cache: (L, 2, N, W - 1, D), oldest first.
        age: tokens since the start of the episode that the last token had, -1 before the first, (N,) float.
    """

    __slots__ = ("age", "cache")

    def __init__(self, cache: torch.Tensor, age: torch.Tensor) -> None:
        self.cache, self.age = cache, age

    def clone(self) -> Memory:
        """A copy that later steps do not change."""
        return Memory(self.cache.clone(), self.age.clone())

    def select(self, ids: torch.Tensor) -> Memory:
        """Memory of some worlds."""
        return Memory(self.cache[:, :, ids], self.age[ids])


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, cfg: TransformerCfg) -> None:
        super().__init__()
        d = cfg.width
        self.heads = cfg.heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv = nn.Linear(d, 3 * d)
        self.project = nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, cfg.mlp_ratio * d), nn.Linear(cfg.mlp_ratio * d, d)
        self.distance_bias = nn.Parameter(torch.zeros(cfg.heads, cfg.window))
        for linear in (self.project, self.down):
            nn.init.normal_(linear.weight, std=0.02 / (2 * cfg.layers) ** 0.5)
        for linear in (self.qkv, self.up):
            nn.init.normal_(linear.weight, std=0.02 * (192 / d) ** 0.5)

    def forward(self, x: torch.Tensor, cache: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One layer.

        Args:
            x: (N, T, D).
            cache: keys and values before the chunk, (2, N, W - 1, D).
            mask: bias of distance, -inf where a key is out of reach, (N or 1, H, T, W - 1 + T).

        Returns:
            (N, T, D) and the keys and values of the last W - 1 tokens, (2, N, W - 1, D).
        """
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)  # (N, T, D) each
        keys, values = torch.cat([cache[0], k], dim=1), torch.cat([cache[1], v], dim=1)  # (N, W - 1 + T, D)
        q, kh, vh = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (q, keys, values))  # (N, H, ., K)
        scores = torch.matmul(q * q.shape[-1] ** -0.5, kh.transpose(-1, -2)) + mask  # each token sees itself: no row is empty
        attended = torch.matmul(scores.softmax(-1), vh)  # (N, H, T, K)
        return self.after_attention(x, attended.transpose(1, 2).reshape(n, t, d)), torch.stack([keys[:, t:], values[:, t:]])

    def after_attention(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """What follows attention in the layer, (..., D)."""
        x = x + self.project(attended)
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Transformer(nn.Module):
    """Observation sequence -> action means, with explicit memory.

    Attributes:
        normalizer: of the observation.
    """

    def __init__(self, observation_dim: int, action_dim: int, cfg: TransformerCfg) -> None:
        super().__init__()
        self.cfg = cfg
        self.normalizer = Normalizer(observation_dim)
        self.embed = mlp((observation_dim, *cfg.embed_hidden, cfg.width))
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.norm = nn.LayerNorm(cfg.width)
        self.head = mlp((cfg.width, *cfg.head_hidden, action_dim), gain=0.01)

    def layers(self) -> list[Block]:
        """The blocks, first to last."""
        return cast(list[Block], list(self.blocks))  # ModuleList does not tell what it holds

    def start(self, worlds: int) -> Memory:
        """Memory before the first token of `worlds` episodes."""
        cfg = self.cfg
        weight = self.norm.weight
        cache = torch.zeros(cfg.layers, 2, worlds, cfg.window - 1, cfg.width, device=weight.device, dtype=weight.dtype)
        return Memory(cache, torch.full((worlds,), -1.0, device=weight.device))

    def stream(self, memory: Memory) -> Stream:
        """Go on from a memory step by step, for rollouts."""
        return Stream(self, memory)

    def forward(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """Run a chunk.

        Args:
            observation: raw, (N, T, O).
            memory: what the tokens before the chunk left.
            first: tokens that begin an episode, (N, T) bool; None for none.

        Returns:
            Action means (N, T, A) and the memory after the chunk.
        """
        hidden, memory = self.encode(observation, memory, first)
        return self.head(hidden), memory

    def encode(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """As `forward`, but the hidden states (N, T, D) before the action head."""
        t = observation.shape[1]
        age = ages(memory.age, t, first)  # (N, T)
        reach = self._reach(age)
        x = self.embed(self.normalizer(observation))
        caches = []
        for layer, block in enumerate(self.layers()):
            x, last = block(x, memory.cache[layer], self._mask(block, reach, t))
            caches.append(last)
        return self.norm(x), Memory(torch.stack(caches), age[:, -1])

    def _distances(self, t: int) -> torch.Tensor:
        """How many tokens key j lies before query t, (T, W - 1 + T); negative for the future."""
        device = self.norm.weight.device
        w = self.cfg.window
        return torch.arange(t, device=device)[:, None] + (w - 1) - torch.arange(w - 1 + t, device=device)[None]

    def _reach(self, age: torch.Tensor) -> torch.Tensor:
        """Which keys each query may see: in the band, not in the future, not of an episode before. (N, T, W - 1 + T) bool."""
        distance = self._distances(age.shape[1])
        return (distance >= 0) & (distance < self.cfg.window) & (distance <= age[..., None])

    def _mask(self, block: Block, reach: torch.Tensor, t: int) -> torch.Tensor:
        bias = block.distance_bias[:, self._distances(t).clamp(0, self.cfg.window - 1)]  # (H, T, W - 1 + T)
        return torch.where(reach[:, None], bias, float("-inf"))  # (N, H, T, W - 1 + T)


class Stream:
    """Many worlds step by step, for rollouts: as `Transformer.forward` with T = 1, but keys and values are written where they stay.

    They lie in a row of W - 1 + `room` tokens; when it is full, the last W - 1 move to its front.

    Attributes:
        age: see `Memory`.
    """

    def __init__(self, net: Transformer, memory: Memory, room: int = 24) -> None:
        self._net, self.age = net, memory.age
        layers, _, worlds, self._past, width = memory.cache.shape
        self._buffer = torch.zeros(layers, 2, worlds, self._past + room, width, device=memory.cache.device)
        self._buffer[:, :, :, : self._past] = memory.cache
        self._at = self._past  # where the next token goes
        # distance of the keys in view, oldest first
        self._distance = torch.arange(self._past, -1, -1, device=memory.cache.device)

    def memory(self) -> Memory:
        """What the tokens so far leave behind; a copy."""
        return Memory(self._buffer[:, :, :, self._at - self._past : self._at].clone(), self.age.clone())

    @torch.no_grad()
    def step(self, observation: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        """Action means (N, A) of raw observations (N, O); `first` (N,) bool tells the worlds whose episode begins."""
        net = self._net
        if self._at == self._buffer.shape[3]:
            self._buffer[:, :, :, : self._past] = self._buffer[:, :, :, self._at - self._past : self._at].clone()
            self._at = self._past
        self.age = torch.where(first, torch.zeros_like(self.age), self.age + 1)
        view = slice(self._at - self._past, self._at + 1)
        unreachable = self._distance > self.age[:, None]  # (N, W)
        x = net.embed(net.normalizer(observation))
        for block, layer in zip(net.layers(), self._buffer, strict=True):
            x = self._layer(block, layer, view, x, unreachable)
        self._at += 1
        return net.head(net.norm(x))

    def _layer(self, block: Block, layer: torch.Tensor, view: slice, x: torch.Tensor, unreachable: torch.Tensor) -> torch.Tensor:
        """One block with one query a world, by products of whole arrays: batches of tiny matrix products are slower."""
        q, layer[0, :, self._at], layer[1, :, self._at] = block.qkv(block.norm1(x)).chunk(3, dim=-1)
        keys, values = (part[:, view].unflatten(-1, (block.heads, -1)) for part in layer)  # (N, W, H, K)
        q = q.unflatten(-1, (1, block.heads, -1)) * keys.shape[-1] ** -0.5
        scores = (keys * q).sum(-1) + block.distance_bias.T.flip(0)  # (N, W, H)
        weights = scores.masked_fill(unreachable[..., None], float("-inf")).softmax(1)
        attended = (values * weights[..., None]).sum(1).flatten(1)  # (N, D)
        return block.after_attention(x, attended)


def ages(before: torch.Tensor, t: int, first: torch.Tensor | None) -> torch.Tensor:
    """Tokens since the start of its episode of every token, (N, T): 0 at a first token."""
    steps = torch.arange(1, t + 1, device=before.device, dtype=before.dtype)
    age = before[:, None] + steps
    if first is None:
        return age
    # age at the last start so far is subtracted: cummax over the ages at starts
    starts = torch.where(first, age, torch.zeros_like(age) - 1)
    last = torch.cummax(starts, dim=1).values
    return torch.where(last >= 0, age - last, age)
