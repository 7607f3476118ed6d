"""Trains an image encoder by masked autoencoding: some optimiser steps at a time.

What a step sees is a function of the seed, the step and the process, so a checkpoint holds no images, and goes on exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from policies.encoders.errors import EncoderError
from policies.encoders.file import plain_cfg
from policies.encoders.reading import read
from policies.encoders.resizing import resized
from robolearn.errors import UserError
from robolearn.learning import distributed, precision
from robolearn.learning.ppo import Updates
from robolearn.learning.threads import Threads
from robolearn.pretraining.encoder.config import EncoderTraining
from robolearn.pretraining.encoder.frames import Frames, Mixture
from robolearn.pretraining.encoder.model import MaskedAutoencoder

FLOOR = 0.02
"""Share of the learning rate that the cosine ends with."""
BETAS = (0.9, 0.95)
TESTED = 256
"""Held-out images."""


class EncoderTrainer:
    """`encoder.updates` optimiser steps an iteration.

    Attributes:
        policy: the autoencoder; the name is that of every trainer's network.
        mixture: the images.
        iteration, iterations: iterations done, and in total.
        minutes: of training so far, over all resumes [min].
        products: the precision of its passes.
        started_from: what `init` says of itself.
    """

    kind = "encoder"

    def __init__(self, cfg: EncoderTraining, sources: Sequence[Frames]) -> None:
        """Make the network.

        Args:
            cfg: the training's.
            sources: of images, see `robolearn.pretraining.encoder.making`.

        Raises:
            UserError: there are no images, or `init` does not fit.
        """
        torch.manual_seed(cfg.seed)
        self.cfg, how = cfg, cfg.encoder
        if cfg.device == "cuda" and not torch.cuda.is_available():
            raise UserError("torch finds no GPU here: leave out --device cuda, or install torch with CUDA")
        self._device = torch.device(distributed.start(cfg.device))
        self.mixture = Mixture(sources, how.weights)
        self.policy = MaskedAutoencoder(how.vit, how)
        self.started_from = self._start_from(cfg.init) if cfg.init else {}
        self.policy.to(self._device)
        self._parameters = [p for p in self.policy.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in self._parameters if p.ndim > 1], "weight_decay": how.weight_decay},
            {"params": [p for p in self._parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=how.learning_rate, betas=BETAS, fused=True)
        self._threads = Threads(cfg.threads)
        self.products = self._choose_products()
        self.iteration, self.iterations, self.minutes = 0, how.iterations, 0.0
        self._tested: torch.Tensor | None = None

    @property
    def pictures_per_iteration(self) -> int:
        """Of all processes."""
        return self.cfg.encoder.updates * self.cfg.encoder.batch * distributed.processes()

    def _start_from(self, path: str) -> dict[str, Any]:
        """Take over the weights of another encoder. Returns what its file says of it."""
        found, cfg = read(path), self.policy.encoder.cfg
        its, weights = found.cfg, dict(found.weights)
        if (its.height, its.width) != (cfg.height, cfg.width):
            its, weights = resized(its, weights, (cfg.height, cfg.width), path)
        if (its.dim, its.layers, its.heads, its.patch, its.channels) != (cfg.dim, cfg.layers, cfg.heads, cfg.patch, cfg.channels):
            told = [f"{its.layers} blocks of width {its.dim} with patches of {its.patch}", f"{cfg.layers} of {cfg.dim} with {cfg.patch}"]
            raise EncoderError(f"the encoder of --init, {path}, has {told[0]}, and encoder.size and encoder.patch say {told[1]}")
        self.policy.encoder.load_state_dict(weights, strict=False)
        return {"path": path, **found.origin}

    def _choose_products(self, before: str | None = None) -> precision.Products:
        model, how = self.policy, self.cfg.encoder
        images = torch.zeros(4, how.height, how.width, 3, dtype=torch.uint8, device=self._device)
        images += torch.arange(how.width, device=self._device, dtype=torch.uint8)[:, None]
        order = model.order(4, torch.Generator().manual_seed(0)).to(self._device)

        def trial() -> torch.Tensor:
            return model.guess(model.encoder.patches(images), order).painted

        return precision.choose(self.cfg.precision, model, how.batch * (how.seen + 1), self._device, trial, before)

    def iterate(self) -> dict[str, float]:
        """Some optimiser steps. Returns metrics."""
        how, seed, rank = self.cfg.encoder, self.cfg.seed, distributed.rank()
        updates = Updates(self.optimizer, self._parameters, how.max_grad_norm)
        sums, rate = {"loss": 0.0}, how.learning_rate
        for step in range(self.iteration * how.updates, (self.iteration + 1) * how.updates):
            self._threads.simulating()
            images = self.mixture.draw(how.batch, seed, step, rank).to(self._device)
            self._threads.learning()
            rate = self._rate(step / (self.iterations * how.updates))
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            draws = torch.Generator().manual_seed(int(np.random.default_rng((seed, step, rank, 1)).integers(2**62)))
            order = self.policy.order(len(images), draws).to(self._device)
            with self.products.passes():
                loss = self.policy(images, order)
            updates.differentiate(loss)
            if updates.step():
                sums["loss"] += float(loss.detach())
        self.iteration += 1
        return updates.means(sums) | {"learning_rate": rate}

    def _rate(self, progress: float) -> float:
        """The learning rate at a share of the training."""
        how = self.cfg.encoder
        if progress < how.warmup:
            return how.learning_rate * max(progress / how.warmup, 0.01)
        falling = min(1.0, (progress - how.warmup) / (1 - how.warmup))
        return how.learning_rate * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * falling)))

    def tested(self) -> torch.Tensor:
        """The images that nothing is learned from, (at most `TESTED`, h, w, 3)."""
        if self._tested is None:
            self._tested = self.mixture.held_out(TESTED)
        return self._tested

    @torch.no_grad()
    def check(self) -> dict[str, float]:
        """The loss on them; nothing where there are none."""
        images = self.tested()
        if distributed.rank() or not len(images):
            return {}
        order = self.policy.order(len(images), torch.Generator().manual_seed(0))
        losses = [
            float(self.policy(images[i : i + 64].to(self._device), order[i : i + 64].to(self._device))) * len(images[i : i + 64])
            for i in range(0, len(images), 64)
        ]
        return {"held_out/loss": sum(losses) / len(images)}

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on exactly."""
        return {
            "kind": self.kind,
            "iteration": self.iteration,
            "vit": plain_cfg(self.policy.encoder.cfg),
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "products": self.products.name,
            "minutes": self.minutes,
            "sources": [source.about() for source in self.mixture.sources],
            "started_from": self.started_from,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            UserError: the images are not those that it learned from, or the sizes differ.
        """
        if state["sources"] != [source.about() for source in self.mixture.sources]:
            raise UserError("the images have changed since the checkpoint was written; begin another training with --init")
        try:
            self.policy.load_state_dict(state["policy"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(f"the checkpoint does not fit the config; sizes cannot change when resuming: {error}") from error
        self.iteration, self.minutes, self.started_from = state["iteration"], state["minutes"], state["started_from"]
        self.products = self._choose_products(state["products"])
