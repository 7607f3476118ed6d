"""`at` of a bag's field: a topic and fields of its messages, such as `/low motor_state[0:12].q` or `/cmd_vel linear.x linear.y angular.z`.

A field that is an array or a message of numbers (a vector, a quaternion) gives all its entries, in the message's order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from robolearn.data.imports.series import RecordingError
from robolearn.errors import suggestion

_STEP = re.compile(r"([A-Za-z_]\w*)((?:\[[-\d:*]*\])*)")
NAMES = ("name", "joint_names")
VECTORS = (("x", "y", "z", "w"), ("x", "y", "z"), ("linear", "angular"))
"""Messages that consist of numbers, with their fields."""


class Address:
    """The fields of one `at`.

    Attributes:
        topic: where the messages are.
        fields: as written.
    """

    def __init__(self, at: str) -> None:
        """Parse.

        Raises:
            RecordingError: it names no topic or no field.
        """
        self.topic, *self.fields = at.split()
        if not self.fields:
            raise RecordingError(f"`at: {at}` must be a topic and a field of its messages, as in: at: /joint_states position")
        self._walks = [_walk(at, field) for field in self.fields]

    def values(self, message: Any) -> list[float]:
        """The numbers of one message.

        Raises:
            RecordingError: no such field, or it is not a number.
        """
        found: list[float] = []
        for walk in self._walks:
            found += walk(message)
        return found

    def names(self, message: Any, count: int) -> tuple[str, ...]:
        """The message's names of `count` values; empty if it has none."""
        for field in NAMES:
            names = _get(message, field)
            if isinstance(names, Sequence) and not isinstance(names, str) and len(names) == count:
                return tuple(map(str, names))
        layout = _get(message, "layout")
        dims = _get(layout, "dim") if layout is not None else None
        label = str(_get(dims[0], "label")) if dims is not None and len(dims) else ""
        return tuple(label.split(",")) if label.count(",") + 1 == count else ()


def is_quaternion(message: Any) -> bool:
    """Whether a value is a quaternion message, whose order is known: x, y, z, w."""
    return all(_get(message, name) is not None for name in "xyzw")


def fields_of(message: Any, deep: int = 3, before: str = "") -> list[str]:
    """The dotted names of a message's numeric fields, for display."""
    found: list[str] = []
    for name in _field_names(message):
        if name.isupper():  # skip constants of the type
            continue
        value, dotted = _get(message, name), f"{before}{name}"
        if isinstance(value, np.ndarray) or (isinstance(value, list) and value and isinstance(value[0], int | float)):
            found.append(f"{dotted} ({len(value)})")
        elif isinstance(value, int | float | np.number):
            found.append(dotted)
        elif isinstance(value, list) and value and deep and not isinstance(value[0], str):
            found += fields_of(value[0], deep - 1, f"{dotted}[0:{len(value)}].")
        elif deep and _field_names(value):
            found += fields_of(value, deep - 1, f"{dotted}.")
    return found


def _walk(at: str, field: str) -> Callable[[Any], list[float]]:
    steps: list[tuple[str, Any]] = []
    for part in field.split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            raise RecordingError(
                f"`at: {at}`: {field!r} is not a field; write fields such as position, twist.linear.x or motor_state[0:12].q"
            )
        steps.append(("get", match[1]))
        steps += [("index", _index(at, text)) for text in re.findall(r"\[([^\]]*)\]", match[2])]
    return lambda message: _follow(message, steps, at)


def _index(at: str, text: str) -> slice | int:
    if text in ("*", "", ":"):
        return slice(None)
    try:
        numbers = [int(part) if part else None for part in text.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and numbers[0] is not None:
        return numbers[0]
    if len(numbers) == 2:
        return slice(*numbers)
    raise RecordingError(f"`at: {at}`: [{text}] is not an index; write [3], [0:12] or [*]")


def _follow(value: Any, steps: list[tuple[str, Any]], at: str) -> list[float]:
    for number, (kind, what) in enumerate(steps):
        if kind == "get":
            inside = _get(value, what)
            if inside is None:
                have = _field_names(value)
                raise RecordingError(f"`at: {at}`: the message has no field {what!r}{suggestion(what, have)}; it has: {', '.join(have)}")
            value = inside
        elif isinstance(what, slice):
            return [number_ for item in value[what] for number_ in _follow(item, steps[number + 1 :], at)]
        else:
            if not -len(value) <= what < len(value):
                raise RecordingError(f"`at: {at}`: [{what}] lies outside its {len(value)} entries")
            value = value[what]
    return _numbers(value, at)


def _numbers(value: Any, at: str) -> list[float]:
    """A number, an array, or a message of numbers as a list."""
    if isinstance(value, np.ndarray):
        return value.astype(float).ravel().tolist()
    if isinstance(value, list | tuple):
        return [number for item in value for number in _numbers(item, at)]
    if isinstance(value, int | float | np.number | bool):
        return [float(value)]
    for names in VECTORS:
        parts = [_get(value, name) for name in names]
        if all(part is not None for part in parts):
            return [number for part in parts for number in _numbers(part, at)]
    inside = _field_names(value)
    more = f"; name one of its fields: {', '.join(inside)}" if inside else ""
    raise RecordingError(f"`at: {at}` is a {type(value).__name__.rpartition('__')[2]}, not a number{more}")


def _get(value: Any, name: str) -> Any:
    """A field of a message, or a key of a JSON object; None if there is none."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def _field_names(value: Any) -> list[str]:
    if isinstance(value, dict):
        return list(value)
    return [name for name in getattr(value, "__dataclass_fields__", {}) if not name.startswith("__")]
