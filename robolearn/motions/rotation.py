"""Attitudes of many frames at once: quaternions (w first), matrices, rotation vectors and Euler angles, on numpy arrays."""

from __future__ import annotations

import numpy as np

AXES = {"x": 0, "y": 1, "z": 2}


def matrix_of_quat(quat_wxyz: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) of quaternions (..., 4), which need not be normalised."""
    w, x, y, z = np.moveaxis(quat_wxyz / np.linalg.norm(quat_wxyz, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def quat_of_matrix(matrix: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4), w first and never negative, of matrices (..., 3, 3)."""
    trace = np.trace(matrix, axis1=-2, axis2=-1)
    diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
    squares = np.concatenate([trace[..., None], 2 * diagonal - trace[..., None]], -1)  # 4 c^2 - 1 of each component c
    largest = squares.argmax(-1)
    m = matrix
    off = {
        (0, 1): m[..., 2, 1] - m[..., 1, 2], (0, 2): m[..., 0, 2] - m[..., 2, 0], (0, 3): m[..., 1, 0] - m[..., 0, 1],
        (1, 2): m[..., 1, 0] + m[..., 0, 1], (1, 3): m[..., 0, 2] + m[..., 2, 0], (2, 3): m[..., 2, 1] + m[..., 1, 2],
    }  # fmt: skip
    products = np.empty((*matrix.shape[:-2], 4, 4))  # 4 c_i c_j
    for (i, j), value in off.items():
        products[..., i, j] = products[..., j, i] = value
    for i in range(4):
        products[..., i, i] = squares[..., i] + 1
    quat = np.take_along_axis(products, largest[..., None, None], -2)[..., 0, :]
    quat = quat / np.linalg.norm(quat, axis=-1, keepdims=True)
    return np.where(quat[..., :1] < 0, -quat, quat)


def exponential(vector: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) of rotation vectors (..., 3) [rad], after Rodrigues."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    k = np.stack([np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1)], -2)
    a = np.sinc(angle / np.pi)
    b = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return np.eye(3) + a * k + b * (k @ k)


def logarithm(matrix: np.ndarray) -> np.ndarray:
    """Rotation vectors (..., 3) [rad], of a length up to pi, of matrices (..., 3, 3)."""
    quat = quat_of_matrix(matrix)
    sine = np.linalg.norm(quat[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quat[..., :1])
    return quat[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-12), 2.0)


def about(axis: str, angle: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) of rotations about x, y or z by angles (...) [rad]."""
    vector = np.zeros((*np.shape(angle), 3))
    vector[..., AXES[axis]] = angle
    return exponential(vector)


def euler(order: str, angles: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) of successive intrinsic rotations, each about the axis as rotated by the previous ones: `zxy` is Rz Rx Ry.

    Args:
        order: letters x, y, z, as many as angles.
        angles: (..., len(order)) [rad].
    """
    found = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3))
    for i, axis in enumerate(order):
        found = found @ about(axis, angles[..., i])
    return found


def slerp(matrix: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Attitudes (len(at), ..., 3, 3) interpolated in a series (T, ..., 3, 3), at fractional frames `at`."""
    before = np.clip(np.floor(at).astype(int), 0, max(len(matrix) - 2, 0))
    after = np.minimum(before + 1, len(matrix) - 1)
    share = (at - before).reshape(-1, *[1] * (matrix.ndim - 2))
    turn = logarithm(np.swapaxes(matrix[before], -1, -2) @ matrix[after])
    return matrix[before] @ exponential(share * turn)


def frame_of(up: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Attitudes (..., 3, 3) whose z is `up` and whose y is as near to `left` as it can be; x is forward."""
    z = up / np.linalg.norm(up, axis=-1, keepdims=True)
    x = np.cross(left, z)
    x = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9)
    return np.stack([x, np.cross(z, x), z], -1)


def heading(matrix: np.ndarray) -> np.ndarray:
    """Yaw without jumps [rad], (T, ...), of attitudes (T, ..., 3, 3) that are roughly upright."""
    return np.unwrap(np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0]), axis=0)
