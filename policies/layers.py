"""Merges layers of settings: a file over what it `extends`, and `--section.key=value` of the command line over both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from policies.errors import ConfigError
from policies.schema import say
from policies.yaml_tree import Node, merge, parse_scalar, read_file, shown

EXTENDS = "extends"


def parse_override(override: str) -> Node:
    """`--section.key=value` as a tree.

    Raises:
        ConfigError: it has another form.
    """
    key, equals, text = override.removeprefix("--").partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override {override!r} must have the form --section.key=value")
    source = f"--{key}={text}"
    node = parse_scalar(text, source)
    for part in reversed(parts):
        node = Node({part: node}, source)
    return node


def overridden(tree: Node, overrides: Sequence[str]) -> Node:
    """A tree with overrides merged over it; later ones take precedence."""
    for override in overrides:
        tree = merge(tree, parse_override(override))
    return tree


def read_extended(path: Path, find: Callable[[str, Path], Path], chain: tuple[Path, ...] = ()) -> Node:
    """A file merged over what its key `extends` names: one name, or a list of names, in which later ones take precedence.

    Args:
        path: of the file.
        find: returns the file for a name and the folder of the file that contains it.
        chain: the files that led to this one.

    Raises:
        ConfigError: a file does not exist, is unreadable, or extends itself.
    """
    if path.resolve() in chain:
        raise ConfigError(f"{shown(path)}: extends itself through {' -> '.join(shown(p) for p in chain)}")
    tree = read_file(path)
    if not isinstance(tree.value, dict) or EXTENDS not in tree.value:
        return tree
    table = dict(tree.value)
    parents = table.pop(EXTENDS)
    names = [node.value for node in parents.value] if isinstance(parents.value, list) else [parents.value]
    base = Node({}, tree.source)
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"{parents.source}: {EXTENDS} must name a preset or a list of them, not {say(parents)}")
        try:
            parent = find(name, path.parent)
        except ConfigError as error:
            raise ConfigError(f"{parents.source}: {EXTENDS}: {error}") from None
        base = merge(base, read_extended(parent, find, (*chain, path.resolve())))
    return merge(base, Node(table, tree.source))
