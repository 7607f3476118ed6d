"""The pictures of an episode's cameras, scaled down and compressed while the page is open."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from robolearn.data.video import decode
from robolearn.errors import UserError

WIDTH = 320
"""Largest width of a kept picture [pixels]."""
QUALITY = 85


class Pictures:
    """The pictures of one camera in one episode. A thread decodes them in order; each is available once decoded.

    Attributes:
        error: why decoding failed; empty if it did not.
    """

    def __init__(self, file: Path, first: int, count: int) -> None:
        """Begin to decode `count` pictures of a video, from number `first`."""
        self._file, self._first, self._count = file, first, count
        self._packed: list[bytes] = []
        self._stopped = threading.Event()
        self.error = ""
        self._thread = threading.Thread(target=self._decode, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Number of decoded pictures."""
        return len(self._packed)

    def wait(self, timeout_s: float) -> None:
        """Wait until all are decoded, or a time has passed."""
        self._thread.join(timeout_s)

    def stop(self) -> None:
        """Stop decoding."""
        self._stopped.set()

    def at(self, row: int) -> np.ndarray | None:
        """The picture of a row, (H, W, 3) uint8; None before it is decoded."""
        if row >= len(self._packed):
            return None
        picture = cv2.imdecode(np.frombuffer(self._packed[row], np.uint8), cv2.IMREAD_COLOR)
        return None if picture is None else picture[:, :, ::-1]

    def _decode(self) -> None:
        try:
            for picture in decode(self._file, self._first, self._count):
                if self._stopped.is_set():
                    return
                self._packed.append(_packed(picture))
        except UserError as error:
            self.error = str(error)


class Cameras:
    """The cameras of one episode, until `stop`."""

    def __init__(self, videos: Mapping[str, tuple[Path, int]], count: int) -> None:
        """Begin to decode `count` pictures of each."""
        self.pictures = {name: Pictures(file, first, count) for name, (file, first) in videos.items()}

    def stop(self) -> None:
        """Stop decoding."""
        for pictures in self.pictures.values():
            pictures.stop()


def _packed(picture: np.ndarray) -> bytes:
    height, width = picture.shape[:2]
    if width > WIDTH:
        picture = cv2.resize(picture, (WIDTH, max(1, round(height * WIDTH / width))), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", np.ascontiguousarray(picture[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
