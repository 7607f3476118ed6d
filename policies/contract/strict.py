"""From plain JSON values to frozen dataclasses, strictly: an unknown, missing or ill-typed key is an error that names it.

This module only needs the standard library.
"""

from __future__ import annotations

import dataclasses
import types
import typing

from policies.contract.parts import SpecError


def build(cls: typing.Any, raw: typing.Any, where: str) -> typing.Any:
    """Make a frozen dataclass from plain JSON values, strictly.

    Raises:
        SpecError: names the key that is unknown, missing or of the wrong type.
    """
    if isinstance(cls, type) and dataclasses.is_dataclass(cls):
        if not isinstance(raw, dict):
            raise SpecError(f"{where} must be an object, not {type(raw).__name__}")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        hints = typing.get_type_hints(cls)
        unknown = sorted(set(raw) - set(fields))
        if unknown:
            raise SpecError(f"{where} has unknown keys {unknown}; known: {sorted(fields)}")
        required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
        missing = sorted(required - set(raw))
        if missing:
            raise SpecError(f"{where} lacks {missing}")
        return cls(**{key: build(hints[key], value, f"{where}.{key}") for key, value in raw.items()})
    origin, args = typing.get_origin(cls), typing.get_args(cls)
    if origin is types.UnionType:
        if raw is None and type(None) in args:
            return None
        return build(next(arg for arg in args if arg is not type(None)), raw, where)
    if origin is tuple:
        if not isinstance(raw, list | tuple):
            raise SpecError(f"{where} must be a list, not {type(raw).__name__}")
        return tuple(build(args[0], item, f"{where}[{index}]") for index, item in enumerate(raw))
    if cls is float and isinstance(raw, int | float) and not isinstance(raw, bool):
        return float(raw)
    if (cls is int and isinstance(raw, bool)) or not isinstance(raw, cls):
        raise SpecError(f"{where} must be {cls.__name__}, not {raw!r}")
    return raw
