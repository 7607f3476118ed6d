"""Checks changes of a task's config from Python when they are given, so that a wrong reward does not fail only in the first step."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any

from envs.env_cfg import EnvCfg
from envs.terms.term import Term, fits, said


def check_changes(changes: Mapping[str, Any]) -> None:
    """Check replacements for fields of `EnvCfg`.

    Raises:
        ValueError: no such field, or its value has another type; says what is valid and what to write.
    """
    hints = typing.get_type_hints(EnvCfg)
    valid = [field.name for field in dataclasses.fields(EnvCfg)]
    for name, value in changes.items():
        if name not in valid:
            near = difflib.get_close_matches(name, valid, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"a task's config has no field {name!r}{hint}; valid: {', '.join(valid)}")
        args = typing.get_args(hints[name])
        if typing.get_origin(hints[name]) is Mapping:
            _check_table(name, value, args[1])
        elif not fits(value, hints[name]):
            raise ValueError(f"{name} must be {said(hints[name])}, not {value!r}")


def _check_table(name: str, value: Any, kind: Any) -> None:
    """Raises `ValueError` if a value is not a table of terms of the right kind."""
    example = f"{name}={{**cfg.{name}, 'NAME': cfg.{name}['NAME'].changed(...)}}, where cfg is get_task(TASK).make(get_robot(ROBOT))"
    kinds: tuple[type, ...] = typing.get_args(kind) or (kind,)
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a table of {' or '.join(one.__name__ for one in kinds)} by name, not {value!r}; write {example}")
    for entry, term in value.items():
        if not isinstance(term, kind):
            made = " or ".join(f"{one.__name__}({'FUNCTION, ' if issubclass(one, Term) else ''}...)" for one in kinds)
            raise ValueError(f"{name}[{entry!r}] must be a {made}, not {term!r}; to change one of the task's own, write {example}")
