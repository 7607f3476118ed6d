"""Things by name, from this package or from a user's: robots, tasks, networks, transports."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class UnknownNameError(ValueError):
    """Nothing of that kind has that name."""


class Registry(Generic[T]):
    """What there is of one kind, by name.

    Attributes:
        kind: what its things are, in the singular, as messages say it.
    """

    def __init__(self, kind: str, error: type[UnknownNameError] = UnknownNameError) -> None:
        self.kind = kind
        self._error = error
        self._things: dict[str, T] = {}

    def register(self, name: str, thing: T) -> T:
        """Add a thing under a name that is free.

        Raises:
            ValueError: the name is taken by another thing, or is none.
        """
        if not name or name != name.strip():
            raise ValueError(f"{name!r} is no name for a {self.kind}")
        if self._things.get(name, thing) is not thing:
            raise ValueError(f"there is a {self.kind} {name!r} already; register yours under another name")
        self._things[name] = thing
        return thing

    def get(self, name: str) -> T:
        """The thing of that name.

        Raises:
            UnknownNameError: lists the names and the nearest.
        """
        if name not in self._things:
            near = difflib.get_close_matches(name, self._things, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise self._error(f"unknown {self.kind} {name!r}{hint}; valid: {', '.join(self._things)}")
        return self._things[name]

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)
