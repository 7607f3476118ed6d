"""Forces of the ground: a contact pushes and never pulls, and slides if its friction is exceeded.

A force inside the friction pyramid is a sum of its edges with weights that are not negative,

    f = G w,  w >= 0,  the columns of G: (+-mu, 0, 1) and (0, +-mu, 1),

so the best forces for a desired motion are a quadratic program with bounds only, which `mujoco.mju_boxQP` solves in about ten microseconds.
"""

from __future__ import annotations

import mujoco
import numpy as np

FRICTION = 0.5
"""Friction of the ground that a controller assumes."""
EDGES = np.array([[FRICTION, -FRICTION, 0.0, 0.0], [0.0, 0.0, FRICTION, -FRICTION], [1.0, 1.0, 1.0, 1.0]])
"""G of one contact on level ground, (3, 4)."""
SMALL = 1e-6  # (m/s2)^2 per N^2: keeps forces small that have no effect


def best_weights(matrix: np.ndarray, wanted: np.ndarray, most: float, small: float = SMALL) -> np.ndarray:
    """Weights w (k,) that minimize |matrix w - wanted|^2 + small |w|^2 subject to 0 <= w <= most.

    Args:
        matrix: (m, k).
        wanted: (m,).
        most: upper bound of each weight [N].
        small: weight of the weights themselves.
    """
    k = matrix.shape[1]
    hessian = matrix.T @ matrix
    hessian[np.arange(k), np.arange(k)] += small
    linear, found = -(matrix.T @ wanted), np.full((k, 1), 0.0)
    factor = np.empty((k, k + 7))
    mujoco.mju_boxQP(found, factor, None, hessian, linear[:, None], np.zeros((k, 1)), np.full((k, 1), most))
    return found[:, 0]
