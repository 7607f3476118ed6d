"""Figures of whether it looks like walking, from contacts and positions of the feet at control rate; docs/evaluation.md defines them."""

from __future__ import annotations

import numpy as np

from robolearn.evaluation.locomotion.record import Record, over_time

FIGURES = ("foot_slip", "air_time", "flight", "double_support", "step_frequency", "step_length", "foot_clearance")


def gait(record: Record) -> dict[str, np.ndarray]:
    """The `FIGURES` of each world (N,), over its counted steps; NaN if a world has none."""
    counted = record.counted()
    every, none = np.asarray(record.contact.all(-1)), ~np.asarray(record.contact.any(-1))
    loaded = record.contact & counted[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        slip = (record.foot_speed * loaded).sum((0, 2)) / loaded.sum((0, 2))
    figures = {"foot_slip": slip, "flight": over_time(none, counted), "double_support": over_time(every, counted)}
    worlds, feet = record.contact.shape[1:]
    rows = {name: np.full(worlds, np.nan) for name in ("air_time", "step_frequency", "step_length", "foot_clearance")}
    for world in range(worlds):
        span = slice_of(counted[:, world])
        swings = [
            (foot, swing)
            for foot in range(feet)
            for swing in find_swings(record.contact[span, world, foot], record.foot_position[span, world, foot], record.dt)
        ]
        seconds = (span.stop - span.start) * record.dt
        air, length, clearance, _ = np.array([swing for _, swing in swings]).reshape(-1, 4).T
        whole = seconds - (air.mean() if swings else 0.0)  # [s] in which a swing that ends within the span can begin
        if whole > 0:
            rows["step_frequency"][world] = 2 * len(swings) / feet / whole
        if swings:
            rows["air_time"][world], rows["foot_clearance"][world] = air.mean(), clearance.mean()
            rows["step_length"][world] = length.mean()
    return figures | rows


def find_swings(contact: np.ndarray, position: np.ndarray, dt: float) -> list[tuple[float, float, float, float]]:
    """The swings of one foot that begin and end within the series.

    Args:
        contact: whether the foot is loaded, (T,). A single sample that differs from both its neighbours is treated as a bounce.
        position: of the foot [m], (T, 3).
        dt: between samples [s].

    Returns: For each swing its time in the air [s], the step length [m], the clearance [m], and the place of touch-down [m, world x]. The
        step length is half the planar distance from lift-off to touch-down, since the other side swings once in the same cycle. The
        clearance is the greatest height over the line from lift-off to touch-down.
    """
    if len(contact) < 3:
        return []
    steady = contact.copy()
    steady[1:-1] = contact[:-2].astype(int) + contact[1:-1] + contact[2:] >= 2  # median of three
    change = np.diff(steady.astype(int))
    lifts, touches = np.flatnonzero(change == -1), np.flatnonzero(change == 1) + 1
    swings = []
    for lift in lifts:  # the last loaded sample
        later = touches[touches > lift]
        if not len(later):
            break
        touch = later[0]
        path = position[lift : touch + 1]
        line = np.linspace(path[0, 2], path[-1, 2], len(path))
        length = np.linalg.norm(path[-1, :2] - path[0, :2]) / 2
        swings.append(((touch - lift - 1) * dt, length, (path[:, 2] - line).max(), path[-1, 0]))
    return swings


def slice_of(flags: np.ndarray) -> slice:
    """Bounds of the run of true entries in (T,) flags with a single run."""
    at = np.flatnonzero(flags)
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0)
