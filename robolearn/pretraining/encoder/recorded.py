"""Images of the cameras in a dataset, ours or one that lerobot wrote."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from robolearn.data.columns import mark_of
from robolearn.data.licence import check_licences
from robolearn.data.reader import Dataset
from robolearn.data.source import UNKNOWN
from robolearn.errors import UserError
from robolearn.pretraining.encoder.config import EncoderCfg
from robolearn.pretraining.encoder.frames import Pictures, cut


class Recorded:
    """All colour cameras of a dataset; whole episodes are held out."""

    def __init__(self, path: str, how: EncoderCfg, seed: int) -> None:
        """Open.

        Raises:
            robolearn.data.columns.DataError: not a dataset, or its licence is not allowed.
            UserError: it has no camera.
        """
        self._dataset = dataset = Dataset(path)
        self.name = dataset.path.name
        self._cameras = [name for name in dataset.cameras if name not in dataset.unread]
        if not self._cameras:
            unread = f"; {', '.join(dataset.unread)} are not colour videos" if dataset.unread else ""
            raise UserError(f"--data {path} has no camera to learn from{unread}; datasets with video have one (docs/data.md)")
        self._size, self._crop = (how.height, how.width), how.crop
        count = len(dataset)
        held = min(count - 1, round(count * how.held_out))
        out = set(np.random.default_rng((seed, 11)).permutation(count)[:held].tolist())
        learned, tested, used = list[np.ndarray](), list[np.ndarray](), set[int]()
        for index, camera in enumerate(self._cameras):
            known = self._known(camera)
            for row in dataset.episodes:
                rows = np.arange(row.start, row.stop, how.every)
                rows = rows if known is None else rows[known[rows]]
                (tested if row.index in out else learned).append(np.stack([np.full_like(rows, index), rows], 1))
                used |= {row.source} if len(rows) else set()
        self._learned, self._held = (np.concatenate([*parts, np.zeros((0, 2), int)]) for parts in (learned, tested))
        check_licences([dataset.sources[index] for index in sorted(used)], how.allow)
        if not len(self._learned):
            raise UserError(f"--data {path} has no image to learn from; with --encoder.held_out=0 none are held out")
        self._licences = list(dict.fromkeys(dataset.sources[index].licence or UNKNOWN for index in sorted(used)))

    def _known(self, camera: str) -> np.ndarray | None:
        """In which rows there is an image, (total rows,) bool; None for all."""
        mark = mark_of(camera)
        return np.asarray(self._dataset.column(mark), bool) if mark in self._dataset.info.features else None

    def about(self) -> dict[str, Any]:
        """See `Frames`."""
        return {
            "kind": "data",
            "path": os.path.abspath(self._dataset.path),
            "licence": " AND ".join(self._licences),
            "cameras": self._cameras,
            "pictures": len(self._learned) + len(self._held),
            "held_out": len(self._held),
        }

    def draw(self, count: int, key: Sequence[int], taken: int) -> Pictures:
        """See `Frames`."""
        del taken
        generator = np.random.default_rng(list(key))
        chosen = self._learned[generator.integers(len(self._learned), size=count)]
        return np.stack([self._cut(int(camera), int(row), generator) for camera, row in chosen])

    def held_out(self, count: int) -> Pictures:
        """See `Frames`."""
        chosen = self._held[np.linspace(0, len(self._held) - 1, min(count, len(self._held))).round().astype(int)]
        if not len(chosen):
            return np.zeros((0, *self._size, 3), np.uint8)
        return np.stack([self._cut(int(camera), int(row), None) for camera, row in chosen])

    def _cut(self, camera: int, row: int, generator: np.random.Generator | None) -> Pictures:
        picture = np.asarray(self._dataset.column(self._cameras[camera])[row])
        return cut(picture, self._size, self._crop, generator)
