"""Writes videos that browsers play, with OpenCV's encoders; whole or not at all.

`.mp4`: H.264, which everything plays, if this OpenCV has an encoder (PyPI's for Linux has none) or the package imageio-ffmpeg is installed;
otherwise VP9, which Chrome, Edge, Firefox and VLC play in mp4 too. `.webm`: VP8. Measured on 960 x 540 pictures of a walking robot, H.264
takes an eighth of VP9's time and half its space, VP8 a third of its time. OpenCV's usual mp4v plays in no browser and is not used.
imageio-ffmpeg's own `write_frames` and mediapy ignore ffmpeg's exit code, so that a full disk silently leaves half a video; so its program
is run directly here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Protocol, cast

import cv2
import numpy as np

from bridge.program import unbroken
from policies.files import check_room, whole
from robolearn.errors import UserError

H264 = "h264"  # by imageio-ffmpeg's ffmpeg
CODECS = {".mp4": ("avc1", H264, "vp09"), ".webm": ("VP80",)}
"""File ending -> codecs, the best first."""


class Encoder(Protocol):
    """OpenCV's writer, or one with the same interface."""

    def write(self, image: np.ndarray, /) -> None:
        """Add a frame, (height, width, 3) uint8 BGR."""
        ...

    def release(self) -> None:
        """Finish the file."""
        ...


class VideoWriter:
    """Takes frames until it is closed; used as a context manager, which drops the file if the body fails.

    Attributes:
        path: path of the video, which exists once closed.
        codec: its four letters.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        """Open a video of `width` x `height` pixels, both even.

        Raises:
            UserError: the ending is not in `CODECS`.
            policies.files.WriteError: the folder cannot be written.
        """
        if path.suffix not in CODECS:
            raise UserError(f"cannot write a video as {path.name!r}; valid endings: {', '.join(CODECS)}")
        self.path = path
        with contextlib.ExitStack() as stack:
            with unbroken():  # an encoder that starts after its file was removed would make it again
                self._temporary = stack.enter_context(whole(path))
                self.codec, self._encoder = _first(path, self._temporary, width, height, fps)
                stack.callback(self._drop)
            self._stack = stack.pop_all()

    def write(self, frame: np.ndarray) -> None:
        """Add a frame, (height, width, 3) uint8 RGB."""
        self._encoder.write(np.ascontiguousarray(frame[:, :, ::-1]))

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            policies.files.WriteError: it could not be written to the end.
        """
        with self._stack:
            self._encoder.release()
            check_room(self._temporary)  # OpenCV does not report it

    def _drop(self) -> None:
        """Release the encoder; the file is dropped unless `close` was called before."""
        with contextlib.suppress(UserError):
            self._encoder.release()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
            return
        self._stack.__exit__(kind, error, trace)


class _Ffmpeg:
    """Sends frames through a pipe to the ffmpeg of the package imageio-ffmpeg."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        import imageio_ffmpeg

        source = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"]
        target = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *source, *target, "-threads", "1", str(path)]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        # its own session: Ctrl-C must only reach the drawing process
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=self._said, start_new_session=True)

    def write(self, image: np.ndarray, /) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(image.tobytes())
        except BrokenPipeError:
            raise self._failure() from None

    def release(self) -> None:
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError):  # its exit code shows the failure
            self._process.stdin.close()
        if self._process.wait(timeout=60):
            raise self._failure()
        self._said.close()

    def _failure(self) -> UserError:
        """ffmpeg's last message."""
        self._process.wait(timeout=60)
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").splitlines()
        return UserError(f"ffmpeg could not write the video: {lines[-1].strip() if lines else f'exit code {self._process.returncode}'}")


def _first(path: Path, temporary: Path, width: int, height: int, fps: float) -> tuple[str, Encoder]:
    """The best codec that there is here for `path`, and its encoder, which writes to `temporary`."""
    for codec in CODECS[path.suffix]:
        encoder = _open(codec, temporary, width, height, fps)
        if encoder is not None:
            return codec, encoder
    odd = "\\udc" in ascii(str(path.absolute()))
    why = "its folder's name must be UTF-8" if odd else "install opencv-python-headless from PyPI"
    raise UserError(f"this OpenCV ({cv2.__version__}) has no encoder for {path.suffix} here; {why}")


def _open(codec: str, path: Path, width: int, height: int, fps: float) -> Encoder | None:
    """An encoder; None if there is none for that codec."""
    if codec == H264:
        return _Ffmpeg(path, width, height, fps) if importlib.util.find_spec("imageio_ffmpeg") else None
    try:
        name = str(path.absolute()).encode().decode()
    except UnicodeEncodeError:  # a name that is not valid text, on which OpenCV ends the process
        return None
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a missing encoder is not an error for the user
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, int.from_bytes(codec.encode("ascii"), "little"), fps, (width, height))
    finally:
        cv2.utils.logging.setLogLevel(level)
    return cast(Encoder, writer) if writer.isOpened() else None


def codec_of(path: Path) -> str:
    """The four letters of a video file's codec."""
    capture = cv2.VideoCapture(str(path))
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    capture.release()
    return code.to_bytes(4, "little").decode("latin-1")
