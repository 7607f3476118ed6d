"""Pictures of the cameras in a dataset, ours or one that lerobot wrote."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

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
        check_licences(dataset.sources, how.allow)
        self._size, self._crop = (how.height, how.width), how.crop
        count = len(dataset)
        held = min(count - 1, round(count * how.held_out))
        out = set(np.random.default_rng((seed, 11)).permutation(count)[:held].tolist())
        rows = [np.arange(row.start, row.stop, how.every) for row in dataset.episodes]
        self._learned = np.concatenate([part for index, part in enumerate(rows) if index not in out] or [np.zeros(0, int)])
        self._held = np.concatenate([part for index, part in enumerate(rows) if index in out] or [np.zeros(0, int)])
        if not len(self._learned):
            raise UserError(f"--data {path} has no episode to learn from")

    def about(self) -> dict[str, Any]:
        """See `Frames`."""
        licences = list(dict.fromkeys(source.licence or UNKNOWN for source in self._dataset.sources)) or [UNKNOWN]
        return {
            "kind": "data", "path": os.path.abspath(self._dataset.path), "licence": " AND ".join(licences), "cameras": self._cameras,
            "pictures": len(self._cameras) * (len(self._learned) + len(self._held)), "held_out": len(self._cameras) * len(self._held),
        }  # fmt: skip

    def draw(self, count: int, key: Sequence[int], taken: int) -> Pictures:
        """See `Frames`."""
        del taken
        generator = np.random.default_rng(list(key))
        camera = generator.integers(len(self._cameras), size=count)
        row = self._learned[generator.integers(len(self._learned), size=count)]
        return np.stack([self._cut(int(c), int(r), generator) for c, r in zip(camera, row, strict=True)])

    def held_out(self, count: int) -> Pictures:
        """See `Frames`."""
        chosen = self._held[np.linspace(0, len(self._held) - 1, min(count, len(self._held))).round().astype(int)]
        if not len(chosen):
            return np.zeros((0, *self._size, 3), np.uint8)
        return np.stack([self._cut(i % len(self._cameras), int(row), None) for i, row in enumerate(chosen)])

    def _cut(self, camera: int, row: int, generator: np.random.Generator | None) -> Pictures:
        picture = np.asarray(self._dataset.column(self._cameras[camera])[row])
        return cut(picture, self._size, self._crop, generator)
