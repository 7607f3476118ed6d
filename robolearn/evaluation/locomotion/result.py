"""The result of an item of the suite: figures with 95 % intervals, tables of them, plots and clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from robolearn.evaluation.figures import Figure
from robolearn.evaluation.gait import units as gait

UNITS = {
    "survival": "%", "finished": "%", "recovered": "%", "fell_before": "%", "flight": "%", "double_support": "%", "accuracy": "%",
    "uphill_from_flat": "%", "downhill_from_flat": "%", "velocity_error_xy": "m/s", "velocity_error_yaw": "rad/s", "foot_slip": "m/s",
    "air_time": "s", "step_frequency": "Hz", "step_length": "m", "foot_clearance": "m", "recovery_time": "s", "half_impulse": "N s",
    "half_speed": "m/s", "half_payload": "kg", "impulse": "N s", "ball_speed": "m/s", "payload": "kg", "vx": "m/s", "vy": "m/s",
    "yaw_rate": "rad/s", "phase": "deg", "shoulder_amplitude": "rad", "hip_amplitude": "rad", "stride_frequency": "Hz",
    "still": "%", "crossed": "%", "all_steps_a_minute": "1/min", "drift": "m",
} | gait.UNITS  # fmt: skip
"""Unit of a figure by its name; shares are stored as 0 to 1 and shown in percent. Names not listed have no unit."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows by column name; a cell is a `Figure`, a number or text. `folded` tables are collapsed in the report."""

    title: str
    rows: Sequence[Mapping[str, Any]]
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A short video, or the reason why there is none."""

    title: str
    path: Path | None = None
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture, or the reason why there is none."""

    title: str
    path: Path | None = None
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """The result of one item of the suite.

    Attributes:
        status: `not available` if something it needs does not exist yet, `does not apply` if it has no meaning for this robot or policy.
        reason: why it was not done.
        text: description of what was done, a paragraph.
        headline: the figures of the summary, by name.
        where: where a figure of the headline has its worst value, by its name, as text.
        tables, plots, clips, pictures: content of the report, in order; plots are SVG.
    """

    status: Literal["done", "not available", "does not apply", "failed"] = "done"
    reason: str = ""
    text: str = ""
    headline: Mapping[str, Figure] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    plots: Sequence[str] = ()
    clips: Sequence[Clip] = ()
    pictures: Sequence[Picture] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without plots."""
        return {
            "status": self.status,
            "reason": self.reason,
            "figures": plain(self.headline),
            "where": {name: text for name, text in self.where.items() if text},
            "tables": [{"title": table.title, "rows": plain(table.rows)} for table in self.tables],
            "clips": [_shown(clip) for clip in self.clips],
            "pictures": [_shown(picture) for picture in self.pictures],
        }


def _shown(what: Clip | Picture) -> dict[str, Any]:
    return {"title": what.title, "file": what.path and what.path.name, "failure": what.failure}


def plain(value: Any) -> Any:
    """Nested figures, tuples and NumPy numbers as JSON values; numbers that are not finite become null."""
    if isinstance(value, Figure):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
