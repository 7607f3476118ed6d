"""The settings of a pretraining, `pretrain` in a preset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class PretrainCfg:
    """How a student's network learns from trajectories. Its size is `student.network`.

    Attributes:
        data: datasets, the same as with `--data`.
        objective: `next` predicts the next observation and action from the past; `masked` predicts what was hidden from both sides.
        aligned: whether o_{t+1} is predicted from o_t alone, as a_t is from a_{t-1} (Radosavovic et al. 2024, 2402.19469), or also
            from a_t.
        observation_weight: weight of the observations' part of the loss; that of the actions' part is 1. 0 predicts actions alone.
        mask_low, mask_high: with `masked`, the share of a window's modalities that is hidden is drawn between these two (2306.10007).
        iterations: number of iterations, of `updates` optimiser steps each.
        updates: optimiser steps of an iteration.
        steps: T, tokens of a window.
        batch: windows of an optimiser step, of each process.
        learning_rate: highest learning rate; it rises over `warmup` and falls by a cosine.
        warmup: share of the training in which the learning rate rises.
        weight_decay: of AdamW.
        max_grad_norm: norm at which gradients are clipped.
        weights: share of each dataset in a batch, in the order of `data`; empty for shares by their rows.
        final_weights: `weights` change linearly to these over the training; empty keeps them.
        noise: share of the contract's sensor noise and sensing delay that is added to what the network sees, if a
            dataset holds clean readings only (`robolearn collect --sensed` keeps both).
        normalize: `source`: each source (robot and control mode, or kind of source) has its own statistics; `robot`: all sources of
            a robot share them.
        held_out: share of each dataset's episodes that is used for testing only.
        evaluate_every: iterations between two closed-loop evaluations; the last comes at the end. 0: none at all.
        evaluate_seeds: episodes per command in these evaluations.
        evaluate_seconds: length of these episodes [s].
        allow: names of licences that are allowed, see `robolearn.data.licence`.
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
