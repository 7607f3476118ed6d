"""Least squares over a whole clip, in which a frame meets its two neighbours on each side alone: one pass forward and one back.

Frames are taken in pairs, so that the normal equations are block tridiagonal; they are solved by block elimination, whose cost grows with
the length of the clip and not with its square.
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
    pairs = (count + 1) // 2
    blocks = np.zeros((pairs, 2 * n, 2 * n))
    links = np.zeros((max(pairs - 1, 0), 2 * n, 2 * n))  # of a pair (rows) with the next (columns)
    wanted = np.zeros((pairs, 2 * n))
    index = np.arange(n)
    odd = count // 2  # second frames of pairs
    blocks[:, :n, :n] = own[0::2]
    blocks[:odd, n:, n:] = own[1::2]
    blocks[:odd, index, n + index] = blocks[:odd, n + index, index] = next_[0::2]
    links[:, n + index, index] = next_[1::2]
    links[:, index, index] = after[0::2]
    links[: len(after[1::2]), n + index, n + index] = after[1::2]
    wanted[:, :n], wanted[:odd, n:] = right[0::2], right[1::2]
    if count % 2:
        blocks[-1, n:, n:] = np.eye(n)
    ways = []
    for k in range(pairs):
        if k:
            way = ways[-1]
            blocks[k] -= links[k - 1].T @ way[:, :-1]
            wanted[k] -= links[k - 1].T @ way[:, -1]
        rest = links[k] if k < pairs - 1 else np.zeros((2 * n, 0))
        ways.append(np.linalg.solve(blocks[k], np.concatenate([rest, wanted[k][:, None]], axis=1)))
    found = np.empty((pairs, 2 * n))
    found[-1] = ways[-1][:, -1]
    for k in range(pairs - 2, -1, -1):
        found[k] = ways[k][:, -1] - ways[k][:, :-1] @ found[k + 1]
    return found.reshape(-1, n)[:count]
