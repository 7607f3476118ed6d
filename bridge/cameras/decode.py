"""From the bytes of an image message to the picture that the policy takes: encoding, byte order, row length, size, depth in metres.

The encodings are those of `sensor_msgs/image_encodings`. Nothing is guessed: an encoding that could mean two things, or a picture of
another size, is refused with what to do about it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.contract.spec import ImageSpec, ObservationGroup

Array = NDArray[Any]

COLORS: dict[str, tuple[str, int, tuple[int, int, int]]] = {
    "rgb8": ("u1", 3, (0, 1, 2)),
    "bgr8": ("u1", 3, (2, 1, 0)),
    "rgba8": ("u1", 4, (0, 1, 2)),
    "bgra8": ("u1", 4, (2, 1, 0)),
    "mono8": ("u1", 1, (0, 0, 0)),
    "rgb16": ("u2", 3, (0, 1, 2)),
    "bgr16": ("u2", 3, (2, 1, 0)),
    "mono16": ("u2", 1, (0, 0, 0)),
}
"""Encodings of colours: number type, channels on the wire, and which of them are red, green and blue."""
DEPTHS: dict[str, tuple[str, float]] = {"16UC1": ("u2", 1e-3), "mono16": ("u2", 1e-3), "32FC1": ("f4", 1.0)}
"""Encodings of depth: number type and its unit [m]."""
LABELS = ("mono8", "8UC1")
ASPECT = 0.02
"""Largest relative difference of the shape of a picture that is resized: more would squeeze what it shows."""


class PictureError(ValueError):
    """A picture that the policy cannot take; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An uncompressed picture off the wire.

    Attributes:
        encoding: as in `sensor_msgs/Image`.
        width, height: [pixels].
        step: bytes of a row, which may be longer than its pixels.
        bigendian: byte order of numbers of more than one byte.
        data: the rows, the highest first.
    """

    encoding: str
    width: int
    height: int
    step: int
    bigendian: bool
    data: Any


def decode(raw: Raw, group: ObservationGroup, resize: bool = False) -> Array:
    """The policy's picture, (height, width, channels), in the contract's shape and type.

    Args:
        raw: as it came.
        group: the policy's input.
        resize: whether a picture of another size is resized; otherwise it is refused.

    Raises:
        PictureError: an encoding that does not fit the kind of picture, too few bytes, or another size.
    """
    image = group.image
    assert image is not None
    if image.kind == "rgb":
        picture = _color(raw)
    elif image.kind == "depth":
        picture = _depth(raw, image)
    else:
        if raw.encoding not in LABELS:
            raise _wrong(raw, "labels", LABELS)
        picture = _numbers(raw, "u1", 1)
    return fit(picture, group, resize)


def fit(picture: Array, group: ObservationGroup, resize: bool = False) -> Array:
    """A decoded picture in the contract's size and type. Raises `PictureError`, see `decode`."""
    image = group.image
    assert image is not None
    if picture.shape[2] != image.channels:
        raise PictureError(f"a picture has {picture.shape[2]} channels, the policy takes {image.channels} ({image.kind})")
    if picture.shape[:2] != (image.height, image.width):
        picture = _resized(picture, image, resize)
    if group.dtype == "uint8" and picture.dtype != np.uint8:
        raise PictureError(f"the policy takes {image.kind} as bytes, whose unit its contract does not tell; train it on float32")
    picture = np.ascontiguousarray(picture, np.dtype(group.dtype))
    picture.setflags(write=False)
    return picture


def _wrong(raw: Raw, what: str, valid: Any) -> PictureError:
    hint = ""
    if raw.encoding.startswith("bayer") or raw.encoding.startswith("yuv"):
        hint = "; convert it first (image_proc)"
    elif raw.encoding in ("8UC3", "8UC4"):
        hint = "; this one does not tell the order of its colours"
    return PictureError(f"encoding {raw.encoding!r} is not of {what}; valid: {', '.join(valid)}{hint}")


def _numbers(raw: Raw, kind: str, channels: int) -> Array:
    """The pixels (height, width, channels) as numbers of this computer's byte order."""
    number = np.dtype(kind).newbyteorder(">" if raw.bigendian else "<")
    row = raw.width * channels * number.itemsize
    step = raw.step or row
    if raw.width < 1 or raw.height < 1 or step < row or len(raw.data) < step * (raw.height - 1) + row:
        said = f"{raw.width} x {raw.height} {raw.encoding} with {raw.step} bytes a row"
        raise PictureError(f"a picture has {len(raw.data)} bytes, too few for {said}")
    data = np.frombuffer(raw.data, np.uint8)
    if len(data) < step * raw.height:  # the padding of the last row may be missing
        data = np.concatenate([data, np.zeros(step * raw.height - len(data), np.uint8)])
    rows = data[: step * raw.height].reshape(raw.height, step)[:, :row]
    return np.ascontiguousarray(rows).view(number).reshape(raw.height, raw.width, channels).astype(np.dtype(kind), copy=False)


def _color(raw: Raw) -> Array:
    if raw.encoding not in COLORS:
        raise _wrong(raw, "colours", COLORS)
    kind, channels, order = COLORS[raw.encoding]
    pixels = _numbers(raw, kind, channels)
    if kind == "u2":
        pixels = (pixels >> 8).astype(np.uint8)
    return pixels[..., list(order)]


def _depth(raw: Raw, image: ImageSpec) -> Array:
    if raw.encoding not in DEPTHS:
        raise _wrong(raw, "depth", DEPTHS)
    kind, unit = DEPTHS[raw.encoding]
    return measured(_numbers(raw, kind, 1).astype(np.float32) * np.float32(unit), image)


def measured(depth: Array, image: ImageSpec) -> Array:
    """Depths [m] as in training: 0 where nothing was measured, which drivers tell by 0, NaN or an infinity, or outside its range."""
    far = image.far or math.inf
    with np.errstate(invalid="ignore"):
        return np.where((depth >= max(image.near, 1e-6)) & (depth <= far) & np.isfinite(depth), depth, np.float32(0))


def _resized(picture: Array, image: ImageSpec, resize: bool) -> Array:
    """A picture in the policy's size: means of areas for colours, the nearest pixel for depths and labels, which cannot be mixed."""
    height, width = picture.shape[:2]
    sizes = f"pictures are {width} x {height} pixels, the policy takes {image.width} x {image.height}"
    if not resize:
        raise PictureError(f"{sizes}: set the camera's resolution, or give --resize-images")
    if abs(width * image.height / (height * image.width) - 1) > ASPECT:
        raise PictureError(f"{sizes}, of another shape: resizing would squeeze them; crop them first (image_proc crop_decimate)")
    if image.kind != "rgb":
        rows = ((np.arange(image.height) + 0.5) * height / image.height).astype(int)
        columns = ((np.arange(image.width) + 0.5) * width / image.width).astype(int)
        return picture[rows][:, columns]
    down, across = areas(height, image.height), areas(width, image.width)
    mixed = np.einsum("hH,HWc->hWc", down, picture.astype(np.float32), optimize=True)
    mixed = np.einsum("wW,hWc->hwc", across, mixed, optimize=True)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=16)
def areas(before: int, after: int) -> NDArray[np.float32]:
    """The share of each of `before` pixels in each of `after` that cover the same line, (after, before)."""
    edges = np.linspace(0, before, after + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(before)
    cover = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    return (cover / cover.sum(axis=1, keepdims=True)).astype(np.float32)
