"""What the transformer is measured against: LSTM, temporal convolution and plain MLP behind the same face, of about the same size.

Each maps a sequence of raw observations (N, T, O) to action means (N, T, A), remembers from chunk to chunk through a `Memory`, and
forgets at the start of an episode. They are for studies: trained and evaluated in torch, not exported to policy files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from policies.networks.mlp import Normalizer, mlp
from policies.networks.transformer import Memory, Stream, Transformer, TransformerCfg, ages


@dataclass(frozen=True, kw_only=True)
class NetworkCfg(TransformerCfg):
    """Kind and size of the student.

    Attributes:
        kind: `transformer`; for comparison `lstm` (width, layers), `tcn` (causal convolutions over `window` observations in all, spread
            over layers) and `mlp` (this observation alone).
    """

    kind: Literal["transformer", "lstm", "tcn", "mlp"] = "transformer"


class SequencePolicy(Protocol):
    """What a student's network is."""

    normalizer: Normalizer
    cfg: NetworkCfg

    def start(self, worlds: int) -> Memory:
        """Memory before the first observation of `worlds` episodes."""
        ...

    def stream(self, memory: Memory) -> Stepper:
        """Go on from a memory step by step, for rollouts."""
        ...

    def __call__(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """Action means (N, T, A) and the memory afterwards; `first` (N, T) bool tells where episodes begin."""
        ...


class Stepper(Protocol):
    """Many worlds step by step."""

    def step(self, observation: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        """Action means (N, A) of raw observations (N, O)."""
        ...

    def memory(self) -> Memory:
        """What the steps so far leave behind."""
        ...


class ForwardStream:
    """Steps of any network by its own forward pass."""

    def __init__(self, net: SequencePolicy, memory: Memory) -> None:
        self._net, self._memory = net, memory

    def memory(self) -> Memory:
        """See `Stepper`."""
        return self._memory.clone()

    @torch.no_grad()
    def step(self, observation: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        """See `Stepper`."""
        mean, self._memory = self._net(observation[:, None], self._memory, first[:, None])
        return mean[:, 0]


class Baseline(nn.Module):
    """What the three share: normaliser, embedding, action head; between them `_core`."""

    memory_shape: tuple[int, int, int]  # (layers, 2 or 1, ..., width) of the memory's cache without worlds

    def __init__(self, observation_dim: int, action_dim: int, cfg: NetworkCfg) -> None:
        super().__init__()
        self.cfg = cfg
        self.normalizer = Normalizer(observation_dim)
        self.embed = mlp((observation_dim, *cfg.embed_hidden, cfg.width))
        self.norm = nn.LayerNorm(cfg.width)
        self.head = mlp((cfg.width, *cfg.head_hidden, action_dim), gain=0.01)

    def start(self, worlds: int) -> Memory:
        """See `SequencePolicy`."""
        layers, parts, width = self.memory_shape
        device = self.norm.weight.device
        return Memory(torch.zeros(layers, parts, worlds, width, device=device), torch.full((worlds,), -1.0, device=device))

    def stream(self, memory: Memory) -> Stepper:
        """See `SequencePolicy`."""
        return ForwardStream(self, memory)

    def forward(self, observation: torch.Tensor, memory: Memory, first: torch.Tensor | None = None) -> tuple[torch.Tensor, Memory]:
        """See `SequencePolicy`."""
        age = ages(memory.age, observation.shape[1], first)
        x, cache = self._core(self.embed(self.normalizer(observation)), memory.cache, age)
        return self.head(self.norm(x)), Memory(cache, age[:, -1])

    def _core(self, x: torch.Tensor, cache: torch.Tensor, age: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embedded observations (N, T, D), cache, steps since the start of each episode (N, T) -> (N, T, D) and cache."""
        raise NotImplementedError


class Mlp(Baseline):
    """Sees this observation alone."""

    memory_shape = (1, 1, 0)

    def __init__(self, observation_dim: int, action_dim: int, cfg: NetworkCfg) -> None:
        super().__init__(observation_dim, action_dim, cfg)
        hidden = 4 * cfg.width
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(cfg.width), nn.Linear(cfg.width, hidden), nn.GELU("tanh"), nn.Linear(hidden, cfg.width))
            for _ in range(cfg.layers)
        )

    def _core(self, x: torch.Tensor, cache: torch.Tensor, age: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        del age
        for block in self.blocks:
            x = x + block(x)
        return x, cache


class Lstm(Baseline):
    """Hochreiter and Schmidhuber 1997; state (h, c) of each layer, zero at the start of an episode."""

    def __init__(self, observation_dim: int, action_dim: int, cfg: NetworkCfg) -> None:
        super().__init__(observation_dim, action_dim, cfg)
        self.memory_shape = (cfg.layers, 2, cfg.width)
        self.cells = nn.ModuleList(nn.LSTMCell(cfg.width, cfg.width) for _ in range(cfg.layers))

    def _core(self, x: torch.Tensor, cache: torch.Tensor, age: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = [(cache[layer, 0], cache[layer, 1]) for layer in range(len(self.cells))]
        goes_on = (age > 0).to(x.dtype)[..., None]  # (N, T, 1)
        outputs = []
        for t in range(x.shape[1]):
            y = x[:, t]
            for layer, cell in enumerate(self.cells):
                h, c = states[layer]
                states[layer] = cell(y, (h * goes_on[:, t], c * goes_on[:, t]))
                y = states[layer][0]
            outputs.append(y)
        return torch.stack(outputs, dim=1), torch.stack([torch.stack(state) for state in states])


class Tcn(Baseline):
    """Residual causal convolutions (Bai et al. 2018, arXiv 1803.01271), dilated by powers of the kernel so that the layers together see
    at least `window` observations; what lies before the episode counts as zero.
    """

    def __init__(self, observation_dim: int, action_dim: int, cfg: NetworkCfg) -> None:
        super().__init__(observation_dim, action_dim, cfg)
        self.kernel = max(2, round(cfg.window ** (1 / cfg.layers)))
        while self.kernel**cfg.layers < cfg.window:
            self.kernel += 1
        self.dilations = [self.kernel**layer for layer in range(cfg.layers)]
        self.past = (self.kernel - 1) * self.dilations[-1]  # inputs that the widest layer looks back
        self.memory_shape = (cfg.layers, self.past, cfg.width)
        self.norms = nn.ModuleList(nn.LayerNorm(cfg.width) for _ in self.dilations)
        self.taps = nn.ModuleList(nn.Linear(self.kernel * cfg.width, cfg.width) for _ in self.dilations)
        self.mixes = nn.ModuleList(nn.Linear(cfg.width, cfg.width) for _ in self.dilations)

    def _core(self, x: torch.Tensor, cache: torch.Tensor, age: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        t = x.shape[1]
        caches = []
        for layer, dilation in enumerate(self.dilations):
            row = torch.cat([cache[layer].transpose(0, 1), self.norms[layer](x)], dim=1)  # (N, past + T, D), oldest first
            seen = []
            for tap in range(self.kernel):
                back = tap * dilation
                inside = (age >= back).to(x.dtype)[..., None]
                seen.append(row[:, self.past - back : self.past - back + t] * inside)
            x = x + self.mixes[layer](F.gelu(self.taps[layer](torch.cat(seen, dim=-1)), approximate="tanh"))
            caches.append(row[:, t:].transpose(0, 1))
        return x, torch.stack(caches)


KINDS = {"transformer": Transformer, "lstm": Lstm, "tcn": Tcn, "mlp": Mlp}


def make_network(observation_dim: int, action_dim: int, cfg: NetworkCfg) -> Transformer | Baseline:
    """The student's network."""
    return KINDS[cfg.kind](observation_dim, action_dim, cfg)


__all__ = ["KINDS", "Baseline", "ForwardStream", "Lstm", "Mlp", "NetworkCfg", "SequencePolicy", "Stepper", "Stream", "Tcn", "make_network"]
