"""Batches of windows: drawn from several datasets by weights that may change, each a function of seed and step alone.

So a training that is gone on with needs to know its step and nothing else, and every process of several has draws of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from robolearn.data.columns import DataError
from robolearn.pretraining.sources import Sources
from robolearn.pretraining.tokens import Tokens


class Mixture:
    """Windows of T tokens of all episodes that are learned from, or of those held out."""

    def __init__(
        self, sources: Sources, steps: int, *, weights: Sequence[float] = (), final: Sequence[float] = (), held: bool = False
    ) -> None:
        """Count what there is.

        Args:
            sources: the datasets.
            steps: T.
            weights: share of each dataset; empty for shares by their rows.
            final: of the end, towards which the shares go linearly; empty for the same.
            held: whether windows are those of episodes that are held out.

        Raises:
            DataError: as many weights as datasets are needed; or a dataset with a weight has no episode.
        """
        self._sources, self._steps = sources, steps
        self._episodes = [np.flatnonzero(shelf.held == held) for shelf in sources.shelves]
        lengths = [(shelf.stop - shelf.start)[chosen] for shelf, chosen in zip(sources.shelves, self._episodes, strict=True)]
        self._ends = [np.cumsum(length) for length in lengths]
        self._lengths = lengths
        rows = [float(length.sum()) for length in lengths]
        given = list(weights) or rows
        if len(given) != len(rows):
            raise DataError(f"pretrain.weights has {len(given)} entries for {len(rows)} datasets; give one for each")
        for shelf, share, some in zip(sources.shelves, given, rows, strict=True):
            if share and not some and not held:
                raise DataError(
                    f"{shelf.dataset.path} has no episode left to learn from: all are held out, being alike or those that another dataset"
                    " holds out too; leave it away, or give --pretrain.held_out=0"
                )
        self._from, self._to = np.array(given, float), np.array(list(final) or given, float)
        if held:  # a dataset of which nothing is held out is not there, and one without a weight is asked at the end
            self._from, self._to = (share * (np.array(rows) > 0) for share in (self._from, self._to))
            if not self._from.any():
                self._from = self._to = self._to if self._to.any() else np.array(rows)
        self.rows = int(sum(rows))

    def shares(self, progress: float) -> np.ndarray:
        """Share of each dataset at a share `progress` of the training."""
        first, last = self._from / max(self._from.sum(), 1e-9), self._to / max(self._to.sum(), 1e-9)
        return first + (last - first) * progress

    def draw(self, count: int, key: Sequence[int], progress: float = 0.0) -> Tokens:
        """`count` windows; the same `key` gives the same ones."""
        generator = np.random.default_rng(list(key))
        shares = self.shares(progress)
        dataset = generator.choice(len(shares), size=count, p=shares / shares.sum())
        where, parts = list[np.ndarray](), list[Tokens]()
        for index in np.unique(dataset):
            here = np.flatnonzero(dataset == index)
            ends, lengths = self._ends[index], self._lengths[index]
            episode = np.searchsorted(ends, generator.integers(0, ends[-1], len(here)), side="right")
            # a window may begin half before the episode, and is moved to its start: the first steps are seen as often as others
            reach = np.maximum(lengths[episode] - self._steps, 0) + self._steps // 2 + 1
            offset = np.maximum((generator.random(len(here)) * reach).astype(np.int64) - self._steps // 2, 0)
            parts.append(self._sources.cut(int(index), self._episodes[index][episode], offset, self._steps))
            where.append(here)
        back = torch.from_numpy(np.argsort(np.concatenate(where)))
        filled = [name for name, value in vars(parts[0]).items() if value is not None]  # the same ones of every dataset
        return Tokens(**{name: torch.cat([getattr(part, name) for part in parts])[back] for name in filled})
