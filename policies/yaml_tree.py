"""YAML as a tree that remembers where each value was written, so that an error can name the file and the line.

The scalars are those of YAML 1.2's core schema, not PyYAML's: `1e-3` is a number, `no` and `on` are words, `010` is ten, and a date
is a word. Duplicate keys are an error instead of being dropped silently.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import yaml

from policies.errors import ConfigError
from policies.files import reason

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9](_?[0-9])*|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9](_?[0-9])*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_PLAIN_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_RESERVED = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it was written.

    Attributes:
        value: `dict[str, Node]`, `list[Node]`, or None, bool, int, float or str.
        source: `file:line`, or the override as typed.
        text: the scalar exactly as typed, for command line overrides only.
        removes: whether it is a null merged over a table, so that it removes something.
    """

    value: Any
    source: str
    text: str | None = None
    removes: bool = False


def shown(path: Path) -> str:
    """The path as one would type it: relative to the working directory if it is inside."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def read_file(path: Path) -> Node:
    """Read a YAML file.

    Raises:
        ConfigError: unreadable, not UTF-8, not YAML, or with a key given twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no configuration file at {shown(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {shown(path)}: {reason(error)}") from error
    return parse(text, shown(path))


def parse(text: str, name: str) -> Node:
    """Parse YAML text; `name` is the file in error messages. Empty text is an empty table.

    Raises:
        ConfigError: not YAML, a key given twice, or a construct outside plain data.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{name}{line}: not valid YAML: {problem}") from error
    if node is None:
        return Node({}, name)
    return _convert(node, lambda line: f"{name}:{line}", frozenset())


def parse_scalar(text: str, source: str) -> Node:
    """Parse the value of a command line override; text that is not YAML stays text."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        value = None if node is None else _convert(node, lambda _: source, frozenset()).value
    except (yaml.YAMLError, ConfigError):
        value = text
    return Node(value, source, text)


def merge(base: Node, over: Node) -> Node:
    """Merge one tree over another: tables merge key by key, everything else is replaced."""
    if over.value is None and (base.removes or isinstance(base.value, dict)):
        return replace(over, removes=True)
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    merged = dict(base.value)
    for key, node in over.value.items():
        merged[key] = merge(merged[key], node) if key in merged else node
    return Node(merged, over.source)


def write(data: Any) -> str:
    """YAML text of plain data (dict, list, None, bool, int, float, str), which `parse` restores exactly."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Loader(yaml.SafeLoader):
    """Only finds the structure of nodes; `_scalar` interprets plain scalars."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # pyright: ignore[reportIncompatibleVariableOverride]


def _convert(node: yaml.Node, where: Callable[[int], str], open_nodes: frozenset[int]) -> Node:
    """Converts PyYAML's tree to ours; `where` turns a line number into a source, `open_nodes` are the ids of the enclosing nodes."""
    source = where(node.start_mark.line + 1)
    if id(node) in open_nodes:
        raise ConfigError(f"{source}: an alias that contains itself")
    if isinstance(node, yaml.ScalarNode):
        return Node(_scalar(node, source), source)
    inside = open_nodes | {id(node)}
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return Node([_convert(item, where, inside) for item in node.value], source)
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        table: dict[str, Node] = {}
        for key_node, value_node in node.value:
            line = where(key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{line}: a key must be a word, not a list or table")
            if key_node.value in table:
                raise ConfigError(f"{line}: key {key_node.value!r} is given twice")
            table[key_node.value] = Node(_convert(value_node, where, inside).value, line)
        return Node(table, source)
    raise ConfigError(f"{source}: the tag {node.tag} is not supported; use plain values")


def _scalar(node: yaml.ScalarNode, source: str) -> Any:
    text = str(node.value)
    if node.tag != "tag:yaml.org,2002:str":
        raise ConfigError(f"{source}: the tag {node.tag} is not supported; use plain values")
    if node.style is not None:  # quoted or block scalars are always text
        return text
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        try:
            return int(text, 16) if "x" in text else int(text)
        except ValueError as error:  # Python refuses to read thousands of digits
            raise ConfigError(f"{source}: {error}") from error
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes every text that a YAML reader could take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_str(dumper: _Dumper, text: str) -> yaml.Node:
    plain = _PLAIN_WORD.fullmatch(text) and text.lower() not in _RESERVED
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


def _represent_list(dumper: _Dumper, items: list[Any]) -> yaml.Node:
    flow = not any(isinstance(item, dict | list) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flow)


def _represent_dict(dumper: _Dumper, table: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", table, flow_style=not table)


_Dumper.add_representer(str, _represent_str)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(dict, _represent_dict)


def expand(path: str | Path) -> Path:
    """A path as the user typed it, with `~` resolved."""
    return Path(os.path.expanduser(path))
