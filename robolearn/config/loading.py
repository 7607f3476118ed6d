"""Configuration: frozen keyword-only dataclasses are the schema; YAML presets and `--a.b=c` overrides fill them.

The value of a field is its default, then the preset's, then the override's. A preset may say `extends: other` (a preset name, a path
beside it, or a list of those, later ones winning) and is laid over what it extends, table by table.

A schema may hold int, float, bool, str, Path, `X | None`, `Literal[...]`, enums, tuples, nested dataclasses and tables
`Mapping[str, X]`. A table whose default is not empty takes only the default's keys (`metadata={"open": True}` on the field lifts this);
one whose default is empty takes any. `null` removes an entry of a table. A table of terms (`envs.terms.term`) takes new entries that name
their function; the parameters of a term stand beside its own values, see `robolearn.config.terms`. An infinite or undefined float is an
error unless the field has `metadata={"allow_nonfinite": True}`. A dataclass of several kinds has `metadata={"variants": f}`, where f(kind)
gives the dataclass for a value of its key `kind`; when a kind is chosen over a preset's, keys of the preset that it lacks are left out.
A schema may say in `RENAMED` how keys of earlier versions are called now.
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
from typing import Any, TypeVar, cast

from envs.terms.randomization import RandomizationCfg
from envs.terms.term import SensedTerm, Term, reference
from policies.registry import OWN, Registry, UnknownNameError, taken
from policies.yaml_tree import Node, expand, merge, parse, parse_scalar, read_file, shown, write
from robolearn.config import randomization, terms
from robolearn.errors import ConfigError, nearest, suggestion

__all__ = ["ConfigError", "dump", "load", "loads", "peek", "preset_names", "preset_path", "presets_dir", "to_dict"]

T = TypeVar("T")

PRESETS = Registry("preset", of=Path)
"""Those of plugins."""
_MISSING = dataclasses.MISSING
_EXTENDS = "extends"
_NO_METADATA: Mapping[Any, Any] = types.MappingProxyType({})


def load(schema: type[T], preset: str | Path | None = None, overrides: Sequence[str] = ()) -> T:
    """Make a config.

    Args:
        schema: the dataclass to fill.
        preset: name of a file in `configs/` (without `.yaml`), a path, or None for the defaults alone.
        overrides: `--section.key=value`, the value in YAML; later ones win.

    Raises:
        ConfigError: one line that names the file and line or the override, the key, what was given and what is valid.
    """
    tree = Node({}, "the defaults") if preset is None else _read(preset_path(preset), ())
    return _fill(schema, tree, overrides)


def loads(schema: type[T], text: str, source: str = "<text>", overrides: Sequence[str] = ()) -> T:
    """Make a config from YAML text, for example one that `dump` wrote into a checkpoint. Errors as in `load`."""
    return _fill(schema, parse(text, source), overrides)


def peek(preset: str | Path, key: str, overrides: Sequence[str] = (), default: str | None = None) -> str:
    """One top-level text value of a preset and its overrides, read before the schema is known: task and robot decide the schema.

    Raises:
        ConfigError: no such preset, the preset lacks the key and there is no default, or its value is no text.
    """
    path = preset_path(preset)
    tree = _overridden(_read(path, ()), overrides)
    node = tree.value.get(key) if isinstance(tree.value, dict) else None
    if node is None and default is not None:
        return default
    if node is None:
        raise ConfigError(f"{shown(path)}: {key} is missing; it has no default")
    return _build_scalar(str, node, key, _NO_METADATA)


def _overridden(tree: Node, overrides: Sequence[str]) -> Node:
    for override in overrides:
        tree = merge(tree, _parse_override(override))
    return tree


def _fill(schema: type[T], tree: Node, overrides: Sequence[str]) -> T:
    return cast(T, _build(schema, _overridden(tree, overrides), "", _MISSING, _NO_METADATA, schema))


def dump(config: Any) -> str:
    """YAML that `load` turns back into an equal object, every float to the last bit."""
    return write(_plain(config, _MISSING))


def to_dict(config: Any) -> dict[str, Any]:
    """The same as plain JSON values, for provenance and metrics."""
    return cast(dict[str, Any], _plain(config, _MISSING))


def presets_dir() -> Path:
    """The folder of presets: inside the package where it was installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def preset_names() -> list[str]:
    """Names of all presets, ours and those of plugins, sorted.

    Raises:
        policies.plugins.PluginError: a plugin has a preset of a name that is ours.
    """
    ours = [path.stem for path in presets_dir().glob("*.yaml")]
    for name in ours:
        if name in PRESETS:
            raise taken("preset", name, OWN, PRESETS.source(name))
    return sorted([*ours, *PRESETS])


