"""Registries of objects by name, from this package or from plugins: robots, tasks, networks, transports, engines."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from policies import plugins

T = TypeVar("T")
OWN = "robolearn"


class UnknownNameError(ValueError):
    """No object of that kind has that name."""


@dataclass(frozen=True)
class _Declared:
    """An object that is made on first use.

    Attributes:
        target: `package.module:name`, or a function that makes it.
        source: module that declared it.
    """

    target: str | Callable[[], Any]
    source: str


_DECLARED: dict[str, dict[str, _Declared]] = {}
"""Declarations of plugins by name, for each kind, including kinds whose registry is not imported here."""


def declare(kind: str, name: str, target: str | Callable[[], Any]) -> None:
    """Declare an object by name, without importing it or its registry.

    Args:
        kind: its kind, as in its registry, e.g. `robot`.
        name: a free name.
        target: `package.module:name` of the object, or of a function without arguments that makes it; or such a function.

    Raises:
        plugins.PluginError: the name is taken or invalid.
    """
    _check_name(kind, name)
    source = _source()
    known = _DECLARED.setdefault(kind, {})
    if name in known and known[name] != _Declared(target, source):
        raise taken(kind, name, known[name].source, source)
    known[name] = _Declared(target, source)


class Registry(Generic[T]):
    """The objects of one kind, by name. A lookup of an unknown name, or of all names, loads all plugins.

    Attributes:
        kind: the kind of its objects, in the singular, for messages.
    """

    def __init__(self, kind: str, error: type[UnknownNameError] = UnknownNameError, of: type[T] | None = None) -> None:
        """An empty registry.

        Args:
            kind: see the class.
            error: raised for an unknown name.
            of: type of its objects; None for any.
        """
        self.kind = kind
        self._error, self._of = error, of
        self._things: dict[str, T] = {}
        self._sources: dict[str, str] = {}

    def register(self, name: str, thing: T) -> T:
        """Add an object under a free name.

        Raises:
            plugins.PluginError: the name is taken or invalid.
        """
        _check_name(self.kind, name)
        source = _source()
        if self._things.get(name, thing) is not thing:
            raise taken(self.kind, name, self._sources[name], source)
        if (declared := _DECLARED.get(self.kind, {}).get(name)) is not None:
            raise taken(self.kind, name, source, declared.source)
        self._things[name] = thing
        self._sources[name] = source
        return thing

    def get(self, name: str) -> T:
        """The object with that name.

        Raises:
            UnknownNameError: lists the names and the nearest.
            plugins.PluginError: a plugin fails, or its object has the wrong type.
        """
        if name not in self:
            near = difflib.get_close_matches(name, list(self), 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            mend = "" if near else f"; for one of your own install its package, or give --import PACKAGE (docs/bring-your-{self._page}.md)"
            raise self._error(f"unknown {self.kind} {name!r}{hint}; valid: {', '.join(self)}{mend}")
        return self._make(name) if name in self._declared else self._things[name]

    def source(self, name: str) -> str:
        """The module that has registered an object; `robolearn` for our own."""
        declared = self._declared.get(name)
        return declared.source if declared is not None else self._sources[name]

    def __contains__(self, name: object) -> bool:
        if name in self._things:
            return True
        plugins.load()
        return name in self._things or name in self._declared

    def __iter__(self) -> Iterator[str]:
        plugins.load()
        yield from self._things
        yield from (name for name in self._declared if name not in self._things)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def _declared(self) -> dict[str, _Declared]:
        known = _DECLARED.get(self.kind, {})
        both = next((name for name in known if self._sources.get(name, known[name].source) != known[name].source), None)
        if both is not None:
            raise taken(self.kind, both, self._sources[both], known[both].source)
        return known

    @property
    def _page(self) -> str:
        return "robot" if self.kind in ("robot", "transport") else "task"

    def _make(self, name: str) -> T:
        """A declared object, made once."""
        if name not in self._things:
            declared = self._declared[name]
            said = f"the {self.kind} {name!r}, declared by {declared.source}"
            thing = plugins.guarded(lambda: _made(declared.target), said)
            if self._of is not None and not isinstance(thing, self._of):
                raise plugins.PluginError(f"{said}, is of type {type(thing).__name__}, not {self._of.__name__}")
            own = getattr(thing, "name", name) if dataclasses.is_dataclass(thing) else name
            if own != name:
                raise plugins.PluginError(f"{said}, has the name {own!r}; declare it under that name")
            self._things[name], self._sources[name] = cast(T, thing), declared.source
        return self._things[name]


def _made(target: str | Callable[[], Any]) -> Any:
    thing = plugins.locate(target) if isinstance(target, str) else target
    return thing() if inspect.isfunction(thing) else thing


def _check_name(kind: str, name: str) -> None:
    if not name or name != name.strip():
        raise plugins.PluginError(f"{name!r} is not a valid name for {_a(kind)}")


def taken(kind: str, name: str, first: str, second: str) -> plugins.PluginError:
    """The error if the module `second` registers a name that `first` has already registered."""
    return plugins.PluginError(f"{second} registers {_a(kind)} {name!r}, which {first} has already; register it under another name")


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _source() -> str:
    """The module that is registering something: the first one on the stack that is not ours, unless our own module is being imported before
    it.
    """
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in plugins.ROOMS:
            return module
        if frame.f_code.co_name == "<module>":
            break
        frame = frame.f_back
    return OWN
