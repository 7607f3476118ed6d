"""What a condition is in the words of people: speeds, directions and kinds in place of columns, for tables, plots and models of failure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robolearn.mining.space import Axis, Space

WAYS = ("ahead", "to the left", "backward", "to the right")
"""Where a blow goes, seen from the robot, by quarters that begin 45 degrees to the right of ahead."""
SIDES = ("ahead", "the left", "behind", "the right")
"""Where a thrown object comes from."""
BLOWS = {"push": "speed", "force": "size", "throw": "speed"}


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One property of E conditions.

    Attributes:
        label, unit: for people.
        values: numbers (E,), or the index of a kind.
        kinds: names of the kinds; empty for a number.
        beyond: the largest and the smallest value of training; None where there is no such thing.
    """

    label: str
    values: np.ndarray
    unit: str = ""
    kinds: tuple[str, ...] = ()
    beyond: tuple[float, float] | None = None


def features_of(space: Space, conditions: np.ndarray) -> list[Feature]:
    """The properties of conditions (E, C)."""
    column = {axis.name: conditions[:, i].astype(float) for i, axis in enumerate(space.axes)}
    found = _asked(space, column)
    for axis in space.axes:
        if axis.name.startswith(("command.", "then.")) or axis.name.endswith(".at_s") or axis.name == "change_s":
            continue
        found.append(_feature(axis, column[axis.name]))
    return found


def _asked(space: Space, column: dict[str, np.ndarray]) -> list[Feature]:
    """What is asked: of velocities the greatest of both commands, of other tasks each entry."""
    if not space.labels:
        return []
    asked, then = (np.stack([column[f"{when}.{label}"] for label in space.labels], axis=1) for when in ("command", "then"))
    if not space.stands:
        return [Feature(label=label.replace("_", " "), values=asked[:, i]) for i, label in enumerate(space.labels)]
    speed = [np.hypot(part[:, 0], part[:, 1]) for part in (asked, then)]
    planar = np.hypot(*(then - asked)[:, :2].T)
    found = [
        Feature(label="speed asked", unit="m/s", values=np.maximum(*speed)),
        Feature(label="most backward speed asked", unit="m/s", values=np.maximum(-asked[:, 0], -then[:, 0]).clip(min=0)),
        Feature(label="sideways speed asked", unit="m/s", values=np.maximum(np.abs(asked[:, 1]), np.abs(then[:, 1]))),
        Feature(label="change of the velocity asked", unit="m/s", values=planar),
    ]
    if asked.shape[1] > 2:
        turning = np.maximum(np.abs(asked[:, 2]), np.abs(then[:, 2]))
        found.append(Feature(label="turning asked", unit="rad/s", values=turning))
    return found


def _feature(axis: Axis, values: np.ndarray) -> Feature:
    if axis.kinds:
        names = tuple(dict.fromkeys(axis.kinds))
        index = np.array([names.index(kind) for kind in axis.kinds])
        return Feature(label=axis.label, values=index[values.astype(int)], kinds=tuple(name.replace("_", " ") for name in names))
    if axis.wraps:
        quarter = np.floor((values + math.pi / 4) / (math.pi / 2)).astype(int) % 4
        return Feature(label=axis.label, values=quarter, kinds=SIDES if axis.name.startswith("throw") else WAYS)
    if axis.name == "terrain.level":
        hardest = axis.trained[1] + 1
        return Feature(label="ground, against the hardest trained", unit="x", values=(values + 1) / hardest, beyond=(0.0, 1.0))
    return Feature(label=axis.label, unit=axis.unit, values=values, beyond=axis.trained)


def design(space: Space, conditions: np.ndarray) -> np.ndarray:
    """Conditions (E, C) as columns (E, D) for a model that adds them up: every axis about the middle of its range, in half widths, and its
    square; kinds one by one and times the level; blows by their parts ahead and to the left.
    """
    column = {axis.name: conditions[:, i].astype(float) for i, axis in enumerate(space.axes)}
    parts: list[np.ndarray] = []
    for axis in space.axes:
        if axis.wraps or axis.kinds:
            continue
        x = _about_middle(axis, column[axis.name])
        parts += [x, x * x]
    for feature in _asked(space, column):
        parts.append(feature.values / max(1e-9, float(np.abs(feature.values).max())))
    for name, what in BLOWS.items():
        if f"{name}.angle" in column:
            axis = next(axis for axis in space.axes if axis.name == f"{name}.{what}")
            size, angle = column[axis.name] / max(axis.high, 1e-9), column[f"{name}.angle"]
            parts += [size * np.cos(angle), size * np.sin(angle), size**2 * np.cos(angle), (size * np.sin(angle)) ** 2]
    for axis in space.axes:
        if axis.kinds:
            feature = _feature(axis, column[axis.name])
            level = column["terrain.level"] / max(1.0, next(a.high for a in space.axes if a.name == "terrain.level"))
            for kind in range(1, len(feature.kinds)):
                parts += [(feature.values == kind).astype(float), (feature.values == kind) * level]
    return np.stack(parts, axis=1)


def _about_middle(axis: Axis, values: np.ndarray) -> np.ndarray:
    """Values in half widths of the axis about its middle."""
    low, high = (math.log(axis.low), math.log(axis.high)) if axis.log else (axis.low, axis.high)
    x = np.log(values) if axis.log else values
    return (x - (low + high) / 2) / max((high - low) / 2, 1e-9)
