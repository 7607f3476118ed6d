"""Which conditions a policy is taught in: drawn afresh, and weighed by how likely it is to fail there.

Failures that were seen are not taught again one by one: a model of failure is fitted to them (`robolearn.mining.logistic`) and asked about
many new conditions. `failure` weighs them by the chance p of failing; `edge` by p (1 - p), which is largest where the policy fails about
every other time and leaves out what nobody could stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from robolearn.mining.episodes import Episodes
from robolearn.mining.features import design
from robolearn.mining.logistic import fit, ranking
from robolearn.mining.space import Space

POOL = 4096
"""Conditions of a list."""

Toward = Literal["failure", "edge"]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A list of conditions.

    Attributes:
        conditions: (K, C).
        weights: how often each is drawn, (K,), their sum 1.
        ranking: how often the model ranked a failure above a success, of episodes that it had not seen; None where it could not be told.
        expected: chance of failing that the model gives to what is drawn, and to all alike.
    """

    conditions: np.ndarray
    weights: np.ndarray
    ranking: float | None = None
    expected: tuple[float, float] | None = None

    @property
    def effective(self) -> float:
        """As how many conditions, drawn alike, the list is worth (Kish): 1 / sum of squared weights."""
        return float(1.0 / np.square(self.weights).sum())


def at_random(space: Space, seed: int, count: int = POOL) -> Drawn:
    """Conditions that are drawn alike."""
    return Drawn(conditions=space.draw(count, seed), weights=np.full(count, 1.0 / count))


def mined(space: Space, episodes: Episodes, seed: int, toward: Toward = "failure", count: int = POOL) -> Drawn:
    """Conditions weighed by what was found out; drawn alike where nothing, or everything, failed."""
    fresh = space.draw(count, seed)
    failed = episodes.failed
    if not failed.any() or failed.all():
        return Drawn(conditions=fresh, weights=np.full(count, 1.0 / count))
    columns = design(space, np.concatenate([episodes.conditions, fresh]))
    known, new = columns[: len(failed)], columns[len(failed) :]
    chance = fit(known, failed)(new)
    weights = chance if toward == "failure" else chance * (1 - chance)
    weights = weights / weights.sum()
    half = np.random.default_rng(0).permutation(len(failed)) % 2 == 0
    told = ranking(fit(known[half], failed[half])(known[~half]), failed[~half]) if failed[half].any() and not failed[half].all() else None
    return Drawn(conditions=fresh, weights=weights, ranking=told, expected=(float((weights * chance).sum()), float(chance.mean())))