def preset_path(preset: str | Path, beside: Path | None = None) -> Path:
    """The file of a preset.

    Args:
        preset: a preset's name, or a path.
        beside: folder that a relative path or name is looked for in first.

    Raises:
        ConfigError: no such preset or file; lists the presets that exist.
    """
    text = str(preset)
    is_path = text.endswith((".yaml", ".yml"))
    candidates = [] if beside is None else [beside / (text if is_path else f"{text}.yaml")]
    candidates.append(expand(preset) if is_path else presets_dir() / f"{text}.yaml")
    for path in candidates:
        if path.is_file():
            return path
    if not is_path and text in PRESETS:
        return PRESETS.get(text)
    if is_path:
        raise ConfigError(f"no configuration file at {shown(candidates[-1])}")
    names = preset_names()
    valid = f"valid: {', '.join(names) or 'none'}, or the path of a .yaml file"
    own = "for one of your own install its package, or give --import PACKAGE"
    raise ConfigError(f"no preset {text!r}{suggestion(text, names)}; {valid}; {own}")


def _read(path: Path, chain: tuple[Path, ...]) -> Node:
    """A file laid over what it extends; `chain` holds the files that led here."""
    if path.resolve() in chain:
        raise ConfigError(f"{shown(path)}: extends itself by way of {' -> '.join(shown(p) for p in chain)}")
    tree = read_file(path)
    if not isinstance(tree.value, dict) or _EXTENDS not in tree.value:
        return tree
    table = dict(tree.value)
    parents = table.pop(_EXTENDS)
    names = [node.value for node in parents.value] if isinstance(parents.value, list) else [parents.value]
    base = Node({}, tree.source)
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"{parents.source}: {_EXTENDS} must name a preset or a list of them, not {_say(parents)}")
        try:
            parent = preset_path(name, beside=path.parent)
        except ConfigError as error:
            raise ConfigError(f"{parents.source}: {_EXTENDS}: {error}") from None
        base = merge(base, _read(parent, (*chain, path.resolve())))
    return merge(base, Node(table, tree.source))


def _parse_override(override: str) -> Node:
    key, equals, text = override.removeprefix("--").partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override {override!r} must have the form --section.key=value")
    source = f"--{key}={text}"
    node = parse_scalar(text, source)
    for part in reversed(parts):
        node = Node({part: node}, source)
    return node


