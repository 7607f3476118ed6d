"""Plugins: installed packages with an entry point in the group `robolearn.plugins`, and packages named by `--import`.

    [project.entry-points."robolearn.plugins"]
    my_robot = "my_robot_package.plugin"        # a module, imported; or "module:function", which is called

Each registers robots, tasks, networks, transports or engines (`robolearn.plugins`). A plugin that fails is an error, since a silently
missing robot would be searched for in the wrong place.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

GROUP = "robolearn.plugins"
IMPORT = "ROBOLEARN_IMPORT"
"""Environment variable with the names from `--import`, comma-separated, so that programs started by this one import the same."""
SWITCH = "ROBOLEARN_PLUGINS"
"""Environment variable; `off` leaves installed plugins out."""
OF_TRAINING = frozenset({"torch", "mujoco", "gymnasium", "envs", "onnx"})
"""Packages that a robot's computer may lack."""
ROOMS = frozenset({"policies", "envs", "bridge", "robolearn"})

_loaded: set[str] = set()
_asked: list[tuple[str | None, str | None]] = []
"""Values of the two variables when all was loaded."""


class PluginError(ValueError):
    """A plugin cannot be loaded, or registers something invalid."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A package that registers something.

    Attributes:
        value: `module` or `module:function`.
        origin: where it was named, for messages.
        mend: what to do if it fails.
    """

    value: str
    origin: str
    mend: str


def installed() -> Iterator[Plugin]:
    """The plugins of installed packages; none if `ROBOLEARN_PLUGINS=off`."""
    switch = os.environ.get(SWITCH, "")
    if switch not in ("", "on", "off"):
        raise PluginError(f"{SWITCH} must be on or off, not {switch!r}")
    if switch == "off":
        return
    for entry in importlib.metadata.entry_points(group=GROUP):
        package = entry.dist.name if entry.dist is not None else entry.name
        mend = f"fix it, or pip uninstall {package}, or run without plugins: {SWITCH}=off"
        yield Plugin(value=entry.value, origin=f"the plugin {entry.name!r} of the installed package {package}", mend=mend)


def named() -> Iterator[Plugin]:
    """The plugins named by `--import` and the environment variable `ROBOLEARN_IMPORT`."""
    for value in filter(None, os.environ.get(IMPORT, "").split(",")):
        yield Plugin(value=value, origin=f"--import {value}", mend="fix it, or leave the option out")


def load() -> None:
    """Load every plugin that is not loaded yet.

    Raises:
        PluginError: one fails; says which, why and where.
    """
    now = (os.environ.get(IMPORT), os.environ.get(SWITCH))
    if now in _asked:
        return
    _asked.append(now)  # set first, since a plugin's imports may ask for plugins
    try:
        for plugin in (*installed(), *named()):
            if plugin.value not in _loaded:
                _load(plugin)
                _loaded.add(plugin.value)
    except BaseException:
        _asked.clear()
        raise


def use(names: Sequence[str]) -> None:
    """Load all plugins and the packages named by `--import`, including those in the folder in which the program was started.

    Raises:
        PluginError: one fails, or is not a module's name.
    """
    for name in names:
        if name.endswith(".py") or os.sep in name:
            module = os.path.splitext(name)[0].strip(os.sep).replace(os.sep, ".")
            raise PluginError(f"--import takes the name of a module, not a path: --import {module}")
        if not all(part.isidentifier() for part in name.split(".")):
            raise PluginError(f"--import takes the name of a module, e.g. my_package.plugin, not {name!r}")
    known = [name for name in os.environ.get(IMPORT, "").split(",") if name]
    known += [name for name in dict.fromkeys(names) if name not in known]
    if known:
        os.environ[IMPORT] = ",".join(known)
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # last, so that a folder there does not hide installed packages
    load()


def add_option(parser: argparse.ArgumentParser) -> None:
    """Show `--import` in a command's help; `take` reads it before the command's options are known, since a plugin may add some."""
    text = "package to import first, which registers your robots, tasks and so on; repeatable"
    parser.add_argument("--import", dest="imports", action="append", metavar="PACKAGE", help=text)


def take(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line into the rest and the names that `--import` gives.

    Raises:
        PluginError: the option has no name.
    """
    rest: list[str] = []
    names: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        option, equals, value = argument.partition("=")
        if option != "--import":
            rest.append(argument)
            if argument == "--ros-args":  # the rest belongs to another program
                return rest + waiting, names
            continue
        value = value if equals else waiting.pop(0) if waiting else ""
        if not value or value.startswith("-"):
            raise PluginError("--import needs the name of a package, as in --import my_package")
        names.append(value)
    return rest, names


def locate(target: str) -> Any:
    """Import the object of `package.module:name`.

    Raises:
        PluginError: not of that form, the module fails, or no such name in it.
    """
    module, colon, name = target.partition(":")
    if not (colon and name and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))):
        raise PluginError(f"{target!r} must have the form package.module:name")
    thing = _import(module, repr(target))
    for part in name.split("."):
        try:
            thing = getattr(thing, part)
        except AttributeError:
            there = ", ".join(word for word in vars(thing) if not word.startswith("_")) or "nothing"
            raise PluginError(f"{target!r}: {module} has no {part!r}; it has {there[:200]}") from None
    return thing


def guarded(act: Callable[[], Any], what: str, mend: str = "") -> Any:
    """Run something from a plugin.

    Args:
        act: the action.
        what: the subject of the error message.
        mend: what to do if it fails.

    Raises:
        PluginError: it failed; with reason, place and mend.
    """
    try:
        return act()
    except (KeyboardInterrupt, MemoryError):
        raise
    except PluginError as error:
        raise PluginError(f"{what}: {error}" + (f"; {mend}" if mend and mend not in str(error) else "")) from error
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split()) or "without a word"
        place = _place(error)
        parts = [f"{what} fails: {type(error).__name__}: {said}{f' ({place})' if place else ''}", _hint(error), mend]
        raise PluginError("; ".join(part for part in parts if part)) from error


def _load(plugin: Plugin) -> None:
    module, _, name = plugin.value.partition(":")
    what = f"{plugin.origin} ({plugin.value})" if plugin.value not in plugin.origin else plugin.origin
    if not name:
        guarded(lambda: importlib.import_module(module), what, plugin.mend)
        return
    register = guarded(lambda: locate(plugin.value), what, plugin.mend)
    if not callable(register):
        raise PluginError(f"{what} is not a function; an entry point must be a module, or a function that registers things")
    guarded(register, what, plugin.mend)


def _import(module: str, what: str) -> Any:
    return guarded(lambda: importlib.import_module(module), what)


def _place(error: BaseException) -> str:
    """File and line in the plugin's own code where it failed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    theirs = [frame for frame in frames if frame.f_globals.get("__name__", "").partition(".")[0] not in {"importlib", *ROOMS}]
    lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__) if frame in theirs]
    return f"{lines[-1][0]}:{lines[-1][1]}" if lines else ""


def _hint(error: BaseException) -> str:
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return ""
    top, dot, _ = error.name.partition(".")
    if top in OF_TRAINING and not (dot and top in ROOMS):
        return "for running policies, a plugin must register by name, 'package.module:name', and must not import training packages itself"
    if top in ROOMS:
        return f"robolearn has a package {top} too: give your package another name"
    return ""
