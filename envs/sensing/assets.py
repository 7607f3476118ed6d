"""Pictures that things are covered with: made by a formula, or read from a folder that somebody names. uint8 (h, w, 3), RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

KINDS = ("checker", "stripes", "dots", "gradient", "noise", "marble")
"""Kinds of texture that are made by a formula."""
SIDE = 64  # pixels of a texture that is made
LARGEST = 256  # pixels of one that is read
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def gradient_sky(side: int = 32) -> np.ndarray:
    """A plain sky, lighter at the horizon of each face, (side, side, 3)."""
    return _blend(np.linspace(0, 1, side)[:, None].repeat(side, 1), np.array([120, 155, 200]), np.array([210, 222, 232]))


def procedural(kind: str, rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """A texture of two random colours, (side, side, 3), that can be laid edge to edge.

    Args:
        kind: one of `KINDS`.
        rng: of its colours and its scale.
        side: [pixels].

    Raises:
        ValueError: no such kind; lists them.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no texture {kind!r}; valid: {', '.join(KINDS)}")
    first, second = rng.integers(0, 256, (2, 3)).astype(float)
    y, x = np.mgrid[0:side, 0:side] / side
    turns = int(2 ** rng.integers(0, 3))
    if kind == "checker":
        share = ((np.floor(2 * turns * x) + np.floor(2 * turns * y)) % 2).astype(float)
    elif kind == "stripes":
        share = (np.sin(2 * np.pi * turns * (x if rng.random() < 0.5 else x + y)) > 0).astype(float)
    elif kind == "dots":
        share = ((turns * x % 1 - 0.5) ** 2 + (turns * y % 1 - 0.5) ** 2 < 0.09).astype(float)
    elif kind == "gradient":
        share = 0.5 - 0.5 * np.cos(2 * np.pi * x)
    else:
        share = _clouds(rng, side)
        if kind == "marble":
            share = 0.5 + 0.5 * np.sin(2 * np.pi * (turns * x + 1.5 * share))
    return _blend(share, first, second)


def _blend(share: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first + share[..., None] * (second - first)).round().clip(0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise whose power falls with the square of its frequency, in [0, 1], periodic, (side, side)."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) / frequency).real
    return (field - field.min()) / max(float(np.ptp(field)), 1e-9)


def read_folder(folder: str | Path, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Pictures of a folder and those below it, `count` of them drawn, each (h, w, 3) with sides of at most `LARGEST` pixels.

    Raises:
        ValueError: there is no such folder, it has no pictures, or one of them cannot be read.
    """
    import cv2

    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}; give one with pictures ({', '.join(SUFFIXES)})")
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"{root} has no pictures; valid: {', '.join(SUFFIXES)}")
    chosen = [paths[i] for i in rng.permutation(len(paths))[:count]]
    pictures: list[np.ndarray] = []
    for path in chosen:
        read = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if read is None:
            raise ValueError(f"{path} is no picture that can be read; take it away")
        scale = min(1.0, LARGEST / max(read.shape[:2]))
        small = cv2.resize(read, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else read
        pictures.append(np.ascontiguousarray(small[..., ::-1]))
    return pictures


def pictures(kinds: Sequence[str], folder: str, count: int, seed: int, square: bool = False) -> list[np.ndarray]:
    """`count` textures: of a folder where one is named, else made, the kinds in turn. Square ones are cut from the middle.

    Raises:
        ValueError: see `procedural` and `read_folder`.
    """
    rng = np.random.default_rng(seed)
    found = read_folder(folder, count, rng) if folder else [procedural(kinds[i % len(kinds)], rng) for i in range(count)]
    return [_square(picture) for picture in found] if square else found


def _square(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(picture[top : top + side, left : left + side])
