"""The pictures of an episode's cameras, made small and packed while people look."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from robolearn.data.video import decode
from robolearn.errors import UserError

WIDTH = 320
"""Pixels of the widest picture that is kept."""
QUALITY = 85


class Pictures:
    """Of one camera and episode. A thread decodes them in order; each can be had as soon as it was.

    Attributes:
        error: why there are no more; empty where nothing is wrong.
    """

    def __init__(self, file: Path, first: int, count: int) -> None:
        """Begin to decode `count` pictures of a video, from number `first` on."""
        self._file, self._first, self._count = file, first, count
        self._packed: list[bytes] = []
        self._stopped = threading.Event()
        self.error = ""
        self._thread = threading.Thread(target=self._decode, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many there are by now."""
        return len(self._packed)

    def wait(self, timeout_s: float) -> None:
        """Until all are there, or some time has passed."""
        self._thread.join(timeout_s)

    def stop(self) -> None:
        """They are no longer wanted."""
        self._stopped.set()

    def at(self, row: int) -> np.ndarray | None:
        """The picture of a row, (H, W, 3) uint8; None before it was decoded."""
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
    """The cameras of one episode; used until `stop`."""

    def __init__(self, videos: Mapping[str, tuple[Path, int]], count: int) -> None:
        """Decode `count` pictures of each."""
        self.pictures = {name: Pictures(file, first, count) for name, (file, first) in videos.items()}

    def stop(self) -> None:
        """They are no longer wanted."""
        for pictures in self.pictures.values():
            pictures.stop()


def _packed(picture: np.ndarray) -> bytes:
    height, width = picture.shape[:2]
    if width > WIDTH:
        picture = cv2.resize(picture, (WIDTH, max(1, round(height * WIDTH / width))), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", np.ascontiguousarray(picture[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
