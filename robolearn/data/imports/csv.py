"""Reads tables of numbers as text, one row per moment, with or without a line of names.

`at` of a field is column names separated by spaces, such as `px py pz`; a pattern whose star stands for the entry's name, such as `q_*`;
or, for tables without names, column numbers counted from 0, such as `0:3` or `7`.
"""

from __future__ import annotations

import csv
import re
from fnmatch import fnmatchcase, translate
from pathlib import Path

import numpy as np

from policies.files import reason
from robolearn.data.imports.series import FloatArray, RecordingError
from robolearn.errors import suggestion

TIMES = ("time", "t", "time_s", "timestamp", "stamp", "sec", "seconds", "time_ns", "timestamp_ns", "time_us", "time_ms")
_RANGE = re.compile(r"(\d+)(?::(\d+))?")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")
EMPTY = ("", "na", "n/a", "#n/a", "nan", "null", "none", "-")
"""Cells with a missing value."""
_TRUTH = {"true": 1.0, "false": 0.0}


class Table:
    """A CSV file.

    Attributes:
        path: the file.
        names: names of the columns; empty if the file does not name them.
        values: (T, K); empty cells are NaN. In a column of words, each word is replaced by a number, which only serves to separate
            episodes.
        notes: notes for the user.
    """

    def __init__(self, path: Path) -> None:
        """Read.

        Raises:
            RecordingError: not a table, or its rows have different lengths.
        """
        self.path, self.notes = path, list[str]()
        rows, lines = _rows(path)
        named = any(not _is_number(cell) for cell in rows[0]) and all(
            cell.strip() for cell in rows[0][1:]
        )  # pandas does not name its index
        self.names = tuple(cell.strip().lstrip("#").strip() for cell in rows[0]) if named else ()
        body, lines = (rows[1:], lines[1:]) if named else (rows, lines)
        if len(body) < 2:
            raise RecordingError(f"{path} has {len(body)} rows of values; an episode needs more")
        width = len(self.names) or len(body[0])
        for row, line in zip(body, lines, strict=True):
            if len(row) != width:
                raise RecordingError(f"{path}:{line}: {len(row)} values, but the rows before have {width}")
        self.values = np.stack([_column([row[i] for row in body]) for i in range(width)], axis=1)
        self._words = {
            i: f"{path}:{lines[place]}: {body[place][i].strip()!r}"
            for i in range(width)
            if (place := _first_word([row[i] for row in body])) is not None
        }

    @property
    def rows(self) -> int:
        """T."""
        return len(self.values)

    def entries(self, at: str) -> tuple[list[int], tuple[str, ...]]:
        """The columns of an `at`, and the names of their entries.

        Raises:
            RecordingError: there are none.
        """
        columns, names = list[int](), list[str]()
        for word in at.split():
            match = _RANGE.fullmatch(word)
            if match and word not in self.names:
                begin = int(match[1])
                end = int(match[2]) if match[2] else begin + 1
                if not begin < end <= self.values.shape[1]:
                    raise RecordingError(f"{self.path} has the columns 0 to {self.values.shape[1] - 1}; `at: {at}` names others")
                columns += range(begin, end)
                names += self.names[begin:end]
            elif "*" in word:
                found = [i for i, name in enumerate(self.names) if fnmatchcase(name, word)]
                if not found:
                    raise RecordingError(f"no column of {self.path} matches {word!r}; it has: {', '.join(self.names)}")
                columns += found
                star = re.compile(translate(word).replace(".*", "(.*)"))
                names += [match[1] if (match := star.match(self.names[i])) else self.names[i] for i in found]
            elif word in self.names:
                columns.append(self.names.index(word))
                names.append(word)
            else:
                have = ", ".join(self.names) or f"{self.values.shape[1]} columns without names; give their numbers, e.g. 0:3"
                raise RecordingError(f"{self.path} has no column {word!r}{suggestion(word, self.names)}; it has: {have}")
        return columns, tuple(names) if len(names) == len(columns) else ()

    def read(self, wanted: dict[str, str]) -> dict[str, tuple[FloatArray, tuple[str, ...]]]:
        """Values (T, D) and the names of their entries, at several `at`, by quantity.

        Raises:
            RecordingError: no such column, or it holds words, which are only allowed to mark episodes.
        """
        found = {name: self.entries(at) for name, at in wanted.items()}
        for name, (columns, _) in found.items():
            words = [self._words[column] for column in columns if column in self._words]
            if words and name != "episode":
                raise RecordingError(f"{words[0]} is not a number, in a column of {name}; leave a cell empty if its value is missing")
        return {name: (self.values[:, columns], names) for name, (columns, names) in found.items()}

    def contents(self) -> list[str]:
        """What is in it, for display."""
        count = f"{self.rows} rows of {self.values.shape[1]} columns"
        return [f"{count}: {', '.join(self.names)}" if self.names else f"{count} without names"]


def _rows(path: Path) -> tuple[list[list[str]], list[int]]:
    """The cells of all lines that are not empty, with the line numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path} cannot be read as a table: {reason(error)}") from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise RecordingError(f"{path} is empty")
    delimiter = next((mark for mark in ("\t", ";", ",") if mark in first), " ")
    reader = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    rows, lines = list[list[str]](), list[int]()
    for row in reader:
        cells = [cell for cell in row if cell.strip()] if delimiter == " " else row
        if delimiter != ",":
            cells = [cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in cells]
        if cells and not (len(cells) == 1 and not cells[0].strip()):
            rows.append(cells)
            lines.append(reader.line_num)
    return rows, lines


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in EMPTY
    return True


def _first_word(cells: list[str]) -> int | None:
    """The place of the first cell that is neither a number, nor empty, nor true or false; None if there is none."""
    return next((i for i, cell in enumerate(cells) if not _is_number(cell) and cell.strip().lower() not in _TRUTH), None)


def _column(cells: list[str]) -> FloatArray:
    if _first_word(cells) is not None:
        words = {word: float(number) for number, word in enumerate(dict.fromkeys(cell.strip() for cell in cells))}
        return np.array([words[cell.strip()] for cell in cells])
    plain = (cell.strip().lower() for cell in cells)
    return np.array([_TRUTH[cell] if cell in _TRUTH else np.nan if cell in EMPTY else float(cell) for cell in plain])
