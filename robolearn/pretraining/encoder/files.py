"""Images in folders, and videos: decoded once, kept small in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from policies.files import reason
from robolearn.errors import UserError
from robolearn.pretraining.encoder.config import EncoderCfg
from robolearn.pretraining.encoder.frames import Pictures, cut

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
VIDEOS = (".mp4", ".webm", ".mkv", ".avi", ".mov")
ROOM = 1.25
"""How much larger than the encoder's a kept image is, so that there is something to cut."""
MEMORY = 2 * 10**9
"""Bytes of images that a source keeps; of more, it reads every second, third ... one."""


def listed(path: str, endings: Sequence[str], option: str) -> list[Path]:
    """The files under a folder, or the file itself, sorted by name.

    Raises:
        UserError: there is none; names the endings.
    """
    place = Path(path).expanduser()
    if place.is_file():
        return [place]
    found = sorted(file for file in place.rglob("*") if file.suffix.lower() in endings and file.is_file()) if place.is_dir() else []
    if not found:
        what = "a folder without such files" if place.is_dir() else "neither a file nor a folder"
        raise UserError(f"{option} {path} is {what}; valid: {', '.join(endings)}")
    return found


def smaller(picture: Pictures, size: tuple[int, int]) -> Pictures:
    """An image (H, W, 3) at the scale at which it is kept."""
    height, width = picture.shape[:2]
    scale = ROOM * max(size[0] / height, size[1] / width)
    if scale >= 1:
        return picture
    return cv2.resize(picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)  # pyright: ignore


def read_image(path: Path) -> Pictures:
    """An image file, (H, W, 3) red first.

    Raises:
        UserError: it cannot be read.
    """
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise UserError(f"{path} is not an image that OpenCV can read; mend it or take it out of the folder")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # pyright: ignore


def read_video(path: Path, every: int) -> Iterator[Pictures]:
    """Each `every`th frame of a video, (H, W, 3).

    Raises:
        UserError: it cannot be read.
    """
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    yield frame.to_ndarray(format="rgb24")  # pyright: ignore
    except (FFmpegError, OSError, IndexError) as error:
        raise UserError(f"{path} is not a video that can be read: {reason(error)}") from error


MANY = 500
"""Files from which on a bar is shown."""


class Filed:
    """Images of a folder, or of videos; a part of the files, or of each video's end, is held out."""

    def __init__(self, path: str, kind: str, how: EncoderCfg, licence: str, seed: int) -> None:
        """Read them.

        Args:
            path: folder or file.
            kind: `images` or `videos`.
            how: the encoder's settings.
            licence: of the images.
            seed: decides which are held out.

        Raises:
            UserError: there is nothing, or something cannot be read.
        """
        self.name, self._kind, self._licence = Path(path).name, kind, licence
        self._size, self._crop = (how.height, how.width), how.crop
        self._path = os.path.abspath(os.path.expanduser(path))
        files = listed(path, IMAGES if kind == "images" else VIDEOS, f"--{kind}")
        self._files = len(files)
        self._pictures = self._images(files) if kind == "images" else self._frames(files, how.every)
        count = len(self._pictures)
        held = min(count - 1, round(count * how.held_out))
        if kind == "images":
            mixed = np.random.default_rng((seed, 7)).permutation(count)
            self._learned, self._held = np.sort(mixed[held:]), np.sort(mixed[:held])
        else:  # neighbouring frames are alike, so what is held out are whole stretches
            order = np.arange(count)
            self._learned, self._held = order[: count - held], order[count - held :]

    def _images(self, files: list[Path]) -> list[Pictures]:
        room = max(1, int(MEMORY / (3 * ROOM**2 * self._size[0] * self._size[1] * 2)))
        chosen = files[:: -(-len(files) // room)]
        bar = tqdm(chosen, desc=f"reading {self.name}", unit="image", dynamic_ncols=True, disable=len(chosen) < MANY)
        return [smaller(read_image(file), self._size) for file in bar]

    def _frames(self, files: list[Path], every: int) -> list[Pictures]:
        kept: list[Pictures] = []
        taken = 0
        for file in tqdm(files, desc=f"reading {self.name}", unit="video", dynamic_ncols=True, disable=len(files) < 2):
            for picture in read_video(file, every):
                kept.append(smaller(picture, self._size))
                taken += kept[-1].nbytes
                if taken > MEMORY:
                    raise UserError(
                        f"--videos {self._path} has more frames than fit into {MEMORY / 1e9:g} GB of memory; "
                        f"take fewer with --encoder.every={2 * every}"
                    )
        if not kept:
            raise UserError(f"--videos {self._path} holds no frame")
        return kept

    def about(self) -> dict[str, Any]:
        """See `Frames`."""
        return {
            "kind": self._kind, "path": self._path, "licence": self._licence, "files": self._files, "pictures": len(self._pictures),
            "held_out": len(self._held),
        }  # fmt: skip

    def draw(self, count: int, key: Sequence[int], taken: int) -> Pictures:
        """See `Frames`."""
        del taken
        generator = np.random.default_rng(list(key))
        chosen = self._learned[generator.integers(len(self._learned), size=count)]
        return np.stack([cut(self._pictures[i], self._size, self._crop, generator) for i in chosen])

    def held_out(self, count: int) -> Pictures:
        """See `Frames`."""
        chosen = self._held[np.linspace(0, len(self._held) - 1, min(count, len(self._held))).round().astype(int)]
        if not len(chosen):
            return np.zeros((0, *self._size, 3), np.uint8)
        return np.stack([cut(self._pictures[i], self._size, 1.0, None) for i in chosen])
