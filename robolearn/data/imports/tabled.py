"""A table or a set of arrays as a recording: its rows get times, from a column, a rate, or the file itself."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from robolearn.data.imports.mapping import UNITS, ImportMap
from robolearn.data.imports.series import FloatArray, RecordingError, Series


class Rows(Protocol):
    """The interface that tables and arrays share."""

    path: Path
    notes: list[str]

    @property
    def rows(self) -> int: ...

    def read(self, wanted: dict[str, str]) -> dict[str, tuple[FloatArray, tuple[str, ...]]]: ...

    def contents(self) -> list[str]: ...


class Tabled:
    """A recording with one row for each moment.

    Attributes:
        path: the file.
        rows: its content.
    """

    def __init__(self, path: Path, rows: Rows, mapping: ImportMap) -> None:
        """Wrap an open file."""
        self.path, self.rows, self._map = path, rows, mapping

    @property
    def notes(self) -> list[str]:
        """Notes for the user."""
        return self.rows.notes

    def contents(self) -> list[str]:
        """What is in it, for display."""
        return self.rows.contents()

    def read(self, wanted: dict[str, str]) -> dict[str, Series]:
        """The series at several `at`, by quantity."""
        found = self.rows.read(wanted)
        time_s = self._times()
        return {name: Series(time_s, values, names).sorted() for name, (values, names) in found.items()}

    def _times(self) -> FloatArray:
        if self._map.time is not None:
            values = self.rows.read({"time": self._map.time.at})["time"][0]
            if values.shape[1] != 1:
                raise RecordingError(f"{self.path}: time must be one column, not {values.shape[1]}")
            time_s = values[:, 0] * UNITS[self._map.time.unit]
            if np.isnan(time_s).any() or (np.diff(time_s) < 0).any():
                row = int(np.flatnonzero(np.isnan(time_s) | np.append(False, np.diff(time_s) < 0))[0])
                raise RecordingError(f"{self.path}: the time in row {row} is missing or earlier than the row above; sort or fix it")
            if len(time_s) > 2 and float(np.median(np.diff(time_s))) > 1.0:
                raise RecordingError(
                    f"{self.path}: the rows are {float(np.median(np.diff(time_s))):g} s apart; set the unit of the time: s, ms, us or ns"
                )
            return time_s
        rate = self._map.rate or getattr(self.rows, "rate", None)
        if not rate:
            raise RecordingError(
                f"{self.path} does not say when its rows were measured: give `time: {{at: COLUMN}}` or `rate: HZ` in the map"
            )
        return np.arange(self.rows.rows) / rate
