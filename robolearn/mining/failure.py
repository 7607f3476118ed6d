"""Where a policy fails, told so that a person can check it: counted rates over one property at a time, and groups of a shallow tree.

The tree is grown on one half of the episodes and its groups are counted on the other, so that no rate is flattered by the choice of its
group. Rates over one property are counts over all episodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from robolearn.evaluation.statistics import wilson
from robolearn.mining.episodes import Episodes
from robolearn.mining.features import Feature, features_of
from robolearn.mining.space import Space

BINS = 5
DEPTH = 3
LEAST = 0.04
"""Share of the episodes that a group must have."""
CUTS = 12
"""Places at which a number may be divided."""
WORST = 12
"""Lines of the table."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some of the episodes.

    Attributes:
        text: which.
        count, failed: episodes, and those of them that failed.
        feature: index of the property that it is about; None for a group of the tree.
        at: where it stands on that property: the middle of its values, or the kind's index.
        kind: the kind's name; empty for a number.
    """

    text: str
    count: int
    failed: int
    feature: int | None = None
    at: float | None = None
    kind: str = ""

    @property
    def rate(self) -> float:
        """Share that failed."""
        return self.failed / self.count if self.count else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %."""
        return wilson(self.failed, self.count)

    def line(self) -> str:
        """For people."""
        low, high = self.interval
        return f"{self.text} ({100 * self.rate:.0f} % [{100 * low:.0f} to {100 * high:.0f}] of {self.count})"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        low, high = self.interval
        return {"text": self.text, "count": self.count, "failed": self.failed, "rate": self.rate, "low": low, "high": high}


@dataclass(frozen=True, kw_only=True)
class Failures:
    """What was found.

    Attributes:
        whole: all episodes.
        rates: property -> its groups in order; those of a number are as large as each other.
        tree: groups of the tree, the worst first.
    """

    whole: Group
    rates: dict[str, list[Group]]
    tree: list[Group]

    def worst(self, most: int = WORST) -> list[Group]:
        """The groups over one property whose rate lies surely above that of all, the worst first."""
        groups = [group for row in self.rates.values() for group in row if group.interval[0] > self.whole.rate]
        return sorted(groups, key=lambda group: -group.rate)[:most]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "all": self.whole.to_dict(),
            "worst": [group.to_dict() for group in self.worst()],
            "groups": [group.to_dict() for group in self.tree],
            "rates": {name: [group.to_dict() for group in row] for name, row in self.rates.items()},
        }


def find(space: Space, episodes: Episodes) -> Failures:
    """Count."""
    features = features_of(space, episodes.conditions)
    failed = episodes.failed
    rates = {feature.label: _rates(i, feature, failed) for i, feature in enumerate(features)}
    half = np.random.default_rng(0).permutation(len(failed)) % 2 == 0
    leaves = _grow(features, failed, half, np.ones(len(failed), bool), DEPTH, [])
    tree = [
        Group(text=", ".join(_together(words)) or "all", count=int(n.sum()), failed=int(failed[n].sum()))
        for words, at in leaves
        for n in [at & ~half]
    ]
    return Failures(
        whole=Group(text="all", count=len(failed), failed=int(failed.sum())),
        rates=rates,
        tree=sorted((group for group in tree if group.count), key=lambda group: -group.rate),
    )


def _rates(index: int, feature: Feature, failed: np.ndarray) -> list[Group]:
    """Groups over one property."""
    found = []
    if feature.kinds:
        for kind, name in enumerate(feature.kinds):
            at = feature.values == kind
            if at.any():
                text = f"{feature.label} {name}"
                found.append(Group(text=text, count=int(at.sum()), failed=int(failed[at].sum()), feature=index, at=float(kind), kind=name))
        return found
    edges = np.unique(np.quantile(feature.values, np.linspace(0, 1, BINS + 1)))
    for low, high in pairwise(edges):
        at = (feature.values >= low) & ((feature.values < high) | ((high == edges[-1]) & (feature.values == high)))
        if at.any():
            text = f"{feature.label} {_between(low, high, low == edges[0], high == edges[-1], feature.unit)}"
            middle = float(feature.values[at].mean())
            found.append(Group(text=text, count=int(at.sum()), failed=int(failed[at].sum()), feature=index, at=middle))
    return found


def _between(low: float, high: float, first: bool, last: bool, unit: str) -> str:
    after = f" {unit}" if unit else ""
    if first and last:
        return "anywhere"
    if first:
        return f"< {high:.3g}{after}"
    return f"> {low:.3g}{after}" if last else f"{low:.3g} to {high:.3g}{after}"


def _grow(
    features: list[Feature], failed: np.ndarray, half: np.ndarray, at: np.ndarray, depth: int, words: list[str]
) -> list[tuple[list[str], np.ndarray]]:
    """Leaves below a node: what is said of them, and which episodes (E,) bool they are. Only those of `half` are looked at."""
    best = _best_cut(features, failed, half & at, LEAST * half.sum()) if depth else None
    if best is None:
        return [(words, at)]
    yes, said, no = best
    return [
        *_grow(features, failed, half, at & yes, depth - 1, _more(words, said)),
        *_grow(features, failed, half, at & ~yes, depth - 1, _more(words, no)),
    ]


def _more(words: list[str], said: str) -> list[str]:
    """What is said of a part of a node; a later bound of the same side says all."""
    return [*(word for word in words if _side(word) != _side(said)), said]


def _side(word: str) -> str:
    """Of a bound, the property and which side of it: up to the sign. Of a kind, all."""
    return next((word.partition(sign)[0] + sign for sign in (" < ", " > ") if sign in word), word)


def _together(words: list[str]) -> list[str]:
    """Both bounds of a property beside each other."""
    heads = [_side(word).rstrip(" <>") for word in words]
    return [word for head in dict.fromkeys(heads) for word, its in zip(words, heads, strict=True) if its == head]


def _best_cut(features: list[Feature], failed: np.ndarray, at: np.ndarray, least: float) -> tuple[np.ndarray, str, str] | None:
    """The division that tells failures apart best (Gini): who (E,) bool is in it, and what is said of both sides."""
    y = failed[at].astype(float)
    n = len(y)
    if n < 2 * least or y.min(initial=0) == y.max(initial=0):
        return None
    best_gain, best = 1e-3 * n * y.mean() * (1 - y.mean()), None
    for feature in features:
        for yes, said, no in _cuts(feature, at):
            inside = yes[at]
            k = int(inside.sum())
            if k < least or n - k < least:
                continue
            p, q = y[inside].mean(), y[~inside].mean()
            gain = n * y.mean() * (1 - y.mean()) - k * p * (1 - p) - (n - k) * q * (1 - q)
            if gain > best_gain:
                best_gain, best = gain, (yes, said, no)
    return best


def _cuts(feature: Feature, at: np.ndarray) -> list[tuple[np.ndarray, str, str]]:
    if feature.kinds:
        return [
            (feature.values == kind, f"{feature.label} {name}", f"{feature.label} not {name}") for kind, name in enumerate(feature.kinds)
        ]
    after = f" {feature.unit}" if feature.unit else ""
    edges = np.unique(np.quantile(feature.values[at], np.linspace(0, 1, CUTS + 2)[1:-1]))
    return [(feature.values > edge, f"{feature.label} > {edge:.3g}{after}", f"{feature.label} < {edge:.3g}{after}") for edge in edges]
