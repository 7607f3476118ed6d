"""Training of a student's network from datasets: some optimiser steps at a time, with the face that the loop around trainers wants.

What a step sees is a function of the seed, the step and the process, so a checkpoint holds no place in the data, and goes on exactly.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from envs.tasks.registry import make_env
from policies.networks.fold import Folded
from policies.networks.registry import make_network
from robolearn.config import schema
from robolearn.config.schema import TrainCfg
from robolearn.errors import UserError
from robolearn.evaluation.actors import StudentActor
from robolearn.evaluation.evaluate import evaluate
from robolearn.learning import distributed, precision
from robolearn.learning.ppo import Updates
from robolearn.learning.symmetry import make_fold
from robolearn.learning.threads import Threads
from robolearn.pretraining.held_out import HeldOut
from robolearn.pretraining.mixture import Mixture
from robolearn.pretraining.model import SequenceModel
from robolearn.pretraining.objectives import Errors, draw_masks, masked_errors, next_errors, sensed
from robolearn.pretraining.sources import Sources, Statistics
from robolearn.pretraining.starting import check_same
from robolearn.pretraining.tokens import Tokens

SEED = 2000
"""Of evaluations on the way; another than that which judges afterwards."""
FLOOR = 0.02
"""Share of the learning rate that the cosine ends with."""


class PretrainTrainer:
    """`updates` optimiser steps an iteration.

    Attributes:
        policy: the network and what is around it.
        sources: the datasets.
        statistics: of the sources.
        env: one world, for the contract.
    """

    kind = "pretrain"

    def __init__(self, cfg: TrainCfg, init: dict[str, Any] | None = None) -> None:
        """Open the data and make the network.

        Args:
            cfg: the training's; `pretrain.data` names the datasets.
            init: checkpoint of a pretraining to start from.

        Raises:
            UserError: the data cannot be used, or the checkpoint does not fit.
        """
        torch.manual_seed(cfg.seed)
        self.cfg, how = cfg, cfg.pretrain
        device = torch.device(distributed.start(cfg.env.device))
        rank, processes = distributed.rank(), distributed.processes()
        self.env = make_env(cfg.task, cfg.robot, dataclasses.replace(cfg.env, num_worlds=1, engine="mujoco", device="cpu", seed=cfg.seed))
        spec = self.env.spec
        self.sources = Sources(how.data, self.env.robot, spec, held_out=how.held_out, seed=cfg.seed, by=how.normalize, allow=how.allow)
        fold = make_fold(self.env, "policy", "student") if cfg.student.ppo.symmetry == "fold" else None
        self.statistics = self.sources.statistics(fold)
        if init is not None:
            check_same(schema.loads(init["config"], "the checkpoint's config"), cfg, "the checkpoint of --init", "this pretraining's")
            self.statistics = self.statistics.kept(Statistics(**init["statistics"]))
            self.sources.number_as(self.statistics.names)
        inner = make_network(spec.observation_dim, spec.action_dim, cfg.student.network)
        actor = inner if fold is None else Folded(inner, fold)
        self.policy = SequenceModel(actor, self.sources.layout, self.statistics, aligned=how.aligned)
        if init is not None:
            self._start_from(init)
        self.policy.act_as(self.statistics, self._acting())
        self.policy.to(device)
        self._device, self._rank = device, rank
        self._mixture = Mixture(self.sources, how.steps, weights=how.weights, final=how.final_weights)
        self._held_out = HeldOut(Mixture(self.sources, how.steps, held=True), how, cfg.seed)
        self._parameters = list(self.policy.parameters())
        decayed = [p for p in self._parameters if p.ndim > 1]
        groups = [
            {"params": decayed, "weight_decay": how.weight_decay},
            {"params": [p for p in self._parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=how.learning_rate, fused=True)
        self._noise, self._delay = ((values * how.noise).to(device) for values in (self.sources.layout.noise, self.sources.layout.delay))
        self._threads = Threads(cfg.threads)
        self.products = self._choose_products()
        self.iteration, self.iterations = 0, how.iterations
        self.minutes = 0.0
        self.missed: list[str] | None = None
        self.history: list[dict[str, Any]] = []
        self.steps_per_iteration = how.updates * how.batch * how.steps * processes

    def about(self) -> list[str]:
        """What a person should know of the data, in lines."""
        lines = [
            f"{told['path']}: {told['episodes']} episodes, {told['rows']} rows, {told['held_out']} episodes held out"
            for told in self.sources.described
        ]
        rows = dict(zip(self.statistics.names, self.statistics.rows, strict=True))
        lines.append(f"normalised as: {self.statistics.names[self._acting()]}; rows with actions: {rows}")
        return [*lines, *(f"note: {line}" for line in self.sources.remarks.text())]

    def _acting(self) -> int:
        """The source whose statistics a robot acts by: that with most actions."""
        rows = self.statistics.rows
        return max(range(len(rows)), key=lambda index: rows[index])

    def _start_from(self, init: dict[str, Any]) -> None:
        """Take over the weights of another pretraining.

        Raises:
            UserError: they do not fit.
        """
        skipped = ("mean", "inverse", "action_inverse")  # of its own sources
        weights = {name: value for name, value in init["policy"].items() if name not in skipped}
        head = self.policy.observation_head
        if tuple(weights["observation_head.weight"].shape) != tuple(head.weight.shape):  # of the other kind of alignment
            weights = {name: value for name, value in weights.items() if not name.startswith("observation_head.")}
        try:
            left = self.policy.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise UserError(f"the pretrained network does not fit student.network: {str(error).splitlines()[-1].strip()}") from error
        lacking = [name for name in left.missing_keys if name.startswith("actor.")] + list(left.unexpected_keys)
        if lacking:
            raise UserError(
                f"the pretrained network does not fit: {', '.join(lacking[:3])}; student.network and student.ppo.symmetry must be its own"
            )

    def _choose_products(self, before: str | None = None) -> precision.Products:
        model, how = self.policy, self.cfg.pretrain
        few = self._mixture.draw(4, (self.cfg.seed, 0)).to(self._device)

        def trial() -> torch.Tensor:
            x = model.normalized(few.observation[:, :-1], few.source)
            return model.net.head(model.encode(x, ~few.known[:, :-1]))

        return precision.choose(self.cfg.precision, model, how.batch * how.steps, self._device, trial, before)

    def iterate(self) -> dict[str, float]:
        """Some optimiser steps. Returns metrics."""
        how = self.cfg.pretrain
        self._threads.learning()
        updates = Updates(self.optimizer, self._parameters, how.max_grad_norm)
        rate = how.learning_rate
        sums = {"loss": 0.0, "action_error": 0.0, "observation_error": 0.0}
        for step in range(self.iteration * how.updates, (self.iteration + 1) * how.updates):
            progress = step / (self.iterations * how.updates)
            rate = self._rate(progress)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            tokens = self._mixture.draw(how.batch, (self.cfg.seed, step, self._rank), min(progress, 1.0)).to(self._device)
            errors = self._errors(tokens, step)
            loss = errors.loss(how.observation_weight)
            updates.differentiate(loss)
            if updates.step():
                told = {"loss": loss, "action_error": errors.action, "observation_error": errors.observation}
                for name, value in told.items():
                    sums[name] += float(value.detach())
        self.iteration += 1
        metrics = updates.means(sums) | {"learning_rate": rate}
        if self.iteration >= self.iterations or (how.evaluate_every and self.iteration % how.evaluate_every == 0):
            metrics |= self.check()
        return metrics

    def _errors(self, tokens: Tokens, step: int) -> Errors:
        """Of one batch."""
        how = self.cfg.pretrain
        generator = torch.Generator().manual_seed(int(np.random.default_rng((self.cfg.seed, step, self._rank, 1)).integers(2**62)))
        seen = None if how.noise == 0 else sensed(tokens, self._noise, self._delay, generator)
        with self.products.passes():
            if how.objective == "next":
                return next_errors(self.policy, tokens, seen)
            return masked_errors(self.policy, tokens, draw_masks(tokens, how.mask_low, how.mask_high, generator), seen)

    def _rate(self, progress: float) -> float:
        """The learning rate at a share of the training."""
        how = self.cfg.pretrain
        if progress < how.warmup:
            return how.learning_rate * max(progress / how.warmup, 0.01)
        falling = min(1.0, (progress - how.warmup) / (1 - how.warmup))
        return how.learning_rate * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * falling)))

    def check(self) -> dict[str, float]:
        """Errors on what was held out, and the policy in closed loop on the task's own grid of commands."""
        if distributed.rank():
            return {}
        metrics = self._held_out.errors(self.policy, self._device)
        how, cfg = self.cfg.pretrain, self.cfg
        if how.objective == "masked" or not self.statistics.rows[self._acting()] or not how.evaluate_every:
            return metrics
        threads = torch.get_num_threads()
        actor = copy.deepcopy(self.policy.actor).cpu().requires_grad_(False)
        try:
            found = evaluate(
                lambda worlds: StudentActor(actor, worlds), cfg.task, cfg.robot, "mujoco",
                seeds=how.evaluate_seeds, seconds=how.evaluate_seconds, seed=SEED, env=cfg.env,
            )  # fmt: skip
        finally:
            torch.set_num_threads(threads)
        figures = {"score": found.score} | {name: figure.value for name, figure in found.figures.items() if figure.kind == "mean"}
        return metrics | {f"check/{name}": float(value) for name, value in figures.items() if value is not None}

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on exactly."""
        spec = self.env.spec
        return {
            "kind": self.kind,
            "iteration": self.iteration,
            "history": self.history,
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "products": self.products.name,
            "statistics": self.statistics.state(),
            "sizes": (spec.observation_dim, spec.action_dim),
            "datasets": self.sources.described,
        }

    def load_state_dict(self, state: dict[str, Any], changed: Collection[str] = ()) -> None:
        """Go on from a checkpoint of the same datasets.

        Raises:
            ValueError: the datasets hold something else by now.
        """
        if state["datasets"] != self.sources.described:
            raise ValueError("the datasets have changed since; begin another training with --init")
        self.iteration, self.history = state["iteration"], state.get("history", [])
        self.policy.load_state_dict(state["policy"])
        self.statistics = Statistics(**state["statistics"])
        self.optimizer.load_state_dict(state["optimizer"])
        if "precision" not in changed:
            self.products = self._choose_products(state.get("products", "fp32"))
