"""Reads untrusted pickles: arrays, numbers and text, without running any code in them. joblib's format is read too.

joblib writes an array's bytes into the stream, after an object with its shape and dtype. A substitute for that object is used here, so that
joblib is not needed and none of its code runs.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from policies.files import reason
from robolearn.errors import UserError

ADMITTED = {"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"}
"""The parts of numpy that a pickle of arrays needs."""
MOST_BYTES = 2**31
FAULTS = (OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, ImportError, ArithmeticError, pickle.UnpicklingError)


class _Wrapper:
    """A substitute for joblib's description of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype
    order: str
    numpy_array_alignment_bytes: int

    def array(self, file: io.BufferedIOBase) -> np.ndarray:
        """The array, whose bytes come next in the file."""
        dtype, count = np.dtype(self.dtype), int(np.prod(self.shape, dtype=np.int64))
        if dtype.hasobject or not 0 <= count * dtype.itemsize < MOST_BYTES:
            raise pickle.UnpicklingError("an array of objects, or a too large one")
        if getattr(self, "numpy_array_alignment_bytes", None):
            padding = file.read(1)
            file.read(padding[0] if padding else 0)
        data = file.read(count * dtype.itemsize)
        if len(data) != count * dtype.itemsize:
            raise EOFError("it ends within an array")
        return np.frombuffer(data, dtype).reshape(self.shape, order="F" if self.order == "F" else "C").copy()


class _Numbers(pickle._Unpickler):  # type: ignore[name-defined]  # the one in Python, since arrays lie between its opcodes
    """Allows numpy's arrays and joblib's, and nothing else."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file)
        self._stream = file

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" and name in ADMITTED:
            return super().find_class(module, name)
        if module == "joblib.numpy_pickle" and name == "NumpyArrayWrapper":
            return _Wrapper
        raise pickle.UnpicklingError(f"it needs {module}.{name}, and only arrays are allowed")

    def load_build(self) -> None:
        super().load_build()  # type: ignore[misc]
        if isinstance(self.stack[-1], _Wrapper):  # type: ignore[attr-defined]
            self.stack.append(self.stack.pop().array(self._stream))  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build


def load_arrays(path: Path) -> Any:
    """The content of a pickle.

    Raises:
        UserError: it cannot be read, or holds anything but arrays, numbers and text.
    """
    try:
        return _Numbers(io.BytesIO(path.read_bytes())).load()
    except FAULTS as error:
        raise UserError(f"{path} is not a readable recording: {reason(error)}") from error
