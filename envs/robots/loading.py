"""`robot.yaml`: a `Robot` as text, with the same schema. All faults of a file are reported at once, with line and key.

The file has the fields of `Robot` as keys, `joints` and `feet` as tables by name; `model` is a path relative to the file. Defaults are
those of the dataclasses. Values shared by several joints can be given in `defaults`, a table of a joint's keys:

    model: spot.urdf
    defaults: {kp: 60.0, kd: 1.5, effort: 45.0, velocity: 20.0, scale: 0.3}
    joints:
      fl_hip: {default: 0.1}
      fl_knee: {default: -1.5, kp: 80.0}
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs.robots.errors import RobotError, raise_faults
from envs.robots.robot import Joint, Robot
from policies.errors import ConfigError, suggestion
from policies.yaml_tree import Node, read_file, shown, write

ROBOT_FILE = "robot.yaml"
_DEFAULTS = "defaults"
_NOT_IN_FILES = ("source",)
_WORDS = {float: "a number", bool: "true or false", str: "a word", Path: "a path", int: "a whole number"}
_WRONG: Any = object()  # a value that could not be read and was reported


def load_robot(path: Path | str) -> Robot:
    """Read a `robot.yaml`.

    Raises:
        RobotError: it does not exist, or is not YAML or not a robot; lists all faults. The model is read when it is first needed.
    """
    path = Path(path).expanduser()
    try:
        tree = read_file(path)
    except ConfigError as error:
        raise RobotError(str(error).replace("configuration file", ROBOT_FILE)) from error
    faults: list[str] = []
    values = _table(tree, Robot, "", faults, extra=(_DEFAULTS,)) if isinstance(tree.value, dict) else {}
    if not isinstance(tree.value, dict):
        faults.append(f"this is not a table: the keys of a robot are {', '.join(_fields(Robot))}")
    if isinstance(model := values.get("model"), Path):
        values["model"] = model = (path.parent / model.expanduser()).resolve()
        if not model.is_file():
            faults.append(f"{tree.value['model'].source}: model: there is no file {model}")
    raise_faults(shown(path), [fault.replace(f"{shown(path)}:", "line ", 1) for fault in faults])
    try:
        return Robot(**values, source=path.resolve())
    except RobotError as error:
        raise RobotError(str(error).replace(str(path.resolve()), shown(path))) from None


def dump_robot(robot: Robot, beside: Path | None = None) -> str:
    """The text of a `robot.yaml` from which `load_robot` gives an equal robot.

    Args:
        robot: the robot.
        beside: folder for the file; the model's path is then written relative to it if the model is inside.
    """
    tree = _plain(robot)
    model = robot.model.resolve()
    inside = beside is not None and model.is_relative_to(beside.resolve())
    tree["model"] = str(model.relative_to(beside.resolve())) if beside is not None and inside else str(model)
    return write(tree)


def _plain(value: Any) -> Any:
    """A value for YAML: defaults are left out, except those that a table must have."""
    if dataclasses.is_dataclass(value):
        kept = {}
        for item in dataclasses.fields(value):
            given = getattr(value, item.name)
            default = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
            if item.name not in _NOT_IN_FILES and given != default:
                kept[item.name] = _plain(given)
        return kept
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _fields(schema: type[Any]) -> list[str]:
    return [item.name for item in dataclasses.fields(schema) if item.name not in _NOT_IN_FILES]


def _table(node: Node, schema: type[Any], key: str, faults: list[str], extra: tuple[str, ...] = (), lacks: bool = True) -> dict[str, Any]:
    """The fields of a dataclass from a table; faulty ones are reported in `faults` and left out."""
    prefix = f"{key}." if key else ""
    hints, names = typing.get_type_hints(schema), _fields(schema)
    values: dict[str, Any] = {}
    for name, item in node.value.items():
        if name in extra:
            continue
        if name not in names:
            valid = [*names, *extra]
            hint = suggestion(name, valid) or "; valid: " + ", ".join(valid)
            faults.append(f"{item.source}: {prefix}{name}: there is no such key{hint}")
            continue
        if schema is Robot and name == "joints":
            value = _joints(item, node.value.get(_DEFAULTS), faults)
        else:
            value = _value(item, hints[name], f"{prefix}{name}", faults)
        if value is not _WRONG:
            values[name] = value
    required = [item.name for item in dataclasses.fields(schema) if item.default is item.default_factory is dataclasses.MISSING]
    if lacks:
        faults += [f"{node.source}: {prefix}{name} is missing" for name in required if name not in node.value]
    return values


def _joints(node: Node, defaults: Node | None, faults: list[str]) -> Any:
    """The joints, each merged over the defaults."""
    common = Node({}, node.source) if defaults is None else defaults
    if not isinstance(node.value, dict) or not isinstance(common.value, dict):
        wrong, key = (node, "joints") if not isinstance(node.value, dict) else (common, _DEFAULTS)
        faults.append(f"{wrong.source}: {key} must be a table, not {_said(wrong)}")
        return _WRONG
    _table(common, Joint, _DEFAULTS, faults, lacks=False)
    known = {key: item for key, item in common.value.items() if key in _fields(Joint)}
    before = len(faults)
    made: dict[str, Any] = {}
    for name, item in node.value.items():
        own = item.value if isinstance(item.value, dict) else {} if item.value is None else None
        if own is None:
            faults.append(f"{item.source}: joints.{name} must be a table of {', '.join(_fields(Joint))}, not {_said(item)}")
            continue
        count = len(faults)
        values = _table(Node(known | own, item.source), Joint, f"joints.{name}", faults)
        if len(faults) == count:
            made[name] = Joint(**values)
    return made if len(faults) == before else _WRONG


def _value(node: Node, hint: Any, key: str, faults: list[str]) -> Any:
    """A value of the type `hint`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if node.value is None and type(None) in arguments:
            return None
        return _value(node, next(kind for kind in arguments if kind is not type(None)), key, faults)
    if origin is tuple:
        return _tuple(node, arguments, key, faults)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(node, arguments[1], key, faults)
    if dataclasses.is_dataclass(hint):
        if not isinstance(node.value, dict):
            faults.append(f"{node.source}: {key} must be a table of {', '.join(_fields(typing.cast(type, hint)))}, not {_said(node)}")
            return _WRONG
        before = len(faults)
        values = _table(node, typing.cast(type, hint), key, faults)
        return typing.cast(type, hint)(**values) if len(faults) == before else _WRONG
    if hint is float and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    if hint is bool and isinstance(node.value, bool):
        return node.value
    if hint in (str, Path) and isinstance(node.value, str) and node.value:
        return hint(node.value)
    faults.append(f"{node.source}: {key} must be {_WORDS[hint]}, not {_said(node)}")
    return _WRONG


