"""What the policy's memory encodes: linear probes of its hidden states, against three controls.

Hidden states are read from the policy file's own recurrent state: for a transformer the keys and values of the last token in every layer,
for other networks the whole state. The controls see the same observations: the raw observation; an untrained network of the same shape, as
a random function of the past; and the policy with its memory cleared before every step (a context of one).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import yaml

from policies.contract.file import PolicyFile
from policies.networks.normalizer import Normalizer
from policies.networks.protocol import select
from policies.networks.transformer import Transformer, TransformerCfg
from robolearn.evaluation.actors import FileActor
from robolearn.evaluation.figures import Figure
from robolearn.evaluation.locomotion import charts
from robolearn.evaluation.locomotion.probes import Reduction, balanced_accuracy, logistic, r_squared, ridge, scores
from robolearn.evaluation.locomotion.result import Table

EVERY_S = 0.2  # between samples
POLICY, ALONE, RANDOM, RAW = "hidden states", "context of one", "untrained network", "raw observation"
FLAT, UPHILL, DOWNHILL = (0, 2, 4), (1,), (3,)
"""Segments of the course by kind."""


@dataclass(frozen=True, kw_only=True)
class Probes:
    """The results of the probes, as parts of an `ItemResult`; `along` has the slope probes' log-odds over the course."""

    text: str
    headline: Mapping[str, Figure] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    plots: tuple[str, ...] = ()
    along: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


class HiddenStates:
    """Collects features of all sources while a rollout runs."""

    def __init__(self, file: PolicyFile, worlds: int, dt: float) -> None:
        self._every = max(1, round(EVERY_S / dt))
        self._alone = file.fork()
        self._network = untrained(file)
        self._stream = None if self._network is None else self._network.stream(self._network.start(worlds))
        self._samples: dict[str, list[np.ndarray]] = {name: [] for name in (POLICY, ALONE, RANDOM, RAW)}
        self._world: list[np.ndarray] = []
        self._x: list[np.ndarray] = []
        self._recurrent = bool(features(file.memory).size)

    def look(self, index: int, observation: torch.Tensor, counted: np.ndarray, actor: FileActor, x: np.ndarray) -> None:
        """Add a step: `observation` (N, O) that the policy just acted on, for the worlds `counted` (N,), at `x` (N,) on the course."""
        if not self._recurrent:
            return
        if self._stream is not None:
            self._stream.step(observation, torch.full((len(observation),), index == 0))
        ids = np.flatnonzero(counted)
        if index % self._every or not len(ids):
            return
        raw = observation.cpu().numpy()[ids]
        self._samples[RAW].append(raw.copy())
        self._samples[POLICY].append(np.stack([features(actor.memories[i].memory) for i in ids]))
        self._samples[ALONE].append(np.stack([self._features_alone(row) for row in raw]))
        if self._stream is not None:
            memory = select(self._stream.memory(), torch.from_numpy(ids))
            last = [value[:, :, -1].flatten(1) for name, value in memory.items() if name != "age"]  # (n, D) for each layer's keys and
            # values
            self._samples[RANDOM].append(torch.cat(last, dim=1).numpy())
        self._world.append(ids)
        self._x.append(x[ids].copy())

    def _features_alone(self, observation: np.ndarray) -> np.ndarray:
        self._alone.reset()
        self._alone.act(observation)
        return features(self._alone.memory)

    def probe(self, segment_of: Callable[[np.ndarray], np.ndarray], known: Mapping[str, np.ndarray]) -> Probes:
        """Fit on the even worlds, test on the odd ones.

        Args:
            segment_of: x (S,) -> index of the segment, -1 for none.
            known: drawn properties of each world, name -> (N,).
        """
        if not self._recurrent:
            return Probes(text="The policy has no memory, so there is nothing to probe.")
        if not self._x or len(np.unique(np.concatenate(self._world))) < 8:
            return Probes(text="Too few robots walked to probe their memories.")
        world, x = np.concatenate(self._world), np.concatenate(self._x)
        segment = segment_of(x)
        fitted = world % 2 == 0
        rows: list[dict[str, Any]] = []
        along: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        plots: tuple[str, ...] = ()
        for name, samples in self._samples.items():
            if not samples:
                continue
            given = np.concatenate(samples).astype(np.float32)
            reduced = Reduction(given[fitted])(given)
            row: dict[str, Any] = {"features": name, "numbers": given.shape[1]}
            for label, positive in (("uphill_from_flat", UPHILL), ("downhill_from_flat", DOWNHILL)):
                figure, log_odds = _slope(reduced, np.isin(segment, positive), np.isin(segment, FLAT), fitted, world)
                row[label] = figure
                if name == POLICY and log_odds is not None:
                    along[label.split("_")[0]] = (x[~fitted], log_odds[~fitted])
            for label, values in known.items():
                weights = ridge(reduced[fitted], values[world[fitted]], world[fitted])
                row[f"R² of {label}"] = r_squared(scores(reduced[~fitted], weights), values[world[~fitted]], world[~fitted])
            rows.append(row)
            if name == POLICY:
                kind = np.select([np.isin(segment, FLAT), np.isin(segment, UPHILL), np.isin(segment, DOWNHILL)], [0, 1, 2], -1)
                means, kind = second_means(given[~fitted], kind[~fitted], world[~fitted])
                if len(means) > 2:
                    points = Reduction(means)(means)[:, :2]
                    plots = (charts.embedding(points, {"flat": kind == 0, "uphill": kind == 1, "downhill": kind == 2}),)
        headline = {f"{label} ({POLICY})": rows[0][label] for label in ("uphill_from_flat", "downhill_from_flat")}
        headline |= {f"R² of {label} ({POLICY})": rows[0][f"R² of {label}"] for label in known}
        text = (
            "Accuracies are balanced, 50 % by chance; R² is the share of a quantity's variance that a weighted sum of the features "
            "explains."
        )
        return Probes(text=text, headline=headline, tables=(Table(title="Probes", rows=rows),), plots=plots, along=along)


