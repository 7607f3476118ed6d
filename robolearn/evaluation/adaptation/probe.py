"""Whether a policy's hidden state tells what its body is: linear probes against the raw observation and an untrained network.

The worlds have a kind of change from their start, or not; a probe is fitted on one half of the worlds and judged on the other, which it has
never seen, under the same commands. What is asked is each entry that changed (which motor, by how much), as the share of its variance that
a weighted sum of features tells, averaged over entries.

Hidden states of a network in torch are what its action head is given; of a policy file what its last step left in its memory. One without
a memory has the first only: what it makes of a single observation.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from policies.networks.registry import make_network
from robolearn.errors import UserError
from robolearn.evaluation.actors import Actor, FileActor, StudentActor
from robolearn.evaluation.adaptation.kinds import Kind
from robolearn.evaluation.adaptation.trial import COMMANDS, run
from robolearn.evaluation.figures import Figure
from robolearn.evaluation.locomotion.memory import EVERY_S, features, untrained
from robolearn.evaluation.locomotion.probes import Reduction, r_squared, ridge, scores
from robolearn.evaluation.locomotion.setup import Setup

POLICY, RANDOM, RAW = "hidden state", "untrained network", "raw observation"
SETTLE_S = 2.0
"""After the change, before a memory is asked what it knows."""
SECONDS = 5.0
HEALTHY = 3  # one world of so many keeps what it has
LEAST_WORLDS = 8


class Heads:
    """What the action head of a student's network is given at each step (N, D)."""

    def __init__(self, network: nn.Module) -> None:
        head = getattr(getattr(network, "inner", network), "head", None)
        if not isinstance(head, nn.Module):
            raise UserError(f"a {type(network).__name__} has no part `head`, so nothing is known of its hidden state")
        self.last = np.zeros((0, 0), np.float32)
        self._hook = head.register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        del module
        x = given[0]
        self.last = (x[:, -1] if x.ndim == 3 else x).detach().cpu().numpy()

    def close(self) -> None:
        """Listen no longer."""
        self._hook.remove()


class Listener:
    """Collects features while a trial runs, in worlds that walk."""

    def __init__(self, actor: Actor, setup: Setup, worlds: int, start: int, dt: float) -> None:
        self._start, self._every = start, max(1, round(EVERY_S / dt))
        self._heads: Heads | None = None
        self._random: Heads | None = None
        fresh: Any = None
        if isinstance(actor, StudentActor):
            self._heads = Heads(actor.network)
            fresh = again(actor.network)
        elif isinstance(actor, FileActor) and setup.file is not None:
            fresh = untrained(setup.file)
        else:
            raise UserError(f"{setup.name} has no hidden state: probes are for students")
        self._stream = None if fresh is None else fresh.stream(fresh.start(worlds))
        self._random = None if fresh is None else Heads(fresh)
        self.samples: dict[str, list[np.ndarray]] = {POLICY: [], RANDOM: [], RAW: []}
        self.world: list[np.ndarray] = []

    def look(self, index: int, observation: torch.Tensor, alive: np.ndarray, actor: Actor) -> None:
        """See `robolearn.evaluation.adaptation.trial.Look`."""
        if self._stream is not None:
            self._stream.step(observation, torch.full((len(observation),), index == 0))
        ids = np.flatnonzero(alive)
        if index < self._start or (index - self._start) % self._every or not len(ids):
            return
        self.world.append(ids)
        self.samples[RAW].append(observation.cpu().numpy()[ids].copy())
        if self._random is not None:
            self.samples[RANDOM].append(self._random.last[ids].copy())
        if self._heads is not None:
            self.samples[POLICY].append(self._heads.last[ids].copy())
        else:
            assert isinstance(actor, FileActor)
            self.samples[POLICY].append(np.stack([features(actor.memories[i].memory) for i in ids]))

    def close(self) -> None:
        """Listen no longer."""
        for heads in (self._heads, self._random):
            if heads is not None:
                heads.close()


def again(network: nn.Module, seed: int = 0) -> Any:
    """The same network with its normaliser, and the weights that a training starts from."""
    inner: Any = getattr(network, "inner", network)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = make_network(inner.normalizer.mean.shape[0], _outputs(inner), inner.cfg)
    fresh.normalizer.load_state_dict(inner.normalizer.state_dict())
    if inner is not network:
        whole = copy.deepcopy(network)
        whole.inner = fresh  # pyright: ignore[reportAttributeAccessIssue]
        return whole.requires_grad_(False)
    return fresh.requires_grad_(False)


def _outputs(network: Any) -> int:
    return [layer for layer in network.head.modules() if isinstance(layer, nn.Linear)][-1].out_features


def probe(setup: Setup, kind: Kind, worlds: int) -> Mapping[str, Figure]:
    """How much of a kind of change is told by each source of features: the share of its variance, averaged over its entries."""
    listeners: list[Listener] = []
    make = setup.make_actor

    def make_actor(count: int) -> Actor:
        actor = make(count)
        listeners.append(Listener(actor, setup, count, round(SETTLE_S / setup.cfg.control_dt), setup.cfg.control_dt))
        return actor

    def look(index: int, observation: torch.Tensor, alive: np.ndarray, actor: Actor) -> None:
        listeners[0].look(index, observation, alive, actor)

    try:
        trial = run(
            dataclasses.replace(setup, make_actor=make_actor), kind, worlds, before_s=0.0, after_s=SECONDS, look=look, healthy=HEALTHY
        )
    finally:
        for listener in listeners:
            listener.close()
    return judged(listeners[0], trial.value)


def judged(listener: Listener, value: np.ndarray) -> dict[str, Figure]:
    """The share of variance of the values (N, k) that each source tells of worlds that its probe has not seen."""
    world = np.concatenate(listener.world) if listener.world else np.zeros(0, int)
    found: dict[str, Figure] = {}
    for name, samples in listener.samples.items():
        if not samples or len(np.unique(world)) < LEAST_WORLDS:
            found[name] = Figure(None, None, None, 0)
            continue
        given = np.concatenate(samples).astype(np.float32)
        fitted = world // len(COMMANDS) % 2 == 0
        reduced = Reduction(given[fitted])(given)
        told: list[Figure] = []
        for entry in range(value.shape[1]):
            y = value[world, entry]
            if y[fitted].std() < 1e-6 or y[~fitted].std() < 1e-6:
                continue
            weights = ridge(reduced[fitted], y[fitted], world[fitted])
            told.append(r_squared(scores(reduced[~fitted], weights), y[~fitted], world[~fitted]))
        found[name] = _together(told)
    return found


def _together(told: list[Figure]) -> Figure:
    """The mean over entries; its interval is that of independent ones."""
    known = [(f.value, f.low, f.high, f.count) for f in told if f.value is not None and f.low is not None and f.high is not None]
    if not known:
        return Figure(None, None, None, 0)
    value, low, high, count = np.array(known, dtype=float).T
    half = np.sqrt(((high - low) ** 2).sum()) / 2 / len(known)
    middle = float(value.mean())
    return Figure(middle, middle - half, middle + half, int(count.min()))
