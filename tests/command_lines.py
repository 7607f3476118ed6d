"""Command lines of `robolearn` as they stand in texts, taken apart by the parsers that would, without running anything."""

from __future__ import annotations

import importlib
import re
import shlex
from typing import Any

from bridge.fields import options_in, split_overrides
from policies import plugins
from robolearn import cli
from robolearn.errors import UserError


class NoCommandError(Exception):
    """A line that robolearn would not take."""


def command_of(line: str) -> str:
    """The command in a line of documentation: without its comment, and without a description that stands beside it."""
    line = re.split(r"\s#\s|\s{3,}", line.strip())[0].strip()
    return line.removeprefix("$ ").strip()


def parsed(line: str) -> tuple[str, Any, list[str]]:
    """Name, arguments and overrides of a command line that begins with `robolearn`.

    Raises:
        NoCommandError: says why robolearn would not take it.
    """
    program, *words = shlex.split(line)
    assert program == "robolearn", line
    if words and words[0] in ("--help", "--version"):
        return words[0], None, []
    if not words or words[0] not in cli.COMMANDS:
        raise NoCommandError(f"no command {words[:1]}")
    name = cli.words_of(words)
    arguments = words[len(name.split()) :]
    arguments, _ = plugins.take(arguments)
    if "--help" in arguments:
        return name, None, []
    module: Any = importlib.import_module(f"robolearn.commands.{name.replace(' ', '_')}")
    parser = cli._Parser(prog=name, allow_abbrev=False)
    plugins.add_option(parser)
    module.configure(parser)
    overrides: list[str] = []
    if getattr(module, "ACCEPTS_OVERRIDES", False):
        arguments, overrides = split_overrides(arguments, options_in(parser))
    try:
        return name, parser.parse_args(arguments), overrides
    except (UserError, SystemExit) as error:
        raise NoCommandError(str(error)) from error
