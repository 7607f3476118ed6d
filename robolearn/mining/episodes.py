"""What was found out: one row an episode, its condition and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from policies.files import reason, write_text
from robolearn.errors import UserError

DIGITS = 7
"""Of a number in a file: all that float32 has."""


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """E episodes.

    Attributes:
        names: of a condition's columns, C.
        conditions: (E, C) float32.
        failed: did not do what was asked: the task's score was missed, or a figure lay beyond its limit, (E,) bool.
        fell: ended before its time, (E,) bool.
        lasted_s: how long it went on [s], (E,).
        figures: the task's means by name, (E,) each; NaN where nothing was measured.
    """

    names: tuple[str, ...]
    conditions: np.ndarray
    failed: np.ndarray
    fell: np.ndarray
    lasted_s: np.ndarray
    figures: dict[str, np.ndarray]

    def __len__(self) -> int:
        """E."""
        return len(self.failed)

    def __add__(self, other: Self) -> Self:
        """These and then others of the same columns."""
        return self.join([self, other])

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """All of several, in order."""

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(part, name) for part in parts])

        figures = {name: np.concatenate([part.figures[name] for part in parts]) for name in parts[0].figures}
        columns = {name: joined(name) for name in ("conditions", "failed", "fell", "lasted_s")}
        return cls(names=parts[0].names, figures=figures, **columns)

    def save(self, path: Path) -> None:
        """Write them as JSON, a row an episode, whole or not at all."""
        columns = {name: self.conditions[:, i] for i, name in enumerate(self.names)}
        columns |= {"failed": self.failed, "fell": self.fell, "lasted_s": self.lasted_s, **self.figures}
        rows = [json.dumps([_plain(values[i]) for values in columns.values()]) for i in range(len(self))]
        head = {"columns": list(columns), "conditions": len(self.names)}
        write_text(path, "{" + json.dumps(head)[1:-1] + ',\n"rows": [\n' + ",\n".join(rows) + "\n]}\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            UserError: it is no such file.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            names, width = list(data["columns"]), int(data["conditions"])
            rows = np.array([[np.nan if value is None else float(value) for value in row] for row in data["rows"]]).reshape(-1, len(names))
            column = dict(zip(names, rows.T, strict=True))
            return cls(
                names=tuple(names[:width]),
                conditions=rows[:, :width].astype(np.float32),
                failed=column.pop("failed").astype(bool),
                fell=column.pop("fell").astype(bool),
                lasted_s=column.pop("lasted_s"),
                figures={name: column[name] for name in names[width:] if name in column},
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} holds no episodes of robolearn improve: {reason(error)}; delete it, and they are run again") from error


def _plain(value: np.generic) -> float | bool | None:
    """A number as JSON has it."""
    if isinstance(value, np.bool_):
        return bool(value)
    number = float(value)
    return float(f"{number:.{DIGITS}g}") if np.isfinite(number) else None
