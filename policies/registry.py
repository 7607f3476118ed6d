"""Things by name, from this package or from a user's: robots, tasks, networks, transports, engines."""

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
    """Nothing of that kind has that name."""


@dataclass(frozen=True)
class _Declared:
    """A thing that is made when it is asked for.

    Attributes:
        target: `package.module:name`, or what makes it.
        source: module that declared it.
    """

    target: str | Callable[[], Any]
    source: str


_DECLARED: dict[str, dict[str, _Declared]] = {}
"""What plugins have said by name, kind by kind: also of kinds whose registry is not imported here."""


def declare(kind: str, name: str, target: str | Callable[[], Any]) -> None:
    """Say that there is a thing of that name, without importing it or its registry.

    Args:
        kind: what it is, as its registry says it, e.g. `robot`.
        name: a free name.
        target: `package.module:name` of the thing, or of a function without arguments that makes it; or such a function.

    Raises:
        plugins.PluginError: the name is taken, or is none.
    """
    _check_name(kind, name)
    source = _source()
    known = _DECLARED.setdefault(kind, {})
    if name in known and known[name] != _Declared(target, source):
        raise taken(kind, name, known[name].source, source)
    known[name] = _Declared(target, source)


class Registry(Generic[T]):
    """What there is of one kind, by name. Who asks for a name that is not there, or for all, has all plugins loaded.

    Attributes:
        kind: what its things are, in the singular, as messages say it.
    """

    def __init__(self, kind: str, error: type[UnknownNameError] = UnknownNameError, of: type[T] | None = None) -> None:
        """An empty registry.

        Args:
            kind: see the class.
            error: raised for a name that is not there.
            of: what its things must be; None for anything.
        """
        self.kind = kind
        self._error, self._of = error, of
        self._things: dict[str, T] = {}
        self._sources: dict[str, str] = {}

    def register(self, name: str, thing: T) -> T:
        """Add a thing under a name that is free.

        Raises:
            plugins.PluginError: the name is taken by another thing, or is none.
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
        """The thing of that name.

        Raises:
            UnknownNameError: lists the names and the nearest.
            plugins.PluginError: a plugin fails, or what it has declared is not what it should be.
        """
        if name not in self:
            near = difflib.get_close_matches(name, list(self), 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            mend = "" if near else f"; one of yours: install its package, or --import PACKAGE (docs/bring-your-{self._page}.md)"
            raise self._error(f"unknown {self.kind} {name!r}{hint}; valid: {', '.join(self)}{mend}")
        return self._make(name) if name in self._declared else self._things[name]

    def source(self, name: str) -> str:
        """The module that has registered a thing; `robolearn` for our own."""
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
        """A declared thing, made once."""
        if name not in self._things:
            declared = self._declared[name]
            said = f"the {self.kind} {name!r}, declared by {declared.source}"
            thing = plugins.guarded(lambda: _made(declared.target), said)
            if self._of is not None and not isinstance(thing, self._of):
                raise plugins.PluginError(f"{said}, is of type {type(thing).__name__}, not {self._of.__name__}")
            own = getattr(thing, "name", name) if dataclasses.is_dataclass(thing) else name
            if own != name:
                raise plugins.PluginError(f"{said}, calls itself {own!r}; declare it under that name")
            self._things[name], self._sources[name] = cast(T, thing), declared.source
        return self._things[name]


def _made(target: str | Callable[[], Any]) -> Any:
    thing = plugins.locate(target) if isinstance(target, str) else target
    return thing() if inspect.isfunction(thing) else thing


def _check_name(kind: str, name: str) -> None:
    if not name or name != name.strip():
        raise plugins.PluginError(f"{name!r} is no name for {_a(kind)}")


def taken(kind: str, name: str, first: str, second: str) -> plugins.PluginError:
    """The error of the module `second` that registers what `first` has."""
    return plugins.PluginError(f"{second} registers {_a(kind)} {name!r}, which {first} has already; register it under another name")


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _source() -> str:
    """The module that registers something now: the first outside of ours, unless a module of ours is being imported before it."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in plugins.ROOMS:
            return module
        if frame.f_code.co_name == "<module>":
            break
        frame = frame.f_back
    return OWN
