"""Terms in YAML: a function by its name, its parameters, and the table's own values, side by side.

    rewards:
      torque: {weight: -1.0e-4}                                         # changes a value of an existing term
      spin: {func: "my_package.rewards:spin", weight: 0.5, sigma: 0.2}  # adds a term
      pose: null                                                        # removes a term

A new function for an existing term keeps the values of the parameters that both functions have.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from envs.sensing.camera import CameraTerm
from envs.terms.term import CommandTerm, ObservationEntry, RewardTerm, SensedTerm, Term, TermError, parameters, reference, resolve
from policies.contract.observation import TERMS
from policies.schema import MISSING
from policies.yaml_tree import Node
from robolearn.errors import ConfigError, nearest, suggestion

FUNC, CAMERA = "func", "camera"
Build = Callable[[Any, Node, str, Any], Any]
"""`policies.schema.Builder.value`."""


def is_term(hint: Any) -> bool:
    """Whether a type is that of a term with a function of its own."""
    return isinstance(hint, type) and issubclass(hint, Term)


def is_entry(hint: Any) -> bool:
    """Whether a type is that of an entry of a task's tables."""
    return is_term(hint) or hint in (SensedTerm, CameraTerm, ObservationEntry)


def kind_of_observation(node: Node, default: Any) -> type[SensedTerm] | type[CameraTerm]:
    """Whether an entry of the table of observations is a camera: it names one, or is laid over one."""
    names = isinstance(node.value, dict) and CAMERA in node.value
    return CameraTerm if names or isinstance(default, CameraTerm) else SensedTerm


def may_be_new(kind: Any, name: str, node: Node) -> bool:
    """Whether a new entry of a table is complete."""
    named = isinstance(node.value, dict) and (FUNC in node.value or (kind == ObservationEntry and CAMERA in node.value))
    return (is_entry(kind) and named) or (kind == ObservationEntry and name in TERMS and node.value is not None)


def hint(kind: Any) -> str:
    """What to write for a new entry of a table."""
    if kind == ObservationEntry:
        return f"; new ones: {', '.join(TERMS)}, or one that says func: package.module:function, or camera: NAME"
    return "; a new entry says func: package.module:function" if is_term(kind) else ""


def build(kind: type[Term], node: Node, key: str, default: Any, build_value: Build) -> Term:
    """Make a term.

    Args:
        kind: its class.
        node: what was written.
        key: dotted name, for messages.
        default: the term that it is merged over, if there is one.
        build_value: makes a value of a type from a node.

    Raises:
        ConfigError: names the place and the key, and what is valid.
    """
    if not isinstance(node.value, dict):
        weight = f"; did you mean {key + '.weight'!r}?" if kind is RewardTerm and isinstance(node.value, int | float) else ""
        raise ConfigError(f"{node.source}: {key} must be a table (key: value), not {written(node)}{weight}")
    over = default if isinstance(default, Term) else None
    func = _function(node, key, over)
    try:
        wanted = parameters(func)
    except TermError as error:
        raise ConfigError(f"{node.source}: {key}: {error}") from error
    own = {item.name: item for item in kind.own_fields()}
    hints = {name: value for name, value in typing.get_type_hints(kind).items() if name in own}
    hints |= {name: parameter.hint for name, parameter in wanted.items()}
    kept = {} if over is None else {name: value for name, value in over.values().items() if name in hints}
    if over is not None and over.func is not func:
        kept = {name: value for name, value in kept.items() if name in own}
    for name, child in node.value.items():
        if name == FUNC:
            continue
        if name not in hints:
            close = nearest(name, list(hints))
            near = "" if close is None else f"; did you mean {key + '.' + close!r}?"
            valid = ", ".join((*hints, FUNC))
            raise ConfigError(f"{child.source}: unknown key {key + '.' + name!r}{near}; valid: {valid} ({reference(func)})")
        kept[name] = _value(hints[name], child, f"{key}.{name}", kept.get(name, MISSING), build_value)
        if issubclass(kind, CommandTerm) and hints[name] == tuple[float, float] and kept[name][0] > kept[name][1]:
            low, high = kept[name]
            raise ConfigError(f"{child.source}: {key}.{name} is a range, [low, high], and {low:g} is above {high:g}")
    missing = [name for name, p in wanted.items() if name not in kept and p.default is inspect.Parameter.empty]
    if missing:
        raise ConfigError(f"{node.source}: {', '.join(f'{key}.{name}' for name in missing)} is missing; {reference(func)} needs it")
    try:
        return kind(func, **kept)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{node.source}: {key}: {error}") from error


def check_sensed(name: str, term: SensedTerm, node: Node, key: str) -> None:
    """Refuse an observation that cannot be computed.

    Raises:
        ConfigError: the contract has no term of that name and the entry no function, or the contract's term of that name has another
            function.
    """
    place = f"{node.source}: {key}"
    if not term.func and name not in TERMS:
        own = f"to add your own, write {key}.{FUNC}: package.module:function, or register it with register_observation"
        near = suggestion(name, TERMS)
        raise ConfigError(f"{place}: there is no observation {name!r}{near}; valid: {', '.join(TERMS)}; {own}")
    if not term.func:
        return
    try:
        func = resolve(term.func)
    except TermError as error:
        raise ConfigError(f"{place}.{FUNC}: {error}") from error
    if TERMS.get(name, func) is not func:
        raise ConfigError(f"{place}.{FUNC}: an observation {name!r} with another function exists already; give yours another name")


def _function(node: Node, key: str, over: Term | None) -> Callable[..., Any]:
    """The function of a term: the one that is named, or that of the term that it is merged over."""
    named: Node | None = node.value.get(FUNC)
    if named is None:
        if over is None:
            raise ConfigError(f"{node.source}: {key} needs func: package.module:function")
        return over.func
    if not isinstance(named.value, str):
        raise ConfigError(f"{named.source}: {key}.{FUNC} must be text, package.module:function, not {written(named)}")
    if over is not None and named.value == reference(over.func):
        return over.func
    try:
        return resolve(named.value)
    except TermError as error:
        raise ConfigError(f"{named.source}: {key}.{FUNC}: {error}") from error


def _value(kind: Any, node: Node, key: str, default: Any, build_value: Build) -> Any:
    """A parameter's value; a parameter without a type annotation is taken as written."""
    return plain(node) if kind is Any else build_value(kind, node, key, default)


def written(node: Node) -> str:
    """A value as quoted in messages."""
    return "null" if node.value is None else repr(node.value)


def plain(node: Node) -> Any:
    """A node as Python values; lists become tuples."""
    if isinstance(node.value, dict):
        return {name: plain(child) for name, child in node.value.items()}
    return tuple(plain(item) for item in node.value) if isinstance(node.value, list) else node.value
