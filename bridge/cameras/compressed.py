"""Compressed pictures: PNG, which keeps every bit, by numpy and zlib alone; JPEG by OpenCV or Pillow, if one of them is installed."""

from __future__ import annotations

import importlib
import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.cameras.decode import PictureError

Array = NDArray[Any]
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
LEVEL = 3  # of zlib: the higher ones take three times as long for a twentieth of the size
DEPTH_HEADER = 12  # bytes before the PNG in a compressedDepth message
QUALITY = 90
GRAY, COLOR, PALETTE_ETC = 0, 2, "only grey and colour pictures without transparency or palette are read"
UP = 2


def encode_png(picture: Array) -> bytes:
    """A picture (height, width, 1 or 3) of uint8, or (height, width, 1) of uint16, as PNG."""
    height, width, channels = picture.shape
    rows = np.ascontiguousarray(picture, picture.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    lines = np.empty((height, rows.shape[1] + 1), np.uint8)
    lines[:, 0], lines[0, 1:] = UP, rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])  # modulo 256, as PNG has it
    head = struct.pack(">IIBBBBB", width, height, 8 * picture.dtype.itemsize, GRAY if channels == 1 else COLOR, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), LEVEL)), (b"IEND", b""))
    return PNG + b"".join(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)


def decode_png(data: bytes) -> Array:
    """The picture (height, width, 1 or 3), uint8 or uint16, of a PNG.

    Raises:
        PictureError: not a PNG, cut off, or of a kind that is not read.
    """
    head, body = _chunks(data)
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", head)
    if depth not in (8, 16) or color not in (GRAY, COLOR) or interlaced:
        raise PictureError(f"a PNG of depth {depth}, colour type {color}: {PALETTE_ETC}")
    channels, size = (1 if color == GRAY else 3), depth // 8
    stride = width * channels * size
    if len(body) != height * (stride + 1):
        raise PictureError("a PNG is cut off")
    lines = np.frombuffer(body, np.uint8).reshape(height, stride + 1)
    rows = _unfiltered(lines[:, 0], lines[:, 1:], channels * size)
    return rows.view(f">u{size}").reshape(height, width, channels).astype(f"u{size}", copy=False)


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """The header and the unpacked rows of a PNG."""
    if not data.startswith(PNG):
        raise PictureError("not a PNG")
    at, head, packed = len(PNG), b"", b""
    try:
        while at < len(data):
            (length,) = struct.unpack_from(">I", data, at)
            name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
            head, packed = (body if name == b"IHDR" else head), packed + (body if name == b"IDAT" else b"")
            at += length + 12
        rows = zlib.decompress(packed)
    except (struct.error, zlib.error) as error:
        raise PictureError(f"a PNG is damaged: {error}") from error
    if len(head) != 13:
        raise PictureError("a PNG without a header")
    return head, rows


def _unfiltered(kinds: Array, lines: Array, pixel: int) -> Array:
    """Undo PNG's filters. `pixel`: bytes of one."""
    rows = np.zeros_like(lines)
    above = np.zeros(lines.shape[1], np.uint8)
    for index, (kind, line) in enumerate(zip(kinds, lines, strict=True)):
        if kind == 0:
            above = line
        elif kind == 1:
            above = np.cumsum(line.reshape(-1, pixel), axis=0, dtype=np.uint8).reshape(-1)
        elif kind == UP:
            above = line + above
        elif kind in (3, 4):
            above = _predicted(int(kind), line, above, pixel)
        else:
            raise PictureError(f"a PNG with an unknown filter {kind}")
        rows[index] = above
    return rows


def _predicted(kind: int, line: Array, above: Array, pixel: int) -> Array:
    """Undo the two filters that depend on the byte before, of PNGs by other programs."""
    row = [0] * pixel + [0] * len(line)
    upper = [0] * pixel + [int(value) for value in above]
    for i, value in enumerate(int(value) for value in line):
        a, b, c = row[i], upper[i + pixel], upper[i]
        if kind == 3:
            guess = (a + b) // 2
        else:
            pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
            guess = a if pa <= pb and pa <= pc else b if pb <= pc else c
        row[i + pixel] = (value + guess) & 255
    return np.array(row[pixel:], np.uint8)


def decompress(data: bytes) -> Array:
    """The picture (height, width, 1 or 3) of a PNG or JPEG, colours as red, green, blue.

    Raises:
        PictureError: neither, damaged, or JPEG without a package that reads it.
    """
    if data[DEPTH_HEADER:].startswith(PNG):
        data = data[DEPTH_HEADER:]
    if data.startswith(PNG):
        return _png(data)
    if not data.startswith(JPEG):
        raise PictureError("a compressed picture is neither PNG nor JPEG")
    if (cv2 := _package("cv2")) is not None:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if found is None:
            raise PictureError("a JPEG is damaged")
        return np.ascontiguousarray(found[..., ::-1])
    try:
        return np.asarray(_pillow("JPEG").open(io.BytesIO(data)).convert("RGB"))
    except OSError as error:
        raise PictureError(f"a JPEG is damaged: {error}") from error


def _png(data: bytes) -> Array:
    """A PNG by OpenCV where it is there, which is faster for the filters of other programs."""
    if (cv2 := _package("cv2")) is None:
        return decode_png(data)
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise PictureError("a PNG is damaged")
    return found[..., None] if found.ndim == 2 else np.ascontiguousarray(found[..., 2::-1])


def encode_jpeg(picture: Array, quality: int = QUALITY) -> bytes:
    """Colours (height, width, 3) or grey (height, width, 1), uint8, as JPEG, which changes them a little.

    Raises:
        PictureError: no package that writes it is installed.
    """
    if (cv2 := _package("cv2")) is not None:
        return bytes(cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
    buffer = io.BytesIO()
    _pillow("JPEG").fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def can_jpeg() -> bool:
    """Whether a package that reads and writes JPEG is installed."""
    return _package("cv2") is not None or _package("PIL.Image") is not None


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _pillow(kind: str) -> Any:
    if (pillow := _package("PIL.Image")) is None:
        raise PictureError(f"{kind} needs OpenCV or Pillow; run: pip install opencv-python-headless")
    return pillow
