"""Configuration: frozen keyword-only dataclasses are the schema; YAML presets and `--a.b=c` overrides fill them.

An override takes precedence over the preset, and the preset over the default. A preset may say `extends: other` (a preset's name, a path
relative to it, or a list of these, in which later ones take precedence) and is merged over what it extends, table by table.

`policies.schema` says what a schema may hold. A table of terms (`envs.terms.term`) takes new entries that name their function; a term's
parameters are given beside its own values, see `robolearn.config.terms`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from envs.terms.randomization import RandomizationCfg
from envs.terms.term import ObservationEntry, SensedTerm, Term, reference
from policies import schema as schemas
from policies.layers import overridden, read_extended
from policies.schema import MISSING, NOT_SPECIAL, Builder, scalar
from policies.yaml_tree import Node, parse, shown, write
from robolearn.config import randomization, terms
from robolearn.config.presets import PRESETS, loads_any, preset_names, preset_path, presets_dir
from robolearn.errors import ConfigError

__all__ = [
    "PRESETS", "ConfigError", "dump", "load", "loads", "loads_any", "peek", "preset_names", "preset_path", "presets_dir", "to_dict",
]  # fmt: skip

T = TypeVar("T")


def load(schema: type[T], preset: str | Path | None = None, overrides: Sequence[str] = ()) -> T:
    """Make a config.

    Args:
        schema: the dataclass to fill.
        preset: name of a file in `configs/` (without `.yaml`), a path, or None for the defaults alone.
        overrides: `--section.key=value`, the value in YAML; later ones take precedence.

    Raises:
        ConfigError: one line that names the file and line or the override, the key, what was given and what is valid.
    """
    tree = Node({}, "the defaults") if preset is None else _read(preset_path(preset))
    return _fill(schema, tree, overrides)


def loads(schema: type[T], text: str, source: str = "<text>", overrides: Sequence[str] = ()) -> T:
    """Make a config from YAML text, for example one that `dump` wrote into a checkpoint. Errors as in `load`."""
    return _fill(schema, parse(text, source), overrides)


def peek(preset: str | Path, key: str, overrides: Sequence[str] = (), default: str | None = None) -> str:
    """A top-level text value of a preset and its overrides, read before the schema is known, since task and robot decide the schema.

    Raises:
        ConfigError: no such preset, the preset lacks the key and there is no default, or its value is not text.
    """
    path = preset_path(preset)
    tree = overridden(_read(path), overrides)
    node = tree.value.get(key) if isinstance(tree.value, dict) else None
    if node is None and default is not None:
        return default
    if node is None:
        raise ConfigError(f"{shown(path)}: {key} is missing; it has no default")
    return scalar(str, node, key)


def place(preset: str | Path, key: str, overrides: Sequence[str] = ()) -> str:
    """Where a top-level setting is given: `file:line` or the override; empty if it is not."""
    tree = overridden(_read(preset_path(preset)), overrides)
    return tree.value[key].source if isinstance(tree.value, dict) and key in tree.value else ""


def sources(preset: str | Path | None, overrides: Sequence[str] = ()) -> dict[str, str]:
    """Dotted name of every setting that a preset or an override gives -> where it is given: `file:line`, or the override."""
    tree = Node({}, "the defaults") if preset is None else _read(preset_path(preset))
    return dict(_sources(overridden(tree, overrides), ""))


def _sources(node: Node, name: str) -> Iterator[tuple[str, str]]:
    if name:
        yield name, node.source
    for key, child in node.value.items() if isinstance(node.value, dict) else ():
        yield from _sources(child, schemas.join(name, str(key)))


def _fill(schema: type[T], tree: Node, overrides: Sequence[str]) -> T:
    return cast(T, TermBuilder(schema).value(schema, overridden(tree, overrides)))


def dump(config: Any) -> str:
    """YAML that `load` turns back into an equal object, every float to the last bit."""
    return write(to_dict(config))


def to_dict(config: Any) -> dict[str, Any]:
    """The same as plain JSON values, for provenance and metrics."""
    return cast(dict[str, Any], schemas.plain(config, special=_plain_term))


def _read(path: Path) -> Node:
    """A preset merged over what it extends."""
    return read_extended(path, lambda name, beside: preset_path(name, beside=beside))


class TermBuilder(Builder):
    """A `policies.schema.Builder` that can build terms."""

    def special(self, hint: Any, node: Node, key: str, default: Any) -> Any:
        if terms.is_term(hint):
            return terms.build(hint, node, key, default, self.value)
        if hint == ObservationEntry:
            kind = terms.kind_of_observation(node, default)
            return self.value(kind, node, key, default if isinstance(default, kind) else MISSING)
        return randomization.build(node, key, default, self.value) if hint is RandomizationCfg else NOT_SPECIAL

    def is_entry(self, kind: Any) -> bool:
        return terms.is_entry(kind)

    def may_be_new(self, kind: Any, name: str, node: Node) -> bool:
        return terms.may_be_new(kind, name, node)

    def about_new(self, kind: Any) -> str:
        return terms.hint(kind)

    def check(self, name: str, entry: Any, node: Node, key: str) -> None:
        if isinstance(entry, SensedTerm):
            terms.check_sensed(name, entry, node, key)

    def leaves(self, value: Any, key: str) -> list[str] | None:
        if isinstance(value, RandomizationCfg):
            return randomization.keys(value, key)
        if isinstance(value, Term):
            return [schemas.join(key, name) for name in value.values()]
        return super().leaves(value, key)


def _plain_term(value: Any, default: Any) -> Any:
    if isinstance(value, RandomizationCfg):
        base = randomization.plain(default, MISSING) if isinstance(default, RandomizationCfg) else {}
        told = randomization.plain(value, default)
        return {name: schemas.plain(item, base.get(name, MISSING), _plain_term) for name, item in told.items()}
    if not isinstance(value, Term):
        return NOT_SPECIAL
    return {"func": reference(value.func)} | {name: schemas.plain(item, special=_plain_term) for name, item in value.values().items()}
