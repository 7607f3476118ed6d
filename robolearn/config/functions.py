"""Our functions that a table of terms can use, so that an existing reward can be found without reading the source."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from envs.terms import commands, curriculum, metrics, observations, resets, rewards, terminations, tracking
from envs.terms.term import (
    CommandTerm,
    CurriculumTerm,
    MetricTerm,
    PrivilegedTerm,
    ResetTerm,
    SuccessTerm,
    Term,
    TermError,
    TerminationTerm,
)
from robolearn.config.signs import PENALTIES, REWARDS

_MODULES: dict[str, tuple[type[Term], ModuleType]] = {
    "env.command": (CommandTerm, commands),
    "env.privileged": (PrivilegedTerm, observations),
    "env.terminations": (TerminationTerm, terminations),
    "env.reset": (ResetTerm, resets),
    "env.success": (SuccessTerm, tracking),
    "env.curriculum": (CurriculumTerm, curriculum),
    "env.metrics": (MetricTerm, metrics),
}
TABLES = ("env.rewards", *_MODULES)
"""Tables and entries with functions of ours, and where those are."""
_NEITHER = (commands.Command,)


def functions(table: str) -> list[Callable[..., Any]]:
    """Our functions for a table, in the order of their module; empty if there are none."""
    if table == "env.rewards":
        found: list[Callable[..., Any]] = [thing for thing in vars(rewards).values() if thing in _RATED]
        return found
    if table not in _MODULES:
        return []
    kind, module = _MODULES[table]
    return [thing for name, thing in vars(module).items() if _fits(kind, module, name, thing)]


_RATED = [*PENALTIES, *REWARDS]


def _fits(kind: type[Term], module: ModuleType, name: str, thing: Any) -> bool:
    """Whether an object of a module is a function for a kind of table."""
    ours = (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__module__ == module.__name__
    if not ours or name.startswith("_") or thing in _NEITHER:
        return False
    if module is tracking and not (inspect.isclass(thing) or name == "lasted"):
        return False
    try:
        kind.check_function(thing)
    except (TermError, ValueError, TypeError):
        return False
    return True
