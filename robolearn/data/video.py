"""Reads and writes camera pictures as the videos of a LeRobotDataset.

We write one file per episode and camera, so that a kill loses only one, frames are counted from the start of the file, and a merge copies
files without encoding them again. lerobot puts many episodes into one file; the start of an episode follows from the lengths of those
before it, not from time stamps, which drift. The encoding is lerobot's: AV1, every second frame a key frame.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from policies.files import whole
from robolearn.data.columns import DataError
from robolearn.data.statistics import Statistics, column_statistics

os.environ.setdefault("SVT_LOG", "1")  # otherwise the encoder prints to standard error
CODEC = "libsvtav1"
OPTIONS = {"g": "2", "crf": "30", "preset": "12"}


def encode(path: Path, frames: np.ndarray, fps: int) -> None:
    """Write frames (T, H, W, 3) uint8 as a video, whole or not at all.

    Raises:
        DataError: this PyAV lacks the encoder.
    """
    import av

    if CODEC not in av.codecs_available:
        raise DataError(f"the installed PyAV has no {CODEC}; run: pip install 'av>=15'")
    with whole(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream(CODEC, rate=fps, options=OPTIONS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))


def decode(path: Path, start: int, count: int) -> Iterator[np.ndarray]:
    """Frames `start` to `start + count` of a video, (H, W, 3) uint8 each.

    Raises:
        DataError: the file cannot be read, or has fewer frames.
    """
    import av
    from av.error import FFmpegError

    given = 0
    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number >= start + count:
                    break
                if number >= start:
                    yield frame.to_ndarray(format="rgb24")
                    given += 1
    except (FFmpegError, OSError, IndexError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if given < count:
        raise DataError(f"{path} has {start + given} frames, but {start + count} are needed")


def check_frames(frames: np.ndarray, name: str, where: str) -> None:
    """Refuse pictures that the encoder does not accept.

    Raises:
        DataError: says what is valid.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise DataError(f"{where}: {name} must be pictures (T, H, W, 3) of uint8, is {frames.dtype} of shape {frames.shape}")
    if why := check_size(*frames.shape[1:3]):
        raise DataError(f"{where}: {name} {why}")


def check_size(height: int, width: int) -> str:
    """Why the encoder does not accept pictures of this size; empty if it does."""
    if min(height, width) >= 64 and not height % 2 and not width % 2:
        return ""
    return f"has pictures of {height} x {width}; the encoder takes even sizes from 64 on"


def video_statistics(frames: np.ndarray) -> Statistics:
    """Statistics of each colour, (3, 1, 1), in [0, 1], over a sample of frames drawn as lerobot does.

    Args:
        frames: (T, H, W, 3) uint8.
    """
    count = len(frames)
    number = max(min(count, 100), min(int(count**0.75), 10_000))
    sample = frames[np.round(np.linspace(0, count - 1, number)).astype(int)]
    height, width = frames.shape[1:3]
    if max(height, width) >= 300:
        factor = int(width / 150) if width > height else int(height / 150)
        sample = sample[:, ::factor, ::factor]
    found = column_statistics(sample.reshape(-1, 3))
    stats = {name: (value / 255.0).reshape(3, 1, 1) for name, value in found.items() if name != "count"}
    return stats | {"count": np.array([number])}
