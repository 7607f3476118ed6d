"""Least squares over a whole clip in which a frame is only coupled to its two neighbours on each side: one pass forward and one back.

Blocks within a frame are full, those between frames are diagonal at first, since frames are coupled by the smoothness of each coordinate
separately. Frames are eliminated one after the other, so the cost is linear in the length of the clip.
"""

from __future__ import annotations

import numpy as np


def solve(own: np.ndarray, next_: np.ndarray, after: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve H x = b for x (T, n), H symmetric and positive definite.

    Args:
        own: blocks of each frame, (T, n, n).
        next_: diagonals of the blocks between a frame and the next, (T - 1, n).
        after: diagonals of the blocks between a frame and the one after the next, (T - 2, n).
        right: b, (T, n).
    """
    count, n = right.shape
    scale = 1 / np.sqrt(np.diagonal(own, axis1=1, axis2=2))  # weights differ by orders of magnitude
    own, right = scale[:, :, None] * own * scale[:, None, :], scale * right
    next_, after = scale[:-1] * next_ * scale[1:], scale[:-2] * after * scale[2:]
    after = np.concatenate([after, np.zeros((max(count - len(after), 0), n))])
    inverses, towards = np.empty_like(own), np.empty_like(own)
    wanted = right.copy()
    block, later = own[0], own[1] if count > 1 else own[0]
    link = np.diag(next_[0]) if count > 1 else np.zeros((n, n))
    for t in range(count):
        inverse = inverses[t] = np.linalg.inv((block + block.T) / 2)
        if t == count - 1:
            break
        way = towards[t] = inverse @ link  # of the next frame's coordinates into this frame's
        skip = after[t]
        found = inverse @ wanted[t]
        wanted[t + 1] -= link.T @ found
        block = later - link.T @ way
        if t < count - 2:
            wanted[t + 2] -= skip * found
            later = own[t + 2] - skip[:, None] * inverse * skip
            link = -way.T * skip
            link[np.arange(n), np.arange(n)] += next_[t + 1]
    x = np.zeros((count + 2, n))
    for t in range(count - 1, -1, -1):
        x[t] = inverses[t] @ (wanted[t] - after[t] * x[t + 2])
        if t < count - 1:
            x[t] -= towards[t] @ x[t + 1]
    return scale * x[:count]
