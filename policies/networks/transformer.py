"""The student: a causal transformer with banded attention, so that training in chunks and running step by step are equivalent.

Token t is the normalised observation o_t, which includes the action a_{t-1}. In every layer a token attends to itself and to the W - 1
tokens before it, never across the start of an episode; positions enter only as a learned bias per head and distance. Hence

- one pass over a chunk of T tokens, given the keys and values of the W - 1 tokens before it, equals T single steps with a cache;
- a step costs one token, regardless of the length of the episode.

Shapes: N worlds, T tokens, W window, D width, H heads, K = D / H, L layers. Memory: `key_l` and `value_l` (N, H, W - 1, K) of each layer,
oldest first, and `age` (N,), age of the last token since the start of the episode, -1 before the first.
After Radosavovic et al. 2024 (arXiv 2303.03381), with a band in place of a sliding context window (Beltagy et al. 2020, 2004.05150)
and a bias by distance (Raffel et al. 2020, 1910.10683).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from policies.networks.layers import mlp
from policies.networks.normalizer import Normalizer
from policies.networks.protocol import STATE, Memory, Network, NetworkCfg, ages

INITIAL_VARIANCE = 0.0768
"""Initial variance of a weight for a normalised input of width D, multiplied by D."""


@dataclass(frozen=True, kw_only=True)
class TransformerCfg(NetworkCfg):
    """Size of the transformer.

    Attributes:
        width: width D of a token.
        layers: number L of blocks.
        heads: number H of attention heads; divides the width.
        window: number W of tokens that a token sees in each layer, including itself.
        mlp_ratio: ratio of the hidden width of a block's MLP to D.
        embed_hidden: hidden layers between observation and first block.
        head_hidden: hidden layers between last block and action.
    """

    kind: str = "transformer"
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


def attend(q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Attention of Q queries to S keys: softmax(q keys^T + bias) values.

    Args:
        q: queries, scaled, (N, H, Q, K).
        keys, values: (N, H, S, K).
        bias: bias by distance, very low for a key out of reach, (N or 1, H or 1, Q, S).

    Returns:
        (N, H, Q, K).
    """
    if q.shape[2] == 1 and q.shape[0] > 1:  # elementwise products of whole arrays, since batches of tiny matrix products are slower
        weights = ((keys * q).sum(-1) + bias[:, :, 0]).softmax(-1)  # (N, H, S)
        return (values * weights[..., None]).sum(2, keepdim=True)
    return torch.matmul((torch.matmul(q, keys.transpose(-1, -2)) + bias).softmax(-1), values)


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, cfg: TransformerCfg) -> None:
        super().__init__()
        d = cfg.width
        self.heads = cfg.heads
        self.scale: float | None = (d // cfg.heads) ** -0.5  # scale of the queries; None if it is folded into their weights
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv = nn.Linear(d, 3 * d)
        self.project = nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, cfg.mlp_ratio * d), nn.Linear(cfg.mlp_ratio * d, d)
        self.distance_bias = nn.Parameter(torch.zeros(cfg.heads, cfg.window))
        for linear in (self.project, self.down):
            nn.init.normal_(linear.weight, std=0.02 / (2 * cfg.layers) ** 0.5)
        for linear in (self.qkv, self.up):
            nn.init.normal_(linear.weight, std=(INITIAL_VARIANCE / d) ** 0.5)

    def forward(
        self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One layer.

        Args:
            x: (N, T, D), or (N, D) for T = 1.
            keys, values: those of the tokens before the chunk, (N, H, W - 1, K).
            bias: see `attend`, S = W - 1 + T.

        Returns:
            As x, and keys and values of the last W - 1 tokens.
        """
        q, k, v = self.project_in(x)
        past, t = keys.shape[2], k.shape[2]
        keys, values = torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2)  # (N, H, W - 1 + T, K)
        x = self.project_out(x, attend(q, keys, values, bias))
        return x, keys[:, :, t : t + past], values[:, :, t : t + past]

    def project_in(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values of tokens (N, T, D) or (N, D), by head, (N, H, T, K)."""
        parts = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        if x.ndim == 2:
            q, k, v = (part.unflatten(-1, (self.heads, 1, -1)) for part in parts)
        else:
            q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return (q if self.scale is None else q * self.scale), k, v

    def project_out(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """The rest of the layer after attention (N, H, T, K), in the shape of x."""
        x = x + self.project(attended.reshape(x.shape) if x.ndim == 2 else attended.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))

    def fold_scale(self) -> None:
        """Fold the queries' scale into their weights, which saves an operation in the exported graph."""
        if self.scale is not None:
            queries = slice(0, len(self.qkv.weight) // 3)
            self.qkv.weight.data[queries] *= self.scale
            self.qkv.bias.data[queries] *= self.scale
            self.scale = None


class Transformer(Network):
    """Observation sequence -> action means, with explicit memory."""

    cfg: TransformerCfg
    normalizer: Normalizer

    def __init__(self, observation_dim: int, action_dim: int, cfg: TransformerCfg) -> None:
        super().__init__()
        self.cfg = cfg
        self.normalizer = Normalizer(observation_dim)
        self.embed = mlp((observation_dim, *cfg.embed_hidden, cfg.width))
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.norm = nn.LayerNorm(cfg.width)
        self.head = mlp((cfg.width, *cfg.head_hidden, action_dim), gain=0.01)

    @property
    def history_steps(self) -> int:
        """See `Network`."""
        return self.cfg.layers * (self.cfg.window - 1) + 1

    def layers(self) -> list[Block]:
        """The blocks, first to last."""
        return cast(list[Block], list(self.blocks))  # ModuleList has no element type

    def start(self, worlds: int) -> Memory:
        """See `Network`."""
        cfg, weight = self.cfg, self.norm.weight
        shape = (worlds, cfg.heads, cfg.window - 1, cfg.width // cfg.heads)
        memory = {f"{kind}_{layer}": weight.new_zeros(shape) for layer in range(cfg.layers) for kind in ("key", "value")}
        return {"age": weight.new_full((worlds,), -1.0), **memory}

    def stream(self, memory: Memory) -> TransformerStream:
        """See `Network`."""
        return TransformerStream(self, memory)

    def forward(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """See `Network`."""
        hidden, memory = self.encode(observation, memory, first)
        return self.head(hidden), memory

    def encode(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """Like `forward`, but returns the hidden states (N, T, D) before the action head."""
        return self.through(self.embed(self.normalizer(observation)), memory, first)

    def through(self, x: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """Like `encode`, for tokens (N, T, D) that are already embedded."""
        t = x.shape[1]
        age = ages(memory["age"], t, first)  # (N, T)
        distance = self._distances(t)
        reach = ((distance >= 0) & (distance < self.cfg.window) & (distance <= age[..., None]))[:, None]  # (N, 1, T, W - 1 + T)
        near = distance.clamp(0, self.cfg.window - 1)
        after = {"age": age[:, -1]}
        for layer, block in enumerate(self.layers()):
            bias = torch.where(reach, block.distance_bias[:, near], float("-inf"))  # each token sees itself, so no row is empty
            x, after[f"key_{layer}"], after[f"value_{layer}"] = block(x, memory[f"key_{layer}"], memory[f"value_{layer}"], bias)
        return self.norm(x), after

    def alone(self, x: torch.Tensor, both_ways: bool = False, inside: torch.Tensor | None = None) -> torch.Tensor:
        """Hidden states (N, T, D) of windows without earlier tokens: like `through` with an empty memory, but cheaper.

        Args:
            x: embedded tokens, (N, T, D).
            both_ways: whether to also attend to the W - 1 tokens after a token, with the same bias by distance.
            inside: tokens that others may attend to, (N, T) bool; None for all. A token always attends to itself.
        """
        steps = torch.arange(x.shape[1], device=x.device)
        distance = steps[:, None] - steps[None]  # (T, T)
        near = distance.abs()
        reach = near < self.cfg.window if both_ways else (distance >= 0) & (distance < self.cfg.window)
        if inside is not None:
            reach = (reach & (inside[:, None] | (distance == 0)))[:, None]  # (N, 1, T, T)
        near = near.clamp(max=self.cfg.window - 1)
        for block in self.layers():
            bias = torch.where(reach, block.distance_bias[:, near], float("-inf"))
            q, k, v = block.project_in(x)
            x = block.project_out(x, attend(q, k, v, bias if bias.ndim == 4 else bias[None]))
        return self.norm(x)

    def step(self, observations: Mapping[str, torch.Tensor], memory: Memory) -> tuple[torch.Tensor, Memory]:
        """See `Network`. Written with few operations: at N = 1 the overhead of one in ONNX Runtime is about as large as its arithmetic."""
        age = (memory["age"] + 1.0).clamp(max=float(self.cfg.window))
        distance = torch.arange(self.cfg.window - 1, -1, -1, dtype=torch.float32, device=age.device)  # of each slot, oldest first
        reach = torch.where(distance <= age.reshape(-1, 1, 1, 1), 0.0, -1e9)  # (N, 1, 1, W)
        x = self.embed(self.normalizer(observations[STATE]))  # (N, D)
        after = {"age": age}
        for layer, block in enumerate(self.layers()):
            bias = block.distance_bias.flip(-1)[:, None] + reach  # (N, H, 1, W)
            x, after[f"key_{layer}"], after[f"value_{layer}"] = block(x, memory[f"key_{layer}"], memory[f"value_{layer}"], bias)
        return self.head(self.norm(x)), after

    def prepared(self) -> Transformer:
        """See `Network`."""
        net = copy.deepcopy(self)
        for block in net.layers():
            block.fold_scale()
        return net

    def _distances(self, t: int) -> torch.Tensor:
        """Number of tokens by which key j precedes query t, (T, W - 1 + T); negative for the future."""
        device = self.norm.weight.device
        w = self.cfg.window
        return torch.arange(t, device=device)[:, None] + (w - 1) - torch.arange(w - 1 + t, device=device)[None]


class TransformerStream:
    """Many worlds, step by step, for rollouts: like `Transformer.forward` with T = 1, but keys and values are written in place.

    They are in a buffer of W - 1 + `room` tokens; when it is full, the last W - 1 are moved to its front.
    """

    def __init__(self, net: Transformer, memory: Memory, room: int = 24) -> None:
        self._net, self._age = net, memory["age"]
        self._past = memory["key_0"].shape[2]
        self._at = self._past  # place of the next token
        self._end = self._past + room
        self._rows = {name: self._row(value) for name, value in memory.items() if name != "age"}
        # distance of the keys in view, oldest first
        self._distance = torch.arange(self._past, -1, -1, device=self._age.device)

    def _row(self, value: torch.Tensor) -> torch.Tensor:
        n, heads, past, size = value.shape
        row = value.new_zeros(n, heads, self._end, size)
        row[:, :, :past] = value
        return row

    def memory(self) -> Memory:
        """See `Stream`."""
        last = slice(self._at - self._past, self._at)
        return {"age": self._age.clone(), **{name: row[:, :, last].clone() for name, row in self._rows.items()}}

    @torch.no_grad()
    def step(self, observation: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        """See `Stream`."""
        net = self._net
        if self._at == self._end:
            for row in self._rows.values():
                row[:, :, : self._past] = row[:, :, self._at - self._past : self._at].clone()
            self._at = self._past
        self._age = torch.where(first, torch.zeros_like(self._age), self._age + 1)
        view = slice(self._at - self._past, self._at + 1)
        reach = torch.where(self._distance > self._age[:, None], float("-inf"), 0.0)[:, None, None]  # (N, 1, 1, W)
        x = net.embed(net.normalizer(observation))
        for layer, block in enumerate(net.layers()):
            keys, values = self._rows[f"key_{layer}"], self._rows[f"value_{layer}"]
            q, k, v = block.project_in(x)
            keys[:, :, self._at], values[:, :, self._at] = k[:, :, 0], v[:, :, 0]
            bias = block.distance_bias.flip(-1)[:, None] + reach
            x = block.project_out(x, attend(q, keys[:, :, view], values[:, :, view], bias))
        self._at += 1
        return net.head(net.norm(x))
