"""Finds which feet are down: from height and speed if forces are unknown, and without flicker of single samples."""

from __future__ import annotations

import itertools

import numpy as np

FLOOR, FLOOR_S = 10.0, 0.75
"""A recording's ground under a foot is this percentile of its sole's height, over this time [s] before and after."""
LIFTED = 0.025  # m above its ground, beyond which a foot is in the air
FAST = 0.6  # m/s in the plane, beyond which it swings
SHORTEST_S = 0.13  # shortest stance or swing of a recording


def ground(height: np.ndarray, dt: float) -> np.ndarray:
    """The ground under each foot of a recording [m], (T, F): retargeted feet float, each by its own height, which drifts.

    Args:
        height: of each sole's lowest point [m], (T, F).
        dt: between samples [s].
    """
    reach = round(FLOOR_S / dt)
    padded = np.pad(height, ((reach, reach), (0, 0)), mode="reflect" if len(height) > reach else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)  # (T, F, W)
    return np.percentile(windows, FLOOR, axis=-1)


def loaded(height: np.ndarray, slip: np.ndarray, dt: float) -> np.ndarray:
    """Feet that are down, (T, F): lower than `LIFTED` over their ground and slower than `FAST`.

    Args:
        height: of each sole's lowest point above that foot's ground [m], (T, F).
        slip: planar speed of that point [m/s], (T, F).
        dt: between samples [s].
    """
    return steady((height < LIFTED) & (slip < FAST), round(SHORTEST_S / dt))


def steady(contact: np.ndarray, shortest: int = 2) -> np.ndarray:
    """Contacts (T, F) without states shorter than `shortest` samples, except at the ends of the series; the first is removed first."""
    settled = contact.copy()
    for foot in range(contact.shape[1]):
        row = settled[:, foot]
        for value in (False, True):  # gaps in a stance are closed before short stances are dropped
            edges = np.flatnonzero(np.diff(row.astype(int))) + 1
            for start, end in itertools.pairwise(edges):
                if row[start] == value and end - start < shortest:
                    row[start:end] = not value
    return settled


def touchdowns(contact: np.ndarray) -> np.ndarray:
    """First loaded samples of one foot (T,) whose swing begins within the series."""
    return np.flatnonzero(np.diff(contact.astype(int)) == 1) + 1


def liftoffs(contact: np.ndarray) -> np.ndarray:
    """First samples in the air of one foot (T,)."""
    return np.flatnonzero(np.diff(contact.astype(int)) == -1) + 1
