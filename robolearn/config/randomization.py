"""The table of randomization in YAML: ranges of quantities, terms with a function, and the table's two settings of its own, side by side.

    randomization:
      friction: {low: 0.4}                                           # changes a value of an existing range
      joint_friction: {low: 0.0, high: 0.2, operation: add}          # adds a quantity
      slope: {func: "my_package.terms:slope", when: reset, most: 0.1}  # adds a term of yours
      mass: null                                                     # removes a quantity
      noise: 0.5

When a config is written, a quantity that does not vary is `null`, so that a resolved config does not depend on the task's own table.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from envs.terms.randomization import QUANTITIES, RandomizationCfg, Range, check_entry
from envs.terms.term import EventTerm
from policies.yaml_tree import Node
from robolearn.config.terms import FUNC, Build, written
from robolearn.errors import ConfigError, nearest

_WORDS = {"disturbance_ramp": bool, "noise": float}
NEW = "; a new entry says func: package.module:function"


def build(node: Node, key: str, default: Any, build_value: Build) -> RandomizationCfg:
    """Make the table.

    Args:
        node: what was written.
        key: dotted name, for messages.
        default: the table that it is merged over, if there is one.
        build_value: makes a value of a type from a node.

    Raises:
        ConfigError: names the place and the key, and what is valid.
    """
    if not isinstance(node.value, dict):
        raise ConfigError(
            f"{node.source}: {key} must be a table (key: value), not {written(node)}; null removes one entry: {key}.mass=null"
        )
    base = default if isinstance(default, RandomizationCfg) else RandomizationCfg()
    words = {name: getattr(base, name) for name in _WORDS}
    entries: dict[str, Any] = dict(base.entries)
    valid = [*QUANTITIES, *base.terms(), *_WORDS]
    for name, child in node.value.items():
        inner, before = f"{key}.{name}", entries.get(name)
        if name in _WORDS:
            words[name] = build_value(_WORDS[name], child, inner, before)
        elif child.value is None and (child.removes or name in (*QUANTITIES, *entries)):
            entries.pop(name, None)
        elif isinstance(before, EventTerm) or (isinstance(child.value, dict) and FUNC in child.value):
            entries[name] = build_value(EventTerm, child, inner, before)
        elif name in QUANTITIES:
            entries[name] = build_value(Range, child, inner, before)
        else:
            close = nearest(name, valid)
            near = "" if close is None else f"; did you mean {key + '.' + close!r}?"
            raise ConfigError(f"{child.source}: unknown key {inner!r}{near}; valid: {', '.join(valid)}{NEW}")
        _check(child, inner, name, entries.get(name))
    if set(entries) <= set(node.value):  # a table that is given in full keeps its order
        entries = {name: entries[name] for name in node.value if name in entries}
    try:
        return RandomizationCfg(entries, **words)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{node.source}: {key}: {error}") from error


def _check(node: Node, key: str, name: str, entry: Any) -> None:
    """Raises `ConfigError` if an entry makes no sense."""
    try:
        if entry is not None:
            check_entry(name, entry)
    except ValueError as error:
        raise ConfigError(f"{node.source}: {key}: {error}") from error


def plain(table: RandomizationCfg, default: Any) -> dict[str, Any]:
    """The table as values by name, for `robolearn.config.loading.to_dict`; entries that are off are None."""
    base = default.entries if isinstance(default, RandomizationCfg) else {}
    terms = table.terms()
    ranges = {name: table.range(name) for name in QUANTITIES if name not in terms}
    off = dict.fromkeys(name for name in base if name not in table.entries)
    return {**ranges, **off, **terms, **{name: getattr(table, name) for name in _WORDS}}


def keys(table: RandomizationCfg, key: str) -> list[str]:
    """Dotted keys of every setting, for messages, including quantities that are off."""
    ranges = [f"{key}.{name}.{field.name}" for name in QUANTITIES for field in dataclasses.fields(Range)]
    terms = [f"{key}.{name}.{value}" for name, term in table.terms().items() for value in term.values()]
    return ranges + terms + [f"{key}.{name}" for name in _WORDS]
