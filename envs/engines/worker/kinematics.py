"""Rotations in numpy, over any leading axes; quaternions are (w, x, y, z)."""

from __future__ import annotations

import numpy as np


def normalized(quat: np.ndarray) -> np.ndarray:
    """Of unit length."""
    return quat / np.maximum(np.linalg.norm(quat, axis=-1, keepdims=True), 1e-12)


def product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The rotation `second`, then `first`."""
    a, b, c, d = np.moveaxis(first, -1, 0)
    w, x, y, z = np.moveaxis(second, -1, 0)
    return np.stack(
        [a * w - b * x - c * y - d * z, a * x + b * w + c * z - d * y, a * y - b * z + c * w + d * x, a * z + b * y - c * x + d * w], -1
    )


def turned(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A vector of the rotated frame, in the outer one."""
    axis = quat[..., 1:]
    across = 2.0 * np.cross(axis, vector)
    return vector + quat[..., :1] * across + np.cross(axis, across)


def turned_back(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A vector of the outer frame, in the rotated one."""
    return turned(quat * np.array([1.0, -1.0, -1.0, -1.0]), vector)


def matrix(quat: np.ndarray) -> np.ndarray:
    """(..., 3, 3)."""
    return np.stack([turned(quat, np.broadcast_to(axis, (*quat.shape[:-1], 3))) for axis in np.eye(3)], -1)
