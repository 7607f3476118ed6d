"""What a caller in Python changes of a task's config, checked where it is given: a wrong reward must not fail in the first step."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any

from envs.env_cfg import EnvCfg
from envs.terms.term import Term, fits, said


def check_changes(changes: Mapping[str, Any]) -> None:
    """Check fields of `EnvCfg` that are to be replaced.

    Raises:
        ValueError: there is no such field, or its value is of another type; says what is valid and what to write.
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


def _check_table(name: str, value: Any, kind: type) -> None:
    """Raises `ValueError` where a value is no table of terms of a kind."""
    example = f"{name}={{**cfg.{name}, 'NAME': cfg.{name}['NAME'].changed(...)}}, cfg being get_task(TASK).make(get_robot(ROBOT))"
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a table of {kind.__name__} by name, not {value!r}; write {example}")
    for entry, term in value.items():
        if not isinstance(term, kind):
            made = f"{kind.__name__}(FUNCTION, ...)" if issubclass(kind, Term) else f"{kind.__name__}(...)"
            raise ValueError(f"{name}[{entry!r}] must be a {made}, not {term!r}; to change some of the task's own write {example}")