def _slope(
    x: np.ndarray, positive: np.ndarray, negative: np.ndarray, fitted: np.ndarray, world: np.ndarray
) -> tuple[Figure, np.ndarray | None]:
    """Accuracy of telling two kinds of ground apart, and the log-odds of all samples (S,); none if a kind was not walked on."""
    train, judge = fitted & (positive | negative), ~fitted & (positive | negative)
    if not (positive[train].any() and negative[train].any() and positive[judge].any()):
        return Figure(None, None, None, 0), None
    log_odds = scores(x, logistic(x[train], positive[train]))
    return balanced_accuracy(log_odds[judge], positive[judge], world[judge]), log_odds


def second_means(given: np.ndarray, kind: np.ndarray, world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of features (S, D) over each second that a world spends on one kind of ground (S,), and the kind; -1 belongs to none.

    Within a step hidden states cycle with the gait, which is the largest part of their variance and hides the rest.
    """
    together = round(1 / EVERY_S)
    means, kinds = [np.zeros((0, given.shape[1]))], []
    for one in np.unique(world):
        ids = np.flatnonzero(world == one)
        runs = ids[: len(ids) // together * together].reshape(-1, together)
        runs = runs[(kind[runs] == kind[runs[:, :1]]).all(1) & (kind[runs[:, 0]] >= 0)]
        means.append(given[runs].mean(1))
        kinds.append(kind[runs[:, 0]])
    return np.concatenate(means), np.concatenate(kinds)


def features(state: Mapping[str, np.ndarray]) -> np.ndarray:
    """The hidden numbers (D,) of the last step in a policy file's state, without counters of steps."""
    layers = sum(name.startswith("key_") for name in state)
    tokens = [state[f"{kind}_{layer}"][..., -1, :].ravel() for layer in range(layers) for kind in ("key", "value")]
    whole = [value.ravel() for name, value in state.items() if name != "age"]
    return np.concatenate(tokens or whole or [np.zeros(0, np.float32)])


def untrained(file: PolicyFile, seed: int = 0) -> Transformer | None:
    """A transformer of the file's shape with its normaliser and initial random weights; None for other networks."""
    state, spec = file.memory, file.spec
    layers = sum(name.startswith("key_") for name in state)
    if not layers or spec.normalizer is None or not state["key_0"].shape[-2]:
        return None
    heads, past, size = state["key_0"].shape[-3:]
    told = (yaml.safe_load(str(file.provenance.get("config") or "")) or {}).get("student", {}).get("network", {})
    rest = {name: told[name] for name in ("mlp_ratio", "embed_hidden", "head_hidden") if name in told}
    cfg = TransformerCfg(width=heads * size, layers=layers, heads=heads, window=past + 1, **rest)
    torch.manual_seed(seed)
    net = Transformer(spec.observation_dim, spec.action_dim, cfg).requires_grad_(False)
    given = Normalizer(spec.observation_dim)
    given.mean.copy_(torch.tensor(spec.normalizer.mean))
    given.var.copy_((torch.tensor(spec.normalizer.std) - given.epsilon).clamp(min=0).square())
    net.normalizer.copy_head(given)
    return net
