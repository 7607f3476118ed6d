"""The settings of a pretraining, `pretrain` in a preset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class PretrainCfg:
    """How a student's network learns from trajectories. Its size is `student.network`.

    Attributes:
        data: datasets, as `--data` gives them.
        objective: `next` predicts the next observation and action from the past; `masked` predicts what was hidden from both sides.
        aligned: whether o_t alone is asked for o_{t+1}, as a_{t-1} is for a_t (Radosavovic et al. 2024, 2402.19469); otherwise a_t is told.
        observation_weight: of the observations' part of the loss, beside 1 for the actions'; 0 predicts actions alone.
        mask_low, mask_high: of `masked`: the share of hidden modalities of a window is drawn between them (2306.10007).
        iterations: of `updates` optimiser steps each.
        updates: optimiser steps of an iteration.
        steps: T, tokens of a window.
        batch: windows of an optimiser step, of each process.
        learning_rate: at its height; it rises over `warmup` and falls by a cosine.
        warmup: share of the training.
        weight_decay: of AdamW.
        max_grad_norm: gradients are cut off there.
        weights: share of each dataset in a batch, in the order of `data`; empty for shares by their rows.
        final_weights: towards which `weights` go linearly over the training; empty keeps them.
        noise: share of the contract's sensor noise and sensing delay that what the network sees is given, where a
            dataset holds clean readings alone (`robolearn collect --sensed` keeps both).
        normalize: whether each `source` (robot and control mode, or kind of source) has statistics of its own, or all of a `robot` share.
        held_out: share of the episodes of each dataset that is only predicted, never learned from.
        evaluate_every: iterations between two evaluations in closed loop, beside the one at the end; 0 for none at all.
        evaluate_seeds: episodes a command in them.
        evaluate_seconds: their length [s].
        allow: licences that are allowed by name, see `robolearn.data.licence`.
    """

    data: tuple[str, ...] = ()
    objective: Literal["next", "masked"] = "next"
    aligned: bool = True
    observation_weight: float = 1.0
    mask_low: float = 0.7
    mask_high: float = 0.9
    iterations: int = 150
    updates: int = 20
    steps: int = 32
    batch: int = 128
    learning_rate: float = 1e-3
    warmup: float = 0.03
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    weights: tuple[float, ...] = ()
    final_weights: tuple[float, ...] = ()
    noise: float = 1.0
    normalize: Literal["source", "robot"] = "source"
    held_out: float = 0.05
    evaluate_every: int = 50
    evaluate_seeds: int = 1
    evaluate_seconds: float = 10.0
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("iterations", "updates", "batch", "evaluate_seeds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.steps < 2:
            raise ValueError(f"steps must be at least 2, not {self.steps}")
        if self.evaluate_every < 0:
            raise ValueError(f"evaluate_every must not be negative, is {self.evaluate_every}")
        for name in ("learning_rate", "max_grad_norm", "evaluate_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name):g}")
        for name in ("observation_weight", "weight_decay", "noise"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, is {getattr(self, name):g}")
        for name in ("warmup", "held_out"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, 1 excluded, not {getattr(self, name):g}")
        if not 0 < self.mask_low <= self.mask_high < 1:
            raise ValueError(f"mask_low and mask_high must lie between 0 and 1 in this order, not {self.mask_low:g} and {self.mask_high:g}")
        if self.objective == "masked" and not self.aligned:
            raise ValueError("aligned=false is for objective next: what is hidden is asked for in its own place")
        for name in ("weights", "final_weights"):
            values = getattr(self, name)
            if values and (any(not value >= 0 for value in values) or not sum(values) > 0):
                raise ValueError(f"{name} must not be negative, and not all 0: {', '.join(f'{value:g}' for value in values)}")
        if self.final_weights and len(self.final_weights) != len(self.weights):
            raise ValueError(
                f"final_weights has {len(self.final_weights)} entries, weights {len(self.weights)}: give both, of equal length"
            )
