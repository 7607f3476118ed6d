"""What one control step of one robot shows: the pose, what is asked and what is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Moment:
    """One control step.

    Attributes:
        time_s: since the start [s].
        command: (C,), see `CommandSpec`.
        measured: what the command asks for, as it is, in the command's units, (C,).
        qpos: (nq,).
        note: the figure that stands in the picture, for people; empty for none.
        reached: whether the task says of this step that its aim is reached; None where it says it of whole episodes alone.
        fell: the task ended in this step and began anew.
    """

    time_s: float
    command: tuple[float, ...]
    measured: tuple[float, ...]
    qpos: np.ndarray
    note: str = ""
    reached: bool | None = None
    fell: bool = False
