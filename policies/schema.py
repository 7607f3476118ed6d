"""Frozen keyword-only dataclasses as the schema of settings: a YAML tree fills them, and each error says where, what, and what is valid.

It reads presets of trainings and a robot's `deploy.yaml`, and needs neither torch nor MuJoCo.

A schema may hold int, float, bool, str, Path, `X | None`, `Literal[...]`, enums, tuples, nested dataclasses and tables
`Mapping[str, X]`. A table with a non-empty default only takes the default's keys (unless the field has `metadata={"open": True}`); one with
an empty default takes any. `null` removes an entry of a table. An infinite or undefined float is an error unless the field has
`metadata={"allow_nonfinite": True}`. A dataclass of several kinds has `metadata={"variants": f}`, where f(kind) returns the dataclass for a
value of its key `kind`; if another kind replaces a preset's, keys of the preset that it lacks are dropped. `RENAMED` in a schema gives the
new names of keys of earlier versions, and `EMPTIED` the empty tables of earlier versions to ignore.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from policies.errors import ConfigError, nearest, suggestion
from policies.registry import UnknownNameError
from policies.yaml_tree import Node

MISSING: Any = dataclasses.MISSING
NOT_SPECIAL: Any = object()
"""Result of `Builder.special` for a value that it does not handle."""
NO_METADATA: Mapping[Any, Any] = types.MappingProxyType({})


class Builder:
    """Makes an object of a schema from a tree. A subclass may handle further kinds of values.

    Attributes:
        root: the whole schema, to find the right place of a misplaced key.
    """

    def __init__(self, root: Any) -> None:
        """Make a builder for a schema."""
        self.root = root

    def special(self, hint: Any, node: Node, key: str, default: Any) -> Any:
        """A value of a kind that the subclass handles, or `NOT_SPECIAL`."""
        return NOT_SPECIAL

    def is_entry(self, kind: Any) -> bool:
        """Whether a table of this kind takes new complete entries, see `may_be_new`, and is ordered."""
        return False

    def may_be_new(self, kind: Any, name: str, node: Node) -> bool:
        """Whether a new entry of a table is complete."""
        return False

    def about_new(self, kind: Any) -> str:
        """What to write for a new entry of a table, for messages."""
        return ""

    def check(self, name: str, entry: Any, node: Node, key: str) -> None:
        """Refuse an invalid entry of a table.

        Raises:
            ConfigError: says where and why it is invalid.
        """

    def leaves(self, value: Any, key: str) -> list[str] | None:
        """Dotted keys inside a default value of a kind that the subclass handles, or of a table; None for others."""
        if isinstance(value, Mapping):
            return [leaf for name, item in value.items() for leaf in self._leaves(item, join(key, name))]
        return None

    def value(self, hint: Any, node: Node, key: str = "", default: Any = MISSING, metadata: Mapping[Any, Any] = NO_METADATA) -> Any:
        """Make one value of the type `hint` from a node, recursively.

        Args:
            hint: the type.
            node: what was written.
            key: dotted name, for messages.
            default: the value that a table is merged over, or MISSING.
            metadata: the field's metadata.

        Raises:
            ConfigError: one line that names the file and line or the override, the key, what was given and what is valid.
        """
        made = self.special(hint, node, key, default)
        if made is not NOT_SPECIAL:
            return made
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if dataclasses.is_dataclass(hint):
            if "variants" in metadata:
                hint, node = _variant(metadata["variants"], node, key, default)
            return self._dataclass(cast(type, hint), node, key, default)
        if origin in (typing.Union, types.UnionType):  # pyright: ignore[reportDeprecated] (the result of Optional[X])
            return self._union(args, node, key, default, metadata)
        if origin is typing.Literal:
            return _choice(args, node, key)
        if origin is tuple:
            return self._tuple(args, node, key, metadata)
        if origin in (dict, Mapping) and args[0] is str:
            return self._table(args[1], node, key, default, metadata)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            for member in hint:
                if member.value in (node.value, node.text) and not isinstance(node.value, bool):
                    return member
            raise wrong(node, key, f"one of {', '.join(str(m.value) for m in hint)}", [str(m.value) for m in hint])
        return scalar(hint, node, key, metadata)

    def _dataclass(self, cls: type, node: Node, key: str, default: Any) -> Any:
        if not isinstance(node.value, dict):
            raise wrong(node, key, f"a table with keys from {', '.join(fields(cls))}")
        known = fields(cls)
        hints = typing.get_type_hints(cls)
        for name, child in node.value.items():
            if name not in known and not self._said_nothing(child, join(key, name)):
                raise self.unknown(child, join(key, name), name, list(known))
        values: dict[str, Any] = {}
        for name, field in known.items():
            base = default_of(field, default if isinstance(default, cls) else MISSING)
            if name in node.value:
                values[name] = self.value(hints[name], node.value[name], join(key, name), base, field.metadata)
            elif base is not MISSING:
                values[name] = base
            else:
                raise ConfigError(f"{node.source}: {join(key, name)} is missing; it has no default")
        try:
            return cls(**values)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{node.source}: {key or cls.__name__}: {error}") from error

    def _union(self, args: tuple[Any, ...], node: Node, key: str, default: Any, metadata: Mapping[Any, Any]) -> Any:
        if node.value is None and type(None) in args:
            return None
        members = [arg for arg in args if arg is not type(None)]
        if len(members) == 1:
            return self.value(members[0], node, key, default, metadata)
        for member in members:
            try:
                return self.value(member, node, key, default, metadata)
            except ConfigError:
                continue
        raise wrong(node, key, " or ".join(_name(arg) for arg in args))

    def _tuple(self, args: tuple[Any, ...], node: Node, key: str, metadata: Mapping[Any, Any]) -> tuple[Any, ...]:
        if not isinstance(node.value, list):
            raise wrong(node, key, "a list [...]")
        items: list[Node] = node.value
        if len(args) == 2 and args[1] is Ellipsis:
            kinds = [args[0]] * len(items)
        elif len(args) == len(items):
            kinds = list(args)
        else:
            raise ConfigError(f"{node.source}: {key} must have {len(args)} entries, not {len(items)}")
        pairs = enumerate(zip(kinds, items, strict=True))
        return tuple(self.value(kind, item, f"{key}[{i}]", MISSING, metadata) for i, (kind, item) in pairs)

    def _table(self, kind: Any, node: Node, key: str, default: Any, metadata: Mapping[Any, Any]) -> dict[str, Any]:
        if type(None) in typing.get_args(kind):
            raise TypeError(f"schema error: {key} is a table with optional values, but null removes an entry")
        if not isinstance(node.value, dict):
            if hint := self._renamed(key):
                raise ConfigError(f"{node.source}: {hint}")
            raise wrong(node, key, "a table (key: value)")
        base: dict[str, Any] = {} if default is MISSING or default is None else dict(default)
        known = None if metadata.get("open") or (not base and not self.is_entry(kind)) else list(base)
        for name, child in node.value.items():
            if known is not None and name not in known and not child.removes and not self.may_be_new(kind, name, child):
                raise self.unknown(child, join(key, name), name, known, self.about_new(kind))
            if child.value is None:
                base.pop(name, None)
            else:
                base[name] = self.value(kind, child, join(key, name), base.get(name, MISSING))
                self.check(name, base[name], child, join(key, name))
        if self.is_entry(kind) and set(base) <= set(node.value):  # a table that is given in full keeps its order
            return {name: base[name] for name in node.value if name in base}
        return base

    def unknown(self, node: Node, key: str, name: str, valid: list[str], more: str = "") -> ConfigError:
        """The error about an unknown key of a table, with the nearest valid one."""
        if told := self._renamed(f"{key}.{_first_key(node)}" if isinstance(node.value, dict) and node.value else key):
            return ConfigError(f"{node.source}: {told}")
        close = nearest(name, valid)
        near = "" if close is None else f"; did you mean {key[: len(key) - len(name)] + close!r}?"
        if not near and not more:
            everywhere = self._dotted_keys(self.root, "", MISSING)
            same_leaf = [path for path in everywhere if name in path.split(".")[1:]]
            near = f"; did you mean {same_leaf[0]!r}?" if same_leaf else suggestion(key, everywhere)
        return ConfigError(f"{node.source}: unknown key {key!r}{near}; valid: {', '.join(valid) or 'none'}{more}")

    def _said_nothing(self, node: Node, key: str) -> bool:
        """Whether a file of an earlier version has an empty table that no longer exists."""
        return key in getattr(self.root, "EMPTIED", ()) and node.value in (None, {}) and not node.source.startswith("--")

    def _renamed(self, key: str) -> str:
        """The new name of a key of an earlier version; empty for a key that never existed."""
        for pattern, now in getattr(self.root, "RENAMED", {}).items():
            if fnmatchcase(key, pattern):
                return f"{key} is {now.replace('*', key.removeprefix(pattern.partition('*')[0]))} now"
        return ""

    def _dotted_keys(self, cls: Any, prefix: str, default: Any) -> list[str]:
        """Every setting of a schema by its dotted key; for tables, the entries of their default."""
        keys: list[str] = []
        hints = typing.get_type_hints(cls)
        for name, field in fields(cls).items():
            key, value = join(prefix, name), default_of(field, default if isinstance(default, cls) else MISSING)
            if (inside := self.leaves(value, key)) is not None:
                keys += inside
                continue
            kinds = (hints[name], *typing.get_args(hints[name]))
            nested = [kind for kind in kinds if dataclasses.is_dataclass(kind) and not self.is_entry(kind)]
            if not nested:
                keys.append(key)
            for kind in nested:
                keys += self._dotted_keys(kind, key, value)
        return keys

    def _leaves(self, value: Any, key: str) -> list[str]:
        """Dotted keys of an entry of a table."""
        if (inside := self.leaves(value, key)) is not None:
            return inside
        return [join(key, name) for name in fields(type(value))] if dataclasses.is_dataclass(value) else [key]


def _variant(variants: Callable[[str], type], node: Node, key: str, default: Any) -> tuple[type, Node]:
    """The dataclass for the key `kind`, and the node without keys that a lower layer set for another kind."""
    if not isinstance(node.value, dict) or "kind" not in node.value:
        return type(default), node
    chosen = node.value["kind"]
    name = scalar(str, chosen, join(key, "kind"))
    try:
        cls = variants(name)
    except UnknownNameError as error:
        raise ConfigError(f"{chosen.source}: {join(key, 'kind')}: {error}") from error
    known = fields(cls)

    def beneath(child: Node) -> bool:
        override = child.source.startswith("--")
        return not override and (chosen.source.startswith("--") or child.source.rpartition(":")[0] != chosen.source.rpartition(":")[0])

    kept = {entry: child for entry, child in node.value.items() if entry in known or not beneath(child)}
    return cls, Node(kept, node.source, node.text)


def _choice(valid: tuple[Any, ...], node: Node, key: str) -> Any:
    value = node.text if node.text is not None and node.text in valid else node.value
    for choice in valid:
        if type(choice) is type(value) and choice == value:
            return choice
    raise wrong(node, key, f"one of {', '.join(map(str, valid))}", [str(choice) for choice in valid])


def scalar(hint: Any, node: Node, key: str, metadata: Mapping[Any, Any] = NO_METADATA) -> Any:
    """One plain value: bool, int, float, str or Path.

    Raises:
        ConfigError: it has another type, or is not finite.
    """
    value = node.value
    if hint is bool:
        if isinstance(value, bool):
            return value
        raise wrong(node, key, "true or false")
    if hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        whole = isinstance(value, float) and value.is_integer()
        raise wrong(node, key, f"a whole number, written {int(value)}" if whole else "a whole number")
    if hint is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(node, key, "a number")
        try:
            number = float(value)
        except OverflowError:
            raise wrong(node, key, "a number that a double can hold") from None
        if not math.isfinite(number) and not metadata.get("allow_nonfinite"):
            raise wrong(node, key, "a finite number")
        return number
    if hint in (str, Path):
        if node.text is not None and not (isinstance(value, str) and node.text[:1] in ("'", '"')):
            value = node.text
        if isinstance(value, str):
            return hint(value)
        raise wrong(node, key, "a path" if hint is Path else "text; put it in quotes")
    raise TypeError(f"schema error: {key} has the unsupported type {hint!r}")


def plain(value: Any, default: Any = MISSING, special: Callable[[Any, Any], Any] = lambda value, default: NOT_SPECIAL) -> Any:
    """Plain data of a settings object; default entries that a table lacks are written as null.

    Args:
        value: the object.
        default: its default, or MISSING.
        special: returns plain data of further kinds from a value and its default, or `NOT_SPECIAL`.
    """
    if (made := special(value, default)) is not NOT_SPECIAL:
        return made
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        base = default if isinstance(default, type(value)) else MISSING
        return {name: plain(getattr(value, name), default_of(field, base), special) for name, field in fields(type(value)).items()}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [plain(item, MISSING, special) for item in value]
    if isinstance(value, Mapping):
        base = default if isinstance(default, Mapping) else {}
        removed = dict.fromkeys((name for name in base if name not in value), None)
        return {**{name: plain(item, base.get(name, MISSING), special) for name, item in value.items()}, **removed}
    return str(value) if isinstance(value, Path) else value


def fields(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a dataclass's constructor."""
    return {field.name: field for field in dataclasses.fields(cls) if field.init}


def default_of(field: dataclasses.Field[Any], instance: Any) -> Any:
    """A field's value in the given object, or its default, or MISSING."""
    if instance is not MISSING:
        return getattr(instance, field.name)
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def join(key: str, name: str) -> str:
    """Joins a dotted key and one inside it."""
    return f"{key}.{name}" if key else name


def say(node: Node) -> str:
    """The kind of a node, for messages."""
    if isinstance(node.value, dict):
        return "a table"
    if isinstance(node.value, list):
        return "a list"
    return "null" if node.value is None else repr(node.value) if not isinstance(node.value, bool) else str(node.value).lower()


def _name(hint: Any) -> str:
    if hint is type(None):
        return "null"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(hint) or getattr(hint, "__name__", str(hint))


def wrong(node: Node, key: str, valid: str, names: Sequence[str] = ()) -> ConfigError:
    """The error about an invalid value."""
    near = suggestion(str(node.value), names)
    return ConfigError(f"{node.source}: {key or 'the configuration'} must be {valid}, not {say(node)}{near}")


def _first_key(node: Node) -> str:
    """The dotted name of the first setting in a table."""
    name, child = next(iter(node.value.items()))
    return f"{name}.{_first_key(child)}" if isinstance(child.value, dict) and child.value else str(name)
