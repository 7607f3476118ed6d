"""Episodes whose every number follows from their index, so that a reader's rows can be told right from wrong."""

from __future__ import annotations

import dataclasses

import numpy as np

from robolearn.data.columns import ACTION, COMMAND, ROOT, STATE, robot_columns
from robolearn.data.source import Episode, Source

JOINTS = ("hip", "thigh", "calf")
COLUMNS = robot_columns(JOINTS, ("left", "right"), ("forward", "turn"))
SOURCE = Source(
    kind="policy", robot="hopper", joint_names=JOINTS, fps=50.0, control_mode="position", licence="Apache-2.0", seed=3, engine="mujoco"
)


def rows(index: int, steps: int, width: int, salt: int) -> np.ndarray:
    """Numbers (steps, width) that are those of this episode and column alone."""
    return np.random.default_rng((index, salt)).normal(size=(steps, width)).astype(np.float32)


def episode(index: int, steps: int | None = None, source: Source = SOURCE, action: bool = True, width: int = 3) -> Episode:
    """Episode number `index` of a robot with `width` joints; without actions where `action` is False."""
    steps = 5 + index % 7 if steps is None else steps
    columns = {STATE: rows(index, steps, 2 * width + 6, 0), ROOT: rows(index, steps, 13, 1), COMMAND: rows(index, steps, 2, 2)}
    if action:
        columns[ACTION] = rows(index, steps, width, 3)
    return Episode(columns=columns, task=f"task {index % 3}", source=source, success=(True, False, None)[index % 3])


def arm(joints: int) -> tuple[tuple, Source]:
    """The columns and a source of an arm of so many joints, without feet and commands."""
    names = tuple(f"arm{index}" for index in range(joints))
    return robot_columns(names), dataclasses.replace(SOURCE, robot=f"arm{joints}", joint_names=names, licence="CC-BY-4.0")


def arm_episode(index: int, joints: int) -> Episode:
    """Episode number `index` of such an arm."""
    whole = episode(index, source=arm(joints)[1], width=joints)
    return dataclasses.replace(whole, columns={name: rows for name, rows in whole.columns.items() if name != COMMAND})


def same(left: Episode, right: Episode) -> bool:
    """Whether two episodes hold the same; columns that one gives and the other fills by rule do not count."""
    names = [name for name in left.columns if name in right.columns]
    equal = all(np.array_equal(left.columns[name], right.columns[name]) for name in names)
    return equal and {STATE} <= set(names) and (left.task, left.source, left.success) == (right.task, right.source, right.success)