def _tuple(node: Node, arguments: tuple[Any, ...], key: str, faults: list[str]) -> Any:
    endless = len(arguments) == 2 and arguments[1] is Ellipsis
    if not isinstance(node.value, list) or (not endless and len(node.value) != len(arguments)):
        count = "" if endless else f"{len(arguments)} "
        faults.append(f"{node.source}: {key} must be a list of {count}values, not {_said(node)}")
        return _WRONG
    kinds = [arguments[0]] * len(node.value) if endless else arguments
    values = tuple(_value(item, kind, f"{key}[{i}]", faults) for i, (item, kind) in enumerate(zip(node.value, kinds, strict=True)))
    return _WRONG if any(value is _WRONG for value in values) else values


def _mapping(node: Node, kind: Any, key: str, faults: list[str]) -> Any:
    if not isinstance(node.value, dict):
        faults.append(f"{node.source}: {key} must be a table by name, not {_said(node)}")
        return _WRONG
    values = {name: _value(item, kind, f"{key}.{name}", faults) for name, item in node.value.items()}
    return _WRONG if any(value is _WRONG for value in values.values()) else values


def _said(node: Node) -> str:
    if isinstance(node.value, dict | list):
        return f"a table of {len(node.value)}" if isinstance(node.value, dict) else f"a list of {len(node.value)}"
    return "nothing" if node.value is None else repr(node.value)
