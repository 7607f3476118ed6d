"""How many tokens a second a pretraining learns from, against a plain `torch.nn.TransformerEncoder` of the same size.

Both do the same: a causal pass over the same windows, both heads, both errors, the backward pass and a step of AdamW. The plain one is what
a person writes first: torch's encoder with a causal mask, learned positions, no dropout, in fp32, its optimiser as it comes. It runs twice
in turn: with torch's fp32 products as they are by default, and as we set them (`medium`, see `robolearn.learning.threads`). Ours is
`robolearn pretrain`'s own step, in the precision that it chooses on this computer, and in fp32 beside it. Data is made up.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.common import Entry, Options, alternate, entry, median, rate_ratio, say
from envs.tasks.registry import make_env
from policies.contract.spec import PolicySpec
from policies.networks.transformer import Transformer, TransformerCfg
from robolearn.config import schema
from robolearn.learning.precision import FP32, Products, choose
from robolearn.learning.threads import Threads, choose_matmul_precision
from robolearn.pretraining.model import SequenceModel
from robolearn.pretraining.objectives import next_errors
from robolearn.pretraining.sources import Statistics
from robolearn.pretraining.tokens import MODALITIES, Layout, Tokens

PRESET = "go1-velocity-flat"
DEFAULT = "highest"
"""torch's own setting of fp32 products."""
PLAIN, PLAIN_MEDIUM = "torch.nn.TransformerEncoder", "torch.nn.TransformerEncoder with fp32 products as we set them"


class Plain(nn.Module):
    """The same prediction with torch's encoder."""

    def __init__(self, spec: PolicySpec, cfg: TransformerCfg, steps: int, predicted: int) -> None:
        super().__init__()
        d = cfg.width
        layer = nn.TransformerEncoderLayer(
            d, cfg.heads, cfg.mlp_ratio * d, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.embed, self.positions = nn.Linear(spec.observation_dim, d), nn.Parameter(torch.zeros(steps, d))
        self.encoder = nn.TransformerEncoder(layer, cfg.layers, norm=nn.LayerNorm(d), enable_nested_tensor=False)
        self.action, self.observation = nn.Linear(d, spec.action_dim), nn.Linear(d, predicted)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(steps))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Predictions of tokens (B, T, O)."""
        states = self.encoder(self.embed(x) + self.positions, mask=self.mask, is_causal=True)
        return self.action(states), self.observation(states)


def run(options: Options) -> list[Entry]:
    """Both sizes: of the presets, and of the paper."""
    env = make_env("velocity-flat", "go1", num_worlds=1, num_threads=1)
    how = schema.load(PRESET).pretrain
    demo = schema.load(PRESET).student.network
    assert isinstance(demo, TransformerCfg)
    quick = TransformerCfg(width=16, layers=2, heads=2, window=4)
    sizes = (quick,) if options.quick else (demo, TransformerCfg(width=192, layers=4, window=16))
    batch, steps = (4, 8) if options.quick else (how.batch, how.steps)
    return [line for cfg in sizes for line in entries(env.spec, cfg, batch, steps, options)]


def entries(spec: PolicySpec, cfg: TransformerCfg, batch: int, steps: int, options: Options) -> list[Entry]:
    """Tokens a second of one size."""
    size = f"width {cfg.width} x {cfg.layers} layers, {batch} x {steps} tokens"
    say(f"pretrain: {size}")
    Threads().learning()
    tokens = made_up(spec, batch, steps)
    layout = Layout(spec)
    own = choose("auto", model_of(spec, cfg, layout), batch * steps, torch.device("cpu"))
    step = plain(spec, cfg, tokens, layout)
    functions = {PLAIN: at(DEFAULT, step), PLAIN_MEDIUM: step, "fp32": ours(spec, cfg, tokens, layout, FP32)}
    if own.name == "bf16":
        functions["bf16"] = ours(spec, cfg, tokens, layout, own)
    times = alternate(functions, quick=options.quick, seconds=options.seconds or 20.0)
    rates = {name: batch * steps / median(values) for name, values in times.items()}
    found = [entry(f"pretrain: {name}, {size}", rates[name], "tokens/s") for name in (PLAIN, PLAIN_MEDIUM)]
    for name in list(functions)[2:]:
        for against in (PLAIN, PLAIN_MEDIUM):
            ratio = rate_ratio(times, name, against)
            found.append(entry(f"pretrain: next token in {name}, {size}", rates[name], "tokens/s", against, ratio))
    return found


def at(mode: str, step: Callable[[], None]) -> Callable[[], None]:
    """A step with torch's fp32 products in another mode."""

    def run_it() -> None:
        torch.set_float32_matmul_precision(mode)
        try:
            step()
        finally:
            torch.set_float32_matmul_precision(ours_mode)

    ours_mode = choose_matmul_precision()
    return run_it


def made_up(spec: PolicySpec, batch: int, steps: int) -> Tokens:
    """Random windows in which everything is known."""
    generator = torch.Generator().manual_seed(0)
    return Tokens(
        observation=torch.randn(batch, steps + 1, spec.observation_dim, generator=generator),
        known=torch.ones(batch, steps + 1, len(MODALITIES), dtype=torch.bool),
        action=torch.randn(batch, steps, spec.action_dim, generator=generator),
        acted=torch.ones(batch, steps, dtype=torch.bool),
        source=torch.zeros(batch, dtype=torch.long),
    )


def model_of(spec: PolicySpec, cfg: TransformerCfg, layout: Layout) -> SequenceModel:
    """Ours, untrained."""
    torch.manual_seed(0)
    o, j = spec.observation_dim, spec.action_dim
    flat = Statistics(names=["all"], mean=torch.zeros(1, o), std=torch.ones(1, o), action_std=torch.ones(1, j), rows=[1])
    return SequenceModel(Transformer(o, j, cfg), layout, flat)


def ours(spec: PolicySpec, cfg: TransformerCfg, tokens: Tokens, layout: Layout, products: Products) -> Callable[[], None]:
    """A step of our training."""
    model = model_of(spec, cfg, layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def train() -> None:
        with products.passes():
            errors = next_errors(model, tokens)
        optimizer.zero_grad(set_to_none=True)
        errors.loss(1.0).backward()
        optimizer.step()

    return train


def plain(spec: PolicySpec, cfg: TransformerCfg, tokens: Tokens, layout: Layout) -> Callable[[], None]:
    """A step of the plain one's."""
    torch.manual_seed(0)
    model = Plain(spec, cfg, tokens.action.shape[1], len(layout.predicted))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    now, after = tokens.observation[:, :-1], tokens.observation[:, 1:, layout.predicted]

    def train() -> None:
        action, observation = model(now)
        loss = (action - tokens.action).square().mean() + (observation - after).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return train
