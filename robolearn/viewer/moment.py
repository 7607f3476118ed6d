"""One control step of one robot, for display: pose, command and measurement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Moment:
    """One control step.

    Attributes:
        time_s: since the start [s].
        command: (C,), see `CommandSpec`.
        measured: the measured value of the commanded quantity, in the command's units, (C,).
        qpos: (nq,).
        note: the figure shown in the picture, as text; empty for none.
        reached: whether the task's score counts this step as a success; None if the score only applies to whole episodes.
        fell: whether the episode ended in this step and a new one began.
    """

    time_s: float
    command: tuple[float, ...]
    measured: tuple[float, ...]
    qpos: np.ndarray
    note: str = ""
    reached: bool | None = None
    fell: bool = False
