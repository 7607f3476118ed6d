"""The images of cameras while episodes are recorded: each kept once, at the camera's own rate, and laid out per control step at the end.

A dataset has one row per control step, and so has lerobot's video of a camera. Between two images of the camera the last one is repeated,
as the policy saw it; the column `observation.cameras.NAME.is_new` tells the rows with a new one. Only colour becomes video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from envs.vec_env import VecEnv
from policies.contract.spec import PolicySpec
from robolearn.data.columns import Column, camera
from robolearn.data.video import check_size
from robolearn.errors import UserError

IMAGES, CAMERAS = "observation.images.", "observation.cameras."


def columns_of_cameras(spec: PolicySpec) -> list[Column]:
    """Two columns for each colour camera of a task: its images, and which of them are new.

    Raises:
        UserError: images of a size that cannot be encoded.
    """
    columns: list[Column] = []
    for name in _colored(spec):
        height, width, _ = spec.group(name).shape
        if why := check_size(height, width):
            raise UserError(f"camera {name}: {why}; give e.g. --env.observations.{name}.height=64 --env.observations.{name}.width=64")
        columns += [
            camera(f"{IMAGES}{name}", height, width),
            Column(name=f"{CAMERAS}{name}.is_new", names=("is_new",), dtype="bool", optional=False),
        ]
    return columns


def _colored(spec: PolicySpec) -> list[str]:
    return [group.name for group in spec.observation if group.image is not None and group.image.kind == "rgb"]


def unkept(spec: PolicySpec) -> list[str]:
    """Names of the cameras of a task that no dataset holds, since their images are not colour."""
    return [group.name for group in spec.observation if group.image is not None and group.name not in _colored(spec)]


@dataclass(frozen=True)
class Shots:
    """What one camera showed in one episode.

    Attributes:
        images: the images, (K, height, width, 3) uint8.
        rows: which of them was seen at each step, (T,).
    """

    images: np.ndarray
    rows: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of `columns`."""
        return len(self.rows) * int(np.prod(self.images.shape[1:]))

    def columns(self, name: str) -> dict[str, np.ndarray]:
        """As the columns of an episode."""
        is_new = np.diff(self.rows, prepend=-1) != 0
        return {f"{IMAGES}{name}": self.images[self.rows], f"{CAMERAS}{name}.is_new": is_new[:, None]}


class Recorder:
    """Keeps the images of N worlds, step by step."""

    def __init__(self, env: VecEnv, names: Sequence[str] | None = None) -> None:
        """Record colour cameras, by default all."""
        self._env = env
        there = _colored(env.spec)
        self._names = [name for name in there if names is None or name in names]
        self._images: dict[str, list[list[np.ndarray]]] = {name: [[] for _ in range(env.num_worlds)] for name in self._names}
        self._rows: dict[str, list[np.ndarray]] = {name: [] for name in self._names}

    def note(self, alive: np.ndarray) -> None:
        """Keep what is seen before an action; the images of worlds that are not `alive` (N,) bool are not needed."""
        for name, worlds in self._images.items():
            steps = self._env.episode_steps.cpu().numpy()
            due = np.flatnonzero(alive & ((steps % self._env.spec.group(name).every == 0) | (not self._rows[name])))
            if len(due):
                shown = self._env.images[name].cpu().numpy()
                for world in due.tolist():
                    worlds[world].append(shown[world].copy())
            self._rows[name].append(np.array([len(images) - 1 for images in worlds]))

    def of(self, world: int, length: int) -> Mapping[str, Shots]:
        """What a world's cameras showed in an episode of that many steps."""
        return {
            name: Shots(np.stack(worlds[world]), np.array([rows[world] for rows in self._rows[name][:length]]))
            for name, worlds in self._images.items()
        }
