"""A command line's options as fields of a frozen dataclass: name, type, default and help are in one place, as in a config.

    @dataclass(frozen=True, kw_only=True)
    class CableOptions:
        port: int = option(9000, "port that the robot listens to", metavar="N")     # --port N
        raw: bool = option(False, "no check sums")                                   # --raw

Types: bool (a switch; if on by default, with a flag `--no-...`), int, float, str, Path, any of these or None, `Literal` (choices),
and `tuple[X, ...]` (one or more values). A field without `option` is not on the command line.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Group = argparse.ArgumentParser | argparse._ArgumentGroup  # pyright: ignore[reportPrivateUsage] (it has no public name)
_KEY = "option"
_OVERRIDE = re.compile(r"--[A-Za-z_][\w-]*(\.[\w-]+)*=", re.ASCII)
UNIONS = (types.UnionType, typing.Union)  # pyright: ignore[reportDeprecated] (which `Literal[...] | None` is)


class OptionError(ValueError):
    """Options that cannot be on one command line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """The option of a field.

    Attributes:
        help: one line.
        flag: as typed; None for the field's name with dashes.
        metavar: name of the value in the help.
        choices: valid values; None for any of its type.
        repeated: whether further values are given by repeating the option, not in a row.
        alone: the value of the option without an argument; None if it needs one.
        at: where it has an effect, besides or instead of its transport; see `Bound`.
    """

    help: str
    flag: str | None
    metavar: str | None
    choices: tuple[str, ...] | None
    repeated: bool
    alone: Any
    at: tuple[str, ...]

    def dest(self, name: str) -> str:
        """The namespace's field for the dataclass's field `name`."""
        return name if self.flag is None or self.flag.startswith("--no-") else self.flag[2:].replace("-", "_")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bound:
    """An option that only has an effect in some places.

    Attributes:
        name: as typed, for example `--mjcf`.
        dest: its field of the namespace.
        default: its value if not given.
        places: values of `--transport` with which it has an effect; `ros2` includes `ros2 --simulate`, not the other way round.
    """

    name: str
    dest: str
    default: Any
    places: tuple[str, ...]


def option(
    default: Any,
    help: str,  # noqa: A002
    *,
    flag: str | None = None,
    metavar: str | None = None,
    choices: Sequence[str] | None = None,
    repeated: bool = False,
    alone: Any = None,
    at: Sequence[str] = (),
) -> Any:
    """A field that is an option too; see `Option`."""
    valid = None if choices is None else tuple(choices)
    said = Option(help=help, flag=flag, metavar=metavar, choices=valid, repeated=repeated, alone=alone, at=tuple(at))
    return dataclasses.field(default=default, metadata={_KEY: said})


def options_of(schema: type) -> dict[str, tuple[dataclasses.Field[Any], Option]]:
    """The fields of a dataclass that are options."""
    return {field.name: (field, field.metadata[_KEY]) for field in dataclasses.fields(schema) if _KEY in field.metadata}


def add_options(group: Group, schema: type, places: tuple[str, ...] = ()) -> list[Bound]:
    """Add a dataclass's options to a parser or a group of one.

    Args:
        group: where they are shown.
        schema: the dataclass.
        places: where options have an effect that do not define it themselves.

    Raises:
        OptionError: another option has the same name, or an option has an unsupported type.
    """
    hints = typing.get_type_hints(schema)
    bound: list[Bound] = []
    for name, (field, said) in options_of(schema).items():
        flag = said.flag or f"--{name.replace('_', '-')}"
        settings: dict[str, Any] = {"default": field.default, "help": said.help, **_settings(hints[name], field.default, flag)}
        settings |= {key: value for key, value in (("metavar", said.metavar), ("choices", said.choices)) if value is not None}
        if said.repeated:
            del settings["nargs"]
            settings |= {"action": "append", "default": []}  # of which argparse adds to a copy
        if said.alone is not None:
            settings |= {"nargs": "?", "const": said.alone}
        settings["dest"] = said.dest(name)
        try:
            action = group.add_argument(flag, **settings)
        except argparse.ArgumentError as error:
            raise OptionError(f"{schema.__module__}.{schema.__name__}: the option {flag} exists already; choose another name") from error
        bound.append(Bound(name=flag, dest=action.dest, default=field.default, places=said.at or places))
    return bound


def options_in(parser: argparse.ArgumentParser) -> list[str]:
    """All options of a parser as typed, including those of nested commands."""
    names: list[str] = []
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage] (argparse has no public way)
        names += action.option_strings
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            for nested in action.choices.values():
                names += options_in(nested)
    return names


def values(namespace: argparse.Namespace, schema: type[T]) -> T:
    """The dataclass filled from the command line."""
    given: dict[str, Any] = {}
    for name, (_, said) in options_of(schema).items():
        value = getattr(namespace, said.dest(name))
        given[name] = tuple(value) if isinstance(value, list) else value
    return schema(**given)


def split_overrides(arguments: Sequence[str], options: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line without its `--section.key=value`, and these separately; arguments that are among the `options` stay.

    They are removed before argparse, which would read one whose value has a space as a positional argument.
    """
    ours: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        (overrides if is_override(argument) and argument.partition("=")[0] not in options else ours).append(argument)
    return ours, overrides


def is_override(argument: str) -> bool:
    """Whether an argument has the form `--section.key=value`."""
    return _OVERRIDE.match(argument) is not None


def optional(hint: Any) -> tuple[Any, bool]:
    """A type without its `| None`, and whether it had one."""
    members = [arg for arg in typing.get_args(hint) if arg is not type(None)] if typing.get_origin(hint) in UNIONS else [hint]
    return (members[0], members != [hint]) if len(members) == 1 else (hint, False)


def _settings(hint: Any, default: Any, flag: str) -> dict[str, Any]:
    """argparse's arguments for a type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in UNIONS:
        members = [arg for arg in args if arg is not type(None)]
        if members == [bool]:
            return {"action": argparse.BooleanOptionalAction}
        return _settings(members[0], default, flag) if len(members) == 1 else _no_option(hint, flag)
    if origin is typing.Literal:
        return {"choices": args}
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return {"nargs": "+", **_settings(args[0], default, flag)}
    if hint is bool:
        if default is True and not flag.startswith("--no-"):
            raise OptionError(f"{flag} is on by default: give it a flag that switches it off, --no-...")
        return {"action": "store_false" if default is True else "store_true"}
    known: dict[Any, Callable[[str], Any]] = {int: int, float: float, str: str, Path: Path}
    return {"type": known[hint]} if hint in known else _no_option(hint, flag)


def _no_option(hint: Any, flag: str) -> typing.NoReturn:
    raise OptionError(f"{flag}: a value of type {hint} cannot be typed on a command line")