def _build(hint: Any, node: Node, key: str, default: Any, metadata: Mapping[Any, Any], root: Any) -> Any:
    """Make one value of the type `hint` from a node, recursively.

    Args:
        default: the value that a table is laid over, or MISSING.
        metadata: the field's.
        root: the whole schema, to find where a misplaced key belongs.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if terms.is_term(hint):
        return terms.build(hint, node, key, default, root, _build)
    if hint is RandomizationCfg:
        return randomization.build(node, key, default, root, _build)
    if dataclasses.is_dataclass(hint):
        if "variants" in metadata:
            hint, node = _variant(metadata["variants"], node, key, default)
        return _build_dataclass(cast(type, hint), node, key, default, root)
    if origin in (typing.Union, types.UnionType):
        return _build_union(args, node, key, default, metadata, root)
    if origin is typing.Literal:
        value = node.text if node.text is not None and node.text in args else node.value
        for choice in args:
            if type(choice) is type(value) and choice == value:
                return choice
        raise wrong(node, key, f"one of {', '.join(map(str, args))}", [str(choice) for choice in args])
    if origin is tuple:
        return _build_tuple(args, node, key, metadata, root)
    if origin in (dict, Mapping) and args[0] is str:
        return _build_table(args[1], node, key, default, metadata, root)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        for member in hint:
            if member.value in (node.value, node.text) and not isinstance(node.value, bool):
                return member
        raise wrong(node, key, f"one of {', '.join(str(m.value) for m in hint)}", [str(m.value) for m in hint])
    return _build_scalar(hint, node, key, metadata)


def _variant(variants: Callable[[str], type], node: Node, key: str, default: Any) -> tuple[type, Node]:
    """The dataclass that the key `kind` chooses, and the node without what was written for another kind beneath that choice."""
    if not isinstance(node.value, dict) or "kind" not in node.value:
        return type(default), node
    chosen = node.value["kind"]
    name = _build_scalar(str, chosen, join(key, "kind"), _NO_METADATA)
    try:
        cls = variants(name)
    except UnknownNameError as error:
        raise ConfigError(f"{chosen.source}: {join(key, 'kind')}: {error}") from error
    fields = _fields(cls)

    def beneath(child: Node) -> bool:
        override = child.source.startswith("--")
        return not override and (chosen.source.startswith("--") or child.source.rpartition(":")[0] != chosen.source.rpartition(":")[0])

    kept = {entry: child for entry, child in node.value.items() if entry in fields or not beneath(child)}
    return cls, Node(kept, node.source, node.text)


def _build_dataclass(cls: type, node: Node, key: str, default: Any, root: Any) -> Any:
    if not isinstance(node.value, dict):
        raise wrong(node, key, f"a table with keys from {', '.join(_fields(cls))}")
    fields = _fields(cls)
    hints = typing.get_type_hints(cls)
    for name, child in node.value.items():
        if name not in fields and not _said_nothing(child, join(key, name), root):
            raise unknown(child, join(key, name), name, list(fields), root)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        base = _default(field, default if isinstance(default, cls) else _MISSING)
        if name in node.value:
            values[name] = _build(hints[name], node.value[name], join(key, name), base, field.metadata, root)
        elif base is not _MISSING:
            values[name] = base
        else:
            raise ConfigError(f"{node.source}: {join(key, name)} is missing; it has no default")
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{node.source}: {key or cls.__name__}: {error}") from error


def _build_union(args: tuple[Any, ...], node: Node, key: str, default: Any, metadata: Mapping[Any, Any], root: Any) -> Any:
    if node.value is None and type(None) in args:
        return None
    members = [arg for arg in args if arg is not type(None)]
    if len(members) == 1:
        return _build(members[0], node, key, default, metadata, root)
    for member in members:
        try:
            return _build(member, node, key, default, metadata, root)
        except ConfigError:
            continue
    raise wrong(node, key, " or ".join(_name(arg) for arg in args))


def _build_tuple(args: tuple[Any, ...], node: Node, key: str, metadata: Mapping[Any, Any], root: Any) -> tuple[Any, ...]:
    if not isinstance(node.value, list):
        raise wrong(node, key, "a list [...]")
    items: list[Node] = node.value
    if len(args) == 2 and args[1] is Ellipsis:
        kinds = [args[0]] * len(items)
    elif len(args) == len(items):
        kinds = list(args)
    else:
        raise ConfigError(f"{node.source}: {key} must have {len(args)} entries, not {len(items)}")
    return tuple(
        _build(kind, item, f"{key}[{i}]", _MISSING, metadata, root) for i, (kind, item) in enumerate(zip(kinds, items, strict=True))
    )


def _build_table(kind: Any, node: Node, key: str, default: Any, metadata: Mapping[Any, Any], root: Any) -> dict[str, Any]:
    if type(None) in typing.get_args(kind):
        raise TypeError(f"schema error: {key} is a table with optional values, but null removes an entry")
    if not isinstance(node.value, dict):
        if hint := _renamed(root, key):
            raise ConfigError(f"{node.source}: {hint}")
        raise wrong(node, key, "a table (key: value)")
    base: dict[str, Any] = {} if default is _MISSING or default is None else dict(default)
    known = None if metadata.get("open") or (not base and not terms.is_entry(kind)) else list(base)
    for name, child in node.value.items():
        if known is not None and name not in known and not child.removes and not terms.may_be_new(kind, name, child):
            raise unknown(child, join(key, name), name, known, root, terms.hint(kind))
        if child.value is None:
            base.pop(name, None)
        else:
            base[name] = _build(kind, child, join(key, name), base.get(name, _MISSING), metadata, root)
            if isinstance(base[name], SensedTerm):
                terms.check_sensed(name, base[name], child, join(key, name))
    if terms.is_entry(kind) and set(base) <= set(node.value):  # a table that is told whole is told in its order
        return {name: base[name] for name in node.value if name in base}
    return base


def _build_scalar(hint: Any, node: Node, key: str, metadata: Mapping[Any, Any]) -> Any:
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


def _plain(value: Any, default: Any) -> Any:
    """Plain data of a config value; entries that a table lacks against its default are written as null."""
    if isinstance(value, RandomizationCfg):
        base = randomization.plain(default, _MISSING) if isinstance(default, RandomizationCfg) else {}
        return {name: _plain(item, base.get(name, _MISSING)) for name, item in randomization.plain(value, default).items()}
    if isinstance(value, Term):
        return {"func": reference(value.func)} | {name: _plain(item, _MISSING) for name, item in value.values().items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        base = default if isinstance(default, type(value)) else _MISSING
        return {name: _plain(getattr(value, name), _default(field, base)) for name, field in _fields(type(value)).items()}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_plain(item, _MISSING) for item in value]
    if isinstance(value, Mapping):
        base = default if isinstance(default, Mapping) else {}
        removed = dict.fromkeys((name for name in base if name not in value), None)
        return {**{name: _plain(item, base.get(name, _MISSING)) for name, item in value.items()}, **removed}
    return str(value) if isinstance(value, Path) else value


def _fields(cls: type) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(cls) if field.init}


def _default(field: dataclasses.Field[Any], instance: Any) -> Any:
    """A field's value in the object it belongs to, else its own default, else MISSING."""
    if instance is not _MISSING:
        return getattr(instance, field.name)
    return field.default_factory() if field.default_factory is not _MISSING else field.default


