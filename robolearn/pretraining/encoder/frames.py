"""Where an encoder's images come from: the face of a source, how images are brought to its size, and the mixture of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from robolearn.errors import UserError

Pictures = np.ndarray[Any, np.dtype[np.uint8]]
"""(N, h, w, 3), red first."""


class Frames(Protocol):
    """A source of images."""

    name: str

    def about(self) -> dict[str, Any]:
        """What goes into the encoder's file: kind, licence, how many, as plain JSON values."""
        ...

    def draw(self, count: int, key: Sequence[int], taken: int) -> Pictures:
        """Images to learn from.

        Args:
            count: how many.
            key: the same key gives the same images.
            taken: images that were drawn here before, by this process; a source that renders goes on with it.
        """
        ...

    def held_out(self, count: int) -> Pictures:
        """At most `count` images that nothing is learned from, always the same ones; none where there are none."""
        ...


def cut(picture: Pictures, size: tuple[int, int], crop: float, generator: np.random.Generator | None) -> Pictures:
    """An image of another size, (h, w, 3), from a window of the right shape.

    Args:
        picture: (H, W, 3).
        size: h, w.
        crop: smallest side of the window, as a share of the largest that there is.
        generator: draws size and place of the window; None for the largest in the middle.
    """
    height, width = picture.shape[:2]
    largest = min(height / size[0], width / size[1])
    scale = largest if generator is None else largest * generator.uniform(crop, 1.0)
    h, w = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (
        ((height - h) / 2, (width - w) / 2) if generator is None else (generator.random() * (height - h), generator.random() * (width - w))
    )
    window = picture[round(top) : round(top) + h, round(left) : round(left) + w]
    if window.shape[:2] == size:
        return window
    how = cv2.INTER_AREA if h > size[0] else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(window), (size[1], size[0]), interpolation=how).reshape(*size, 3)  # pyright: ignore


def shares(weights: Sequence[float], count: int) -> np.ndarray:
    """Share of each source; equal ones where none are given."""
    given = np.array(weights or [1.0] * count, float)
    return given / given.sum()


class Mixture:
    """Batches from several sources, each a function of seed, step and process alone."""

    def __init__(self, sources: Sequence[Frames], weights: Sequence[float]) -> None:
        """Mix sources.

        Raises:
            UserError: there is none.
        """
        if not sources:
            raise UserError("there is nothing to learn from: give --images FOLDER, --videos FILE, --data DATASET or --render PRESET")
        self.sources = list(sources)
        self._shares = shares(weights, len(sources))

    def draw(self, count: int, seed: int, step: int, rank: int) -> torch.Tensor:
        """A batch (count, h, w, 3) uint8 of a step."""
        ends = np.round(np.cumsum(self._shares) * count).astype(int)
        counts = np.diff(np.concatenate([[0], ends]))
        parts = [
            source.draw(int(many), (seed, step, rank, index), step * int(many))
            for index, (source, many) in enumerate(zip(self.sources, counts, strict=True))
            if many
        ]
        return torch.from_numpy(np.concatenate(parts))

    def held_out(self, count: int) -> torch.Tensor:
        """Images of all sources that nothing is learned from, (at most count, h, w, 3)."""
        each = -(-count // len(self.sources))
        return torch.from_numpy(np.concatenate([source.held_out(each) for source in self.sources])[:count])
