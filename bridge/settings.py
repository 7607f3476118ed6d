"""`deploy.yaml`: the options of `robolearn deploy` as a file, read like training's presets: schema, `extends`, overrides and errors.

    transport: ros2
    auto_start: true
    limits: {max_tilt: 0.7}            # in place of --limit
    simulated: {gantry: always}        # for a simulated robot
    ros2:                              # for one transport; only read if it is chosen
      command_interface: trajectory
      joint_prefix: panda_=fr3_

A key is an option's name with underscores; options of a transport are in a table with its name. In increasing precedence, a value is the
default, the file's, `--section.key=value`, or the option. Paths in a file are relative to it. `python -m bridge.deploy` reads the same
files.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from bridge.control.safety import SafetyLimits, check_limit
from bridge.fields import OptionError, optional, options_of
from bridge.options import ComputerOptions, FullOptions, OperatorOptions, RunOptions, bounds, fits, here, limits_of
from bridge.transports.connect import SimulatedOptions
from bridge.transports.registry import TRANSPORTS, DeployError, get_transport
from policies.errors import ConfigError
from policies.layers import overridden, read_extended
from policies.schema import Builder, plain
from policies.yaml_tree import Node, expand, shown, write

FLAT = (RunOptions, OperatorOptions, ComputerOptions, FullOptions)
LIMITS, SIMULATED = "limits", "simulated"
MAY_BE_INFINITE = {"allow_nonfinite": True}  # a time-out; `check_limit` refuses the others
_Key = tuple[str, ...]


def prepare(parser: argparse.ArgumentParser, arguments: Sequence[str], overrides: Sequence[str]) -> None:
    """Make the values from `--config` and overrides the defaults of a parser's options, so that a given option takes precedence.

    Args:
        parser: of `robolearn deploy` or `python -m bridge.deploy`.
        arguments: the command line, without overrides and ROS arguments.
        overrides: `--section.key=value`.

    Raises:
        ConfigError: the file or an override is wrong, in one line; or a setting that only `robolearn deploy` has.
        DeployError: more than one file.
    """
    tree = overridden(_tree(_files(arguments)), overrides)
    if not tree.value:
        return
    made = Builder(schema()).value(schema(), tree)
    known = {action.dest for action in parser._actions}  # pyright: ignore[reportPrivateUsage] (argparse tells them in no other way)
    defaults: dict[str, Any] = {LIMITS: {name: value for name, value in vars(made.limits).items() if value is not None}}
    from_file: dict[str, Any] = {}
    for key, node in _leaves(tree):
        if key[0] == LIMITS:
            continue
        value = made
        for name in key:
            value = getattr(value, name)
        if key[-1] not in known:
            raise ConfigError(f"{node.source}: {key[-1]} is for robolearn deploy; python -m bridge.deploy does not have it")
        value = list(value) if isinstance(value, tuple) else _from_here(value, key[-1], node)
        defaults[key[-1]] = value
        if not node.source.startswith("--"):
            from_file[key[-1]] = value
    parser.set_defaults(**defaults, from_file=from_file)


def settle(options: argparse.Namespace) -> None:
    """Drop the file's settings of other transports, and record the effective ones as `options.settings`.

    Options typed for another transport stay, so that they are refused.
    """
    place, from_file = here(options), getattr(options, "from_file", {})
    for bound in bounds():
        if bound.dest in from_file and not fits(bound, place) and getattr(options, bound.dest) == from_file[bound.dest]:
            setattr(options, bound.dest, bound.default)
    options.settings = dump(options)


def dump(options: argparse.Namespace) -> str:
    """YAML of the settings in a namespace for `--config`; it works from any folder, since its paths are absolute."""
    return write(plain(_filled(schema(), options)))


def schema() -> type:
    """The dataclass that a file fills, with the registered transports."""
    sections = {SIMULATED: SimulatedOptions}
    for name in TRANSPORTS:
        options = get_transport(name).options
        if options_of(options) and options is not SimulatedOptions:
            sections[re.sub(r"\W", "_", name)] = options
    flat = [field for part in FLAT for field in _fields(part) if field[0] != "limit"]
    taken = {LIMITS, "transport", *(name for name, *_ in flat)} & sections.keys()
    if taken:
        raise OptionError(f"a transport {', '.join(sorted(taken))} has the name of a setting; register it under another name")
    tables = [(name, table, dataclasses.field(default=table())) for name, table in ((n, _table(n, o)) for n, o in sections.items())]
    limits = dataclasses.make_dataclass(
        "Limits",
        [
            (field.name, float | None, dataclasses.field(default=None, metadata=MAY_BE_INFINITE))
            for field in dataclasses.fields(SafetyLimits)
        ],
        namespace={"__post_init__": _check_limits},
        frozen=True,
        kw_only=True,
    )
    transport = ("transport", typing.cast(Any, Literal)[tuple(TRANSPORTS)], dataclasses.field(default="ros2"))
    all_of_them: list[Any] = [transport, *flat, (LIMITS, limits, dataclasses.field(default=limits())), *tables]
    return dataclasses.make_dataclass("Settings", all_of_them, frozen=True, kw_only=True)


def _table(name: str, options: type) -> type:
    return dataclasses.make_dataclass(name, _fields(options), frozen=True, kw_only=True)


def _fields(options: type) -> list[tuple[str, Any, Any]]:
    """The options of a dataclass as fields of a file: named as they are typed, with choices as their type."""
    hints, found = typing.get_type_hints(options), []
    for name, (field, said) in options_of(options).items():
        kind, may_lack = optional(hints[name])
        if said.choices is not None:
            kind = typing.cast(Any, Literal)[said.choices]
        found.append((said.dest(name), kind | None if may_lack else kind, dataclasses.field(default=field.default)))
    return found


def _check_limits(limits: Any) -> None:
    for name, value in vars(limits).items():
        if value is not None:
            check_limit(name, value)


def _files(arguments: Sequence[str]) -> list[Path]:
    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    scan.add_argument("--config", action="append", default=[], type=Path)
    try:
        return scan.parse_known_args(list(arguments))[0].config
    except argparse.ArgumentError:
        return []  # the parser itself says it


def _tree(files: Sequence[Path]) -> Node:
    if not files:
        return Node({}, "the defaults")
    if len(files) > 1:
        raise DeployError(f"--config is given {len(files)} times; a file may begin with another one's settings: extends: {files[0]}")
    path = expand(files[0])
    tree = read_extended(path, _beside)
    if tree.value == {}:
        raise ConfigError(f"{shown(path)} is empty; leave --config out, or write a setting into it, for example transport: ros2")
    return tree


def _beside(name: str, folder: Path) -> Path:
    path = folder / expand(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    if not path.is_file():
        raise ConfigError(f"no configuration file at {shown(path)}")
    return path


def _leaves(node: Node, key: _Key = ()) -> list[tuple[_Key, Node]]:
    """The settings of a tree, by their keys."""
    if not isinstance(node.value, dict):
        return [(key, node)]
    return [leaf for name, child in node.value.items() for leaf in _leaves(child, (*key, name))]


def _from_here(value: Any, name: str, node: Node) -> Any:
    """A path of a file, relative to it, as one from the working directory; other values as they are."""
    if not _is_path(value, name) or node.source.startswith("--"):
        return value
    return type(value)(Path(node.source.rpartition(":")[0]).parent / expand(value))


def _from_anywhere(value: Any, name: str) -> Any:
    """A path as one that does not depend on the working directory; other values as they are."""
    return type(value)(Path(value).expanduser().absolute()) if _is_path(value, name) else value


def _is_path(value: Any, name: str) -> bool:
    return isinstance(value, Path) or (name == "robot" and isinstance(value, str) and value.endswith((".yaml", ".yml")))


def _filled(table: type, options: argparse.Namespace) -> Any:
    """An object of a file's schema, or of one of its tables, from a namespace."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(table):
        if field.name == LIMITS:
            values[LIMITS] = typing.cast(Callable[..., Any], field.type)(**limits_of(options))
        elif dataclasses.is_dataclass(field.type):
            values[field.name] = _filled(typing.cast(type, field.type), options)
        else:
            value = getattr(options, field.name, field.default)
            values[field.name] = tuple(value) if isinstance(value, list) else _from_anywhere(value, field.name)
    return table(**values)
