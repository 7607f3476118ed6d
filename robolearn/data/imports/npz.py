"""Reads arrays of numpy: `at` of a field is an array's name, with a slice of its last axis if it holds more: `qpos[7:]`.

Only arrays of numbers are read, since pickled objects could run any code.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np

from policies.files import reason
from robolearn.data.imports.series import FloatArray, RecordingError
from robolearn.errors import suggestion

RATES = ("fps", "frequency", "frame_rate", "framerate", "mocap_framerate", "mocap_frame_rate", "hz")
_AT = re.compile(r"([^\[\]]+)(?:\[\s*(?::\s*,)?\s*(-?\d*)\s*(:)?\s*(-?\d*)\s*\])?")


class Arrays:
    """An npz file.

    Attributes:
        path: the file.
        arrays: the arrays of numbers, by name.
        notes: notes for the user.
    """

    def __init__(self, path: Path) -> None:
        """Read.

        Raises:
            RecordingError: not an npz file.
        """
        self.path, self.notes = path, list[str]()
        self.arrays: dict[str, FloatArray] = {}
        self.words: dict[str, tuple[str, ...]] = {}
        try:
            with np.load(path, allow_pickle=False) as file:
                if isinstance(file, np.ndarray):
                    raise RecordingError(f"{path} holds one array without a name; save with np.savez(path, joint_position=...)")
                for name in file.files:
                    self._take(name, file)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            if isinstance(error, RecordingError):
                raise
            raise RecordingError(f"{path} is not an npz file: {reason(error)}") from error

    def _take(self, name: str, file: np.lib.npyio.NpzFile) -> None:
        try:
            array = file[name]
        except ValueError:
            self.notes.append(f"{self.path}: {name} holds Python objects, which are not read since they could run any code")
            return
        if array.dtype.kind in "fiub":
            self.arrays[name] = array.astype(np.float64)
        elif array.dtype.kind == "U":
            self.words[name] = tuple(map(str, array.ravel()))

    @property
    def rows(self) -> int:
        """T: the length that most arrays have."""
        lengths = [len(array) for array in self.arrays.values() if array.ndim and len(array) > 1]
        if not lengths:
            raise RecordingError(f"{self.path} holds no array with a row for each moment; it has: {', '.join(self.arrays) or 'none'}")
        return max(set(lengths), key=lengths.count)

    @property
    def rate(self) -> float | None:
        """Rows per second, if the file states it."""
        found = (self.arrays[name] for name in RATES if name in self.arrays and self.arrays[name].size == 1)
        return next((float(value.ravel()[0]) for value in found), None)

    def read(self, wanted: dict[str, str]) -> dict[str, tuple[FloatArray, tuple[str, ...]]]:
        """Values (T, D) and the names of their entries (none), at several `at`, by quantity.

        Raises:
            RecordingError: no such array, or it has another length.
        """
        return {name: (np.concatenate([self._one(name, word) for word in at.split()], axis=1), ()) for name, at in wanted.items()}

    def _one(self, name: str, word: str) -> FloatArray:
        match = _AT.fullmatch(word)
        if match is None:
            raise RecordingError(f"{name}: {word!r} is not an array; write qpos, or qpos[7:] for some of its columns")
        key, begin, colon, end = match.groups()
        if key not in self.arrays:
            raise RecordingError(f"{self.path} has no array {key!r}{suggestion(key, self.arrays)}; it has: {', '.join(self.arrays)}")
        array = self.arrays[key]
        if not array.ndim or len(array) != self.rows:
            raise RecordingError(f"{self.path}: {key} has the shape {array.shape}, where the others have {self.rows} rows")
        array = array.reshape(len(array), -1)
        if colon or begin:
            first = int(begin) if begin else 0
            array = array[:, first : int(end) if end else None] if colon else array[:, [first]]
        if not array.shape[1]:
            raise RecordingError(f"{self.path}: {word} has no columns")
        return array

    def contents(self) -> list[str]:
        """What is in it, for display."""
        return [f"{name}: {'x'.join(map(str, array.shape)) or 'one number'}" for name, array in self.arrays.items()]
