"""Rotations by quaternions wxyz, on arrays of numpy."""

from __future__ import annotations

import numpy as np

from robolearn.data.imports.series import FloatArray


def rotate(quat: FloatArray, vector: FloatArray) -> FloatArray:
    """R(q) v: from the body's frame to the world, (T, 4) and (T, 3)."""
    w, u = quat[:, :1], quat[:, 1:]
    t = 2.0 * np.cross(u, vector)
    return vector + w * t + np.cross(u, t)


def rotate_inverse(quat: FloatArray, vector: FloatArray) -> FloatArray:
    """R(q)^T v: from the world to the body's frame, (T, 4) and (T, 3)."""
    return rotate(quat * np.array([1.0, -1.0, -1.0, -1.0]), vector)


def multiply(a: FloatArray, b: FloatArray) -> FloatArray:
    """The product of quaternions (T, 4)."""
    w = a[:, :1] * b[:, :1] - np.sum(a[:, 1:] * b[:, 1:], axis=1, keepdims=True)
    return np.concatenate([w, a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + np.cross(a[:, 1:], b[:, 1:])], axis=1)


def angular_velocity_b(quat: FloatArray, fps: float) -> FloatArray:
    """Angular velocity in the body's frame [rad/s], (T, 3), by central differences of attitudes (T, 4) that are `1 / fps` apart."""
    if len(quat) < 2:
        return np.zeros((len(quat), 3))
    before, after = np.maximum(np.arange(len(quat)) - 1, 0), np.minimum(np.arange(len(quat)) + 1, len(quat) - 1)
    step = multiply(quat[before] * np.array([1.0, -1.0, -1.0, -1.0]), quat[after])
    step *= np.where(step[:, :1] < 0, -1.0, 1.0)
    half = np.arctan2(np.linalg.norm(step[:, 1:], axis=1), step[:, 0])
    factor = np.where(half > 1e-9, 2.0 * half / np.maximum(np.sin(half), 1e-12), 2.0)
    return step[:, 1:] * (factor * fps / (after - before))[:, None]