def join(key: str, name: str) -> str:
    """A dotted key and one inside it."""
    return f"{key}.{name}" if key else name


def _say(node: Node) -> str:
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
    """The error about a value that is not what it must be."""
    near = suggestion(str(node.value), names)
    return ConfigError(f"{node.source}: {key or 'the configuration'} must be {valid}, not {_say(node)}{near}")


def unknown(node: Node, key: str, name: str, valid: list[str], root: Any, more: str = "") -> ConfigError:
    """The error about a key that a table does not have, with the nearest that there is."""
    if told := _renamed(root, f"{key}.{_first_key(node)}" if isinstance(node.value, dict) and node.value else key):
        return ConfigError(f"{node.source}: {told}")
    close = nearest(name, valid)
    near = "" if close is None else f"; did you mean {key[: len(key) - len(name)] + close!r}?"
    if not near and not more:
        everywhere = _dotted_keys(root, "", _MISSING)
        same_leaf = [path for path in everywhere if name in path.split(".")[1:]]
        near = f"; did you mean {same_leaf[0]!r}?" if same_leaf else suggestion(key, everywhere)
    return ConfigError(f"{node.source}: unknown key {key!r}{near}; valid: {', '.join(valid) or 'none'}{more}")


def _first_key(node: Node) -> str:
    """The dotted name of the first setting in a table."""
    name, child = next(iter(node.value.items()))
    return f"{name}.{_first_key(child)}" if isinstance(child.value, dict) and child.value else str(name)


def _said_nothing(node: Node, key: str, root: Any) -> bool:
    """Whether a file of an earlier version has an empty table that is no more."""
    return key in getattr(root, "EMPTIED", ()) and node.value in (None, {}) and not node.source.startswith("--")


def _renamed(root: Any, key: str) -> str:
    """What a key of an earlier version is called now, empty for one that never was."""
    for pattern, now in getattr(root, "RENAMED", {}).items():
        if fnmatchcase(key, pattern):
            return f"{key} is {now.replace('*', key.removeprefix(pattern.rstrip('*')))} now"
    return ""


def _dotted_keys(cls: Any, prefix: str, default: Any) -> list[str]:
    """Every setting of a schema by its dotted key; of tables what their default holds."""
    keys: list[str] = []
    hints = typing.get_type_hints(cls)
    for name, field in _fields(cls).items():
        key, value = join(prefix, name), _default(field, default if isinstance(default, cls) else _MISSING)
        if isinstance(value, RandomizationCfg):
            keys += randomization.keys(value, key)
            continue
        if isinstance(value, Mapping | Term):
            keys += _leaves(value, key)
            continue
        nested = [
            kind for kind in (hints[name], *typing.get_args(hints[name])) if dataclasses.is_dataclass(kind) and not terms.is_term(kind)
        ]
        if not nested:
            keys.append(key)
        for kind in nested:
            keys += _dotted_keys(kind, key, value)
    return keys


def _leaves(value: Any, key: str) -> list[str]:
    """Dotted keys of an entry of a table."""
    if isinstance(value, Term):
        return [join(key, name) for name in value.values()]
    if isinstance(value, Mapping):
        return [leaf for name, item in value.items() for leaf in _leaves(item, join(key, name))]
    return [join(key, name) for name in _fields(type(value))] if dataclasses.is_dataclass(value) else [key]


def loads_any(text: str, source: str = "<text>") -> dict[str, Any]:
    """YAML text as plain top-level values, before its schema is known; nested tables stay nodes.

    Raises:
        ConfigError: not YAML, or no table.
    """
    tree = parse(text, source)
    if not isinstance(tree.value, dict):
        raise wrong(tree, "", "a table (key: value)")
    return {str(key): node.value for key, node in tree.value.items()}
