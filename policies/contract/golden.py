"""Recorded arrays inside a policy file's metadata: the golden run and the memory at the start of an episode.

ONNX metadata are text. Arrays are therefore stored as numpy's compressed archive (`.npz`) in base64: exact to the bit, a fifth of the size
of JSON, and readable without this package: `numpy.load(io.BytesIO(base64.b64decode(text)))`.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
FloatArray = np.ndarray[Any, np.dtype[np.float32]]

SENSOR, GROUP = "sensor.", "group."


def pack(arrays: Mapping[str, Array]) -> str:
    """Named arrays as text."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:  # without a time stamp, so that the same arrays give the same text
                np.lib.format.write_array(file, np.ascontiguousarray(value), allow_pickle=False)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def unpack(text: str) -> dict[str, Array]:
    """Read the result of `pack`.

    Raises:
        ValueError: it is not valid.
    """
    try:
        with np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"not a packed table of arrays: {error}") from error


@dataclass(frozen=True, slots=True)
class Golden:
    """A recorded run: T steps from a reset.

    Attributes:
        sensors: name of a `Sensors` field -> (T, n) readings, float32.
        observation: the group `state`, (T, O).
        action: the actions, (T, J).
        groups: name of another observation group -> its readings, one per `every` steps, (ceil(T / every), *shape).
    """

    sensors: dict[str, FloatArray]
    observation: FloatArray
    action: FloatArray
    groups: dict[str, Array] = field(default_factory=dict)

    def to_text(self) -> str:
        """As metadata."""
        named: dict[str, Array] = {"observation": self.observation, "action": self.action}
        named |= {SENSOR + name: value for name, value in self.sensors.items()}
        return pack(named | {GROUP + name: value for name, value in self.groups.items()})

    @staticmethod
    def from_text(text: str) -> Golden:
        """Read the result of `to_text`.

        Raises:
            ValueError, KeyError: it is not valid.
        """
        named = unpack(text)
        sensors = {name.removeprefix(SENSOR): value.astype(np.float32) for name, value in named.items() if name.startswith(SENSOR)}
        groups = {name.removeprefix(GROUP): value for name, value in named.items() if name.startswith(GROUP)}
        return Golden(sensors, named["observation"].astype(np.float32), named["action"].astype(np.float32), groups)


def memory_to_text(memory: Mapping[str, Array]) -> str:
    """The memory at the start of an episode as metadata: JSON that lists each array's name, shape, dtype and initial value.

    The initial value is a number if all entries are equal, otherwise the packed array.
    """
    entries = []
    for name, value in memory.items():
        uniform = value.size == 0 or bool((value == value.flat[0]).all())
        initial = pack({name: value}) if not uniform else float(value.flat[0]) if value.size else 0.0
        entries.append({"name": name, "shape": list(value.shape), "dtype": str(value.dtype), "initial": initial})
    return json.dumps(entries, allow_nan=False)


def memory_from_text(text: str) -> dict[str, FloatArray]:
    """Read the result of `memory_to_text`.

    Raises:
        ValueError, KeyError, TypeError: it is not valid.
    """
    memory: dict[str, FloatArray] = {}
    for entry in json.loads(text):
        name, shape, initial = entry["name"], tuple(entry["shape"]), entry["initial"]
        if entry["dtype"] != "float32":
            raise ValueError(f"memory {name} is of {entry['dtype']}, not float32")
        value = unpack(initial)[name] if isinstance(initial, str) else np.full(shape, initial, np.float32)
        if value.shape != shape:
            raise ValueError(f"memory {name} starts with shape {value.shape}, not {shape}")
        memory[name] = value.astype(np.float32)
    return memory
