"""The terms of an episode that can be plotted: its columns, with state and root split into quantities of one unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from robolearn.data.columns import ROOT, STATE, VIDEO, Column

_PARTS = {
    STATE: (
        ("joint position [rad]", "", ".position"),
        ("joint velocity [rad/s]", "", ".velocity"),
        ("projected gravity", "projected_gravity_", ""),
        ("angular velocity of the base [rad/s]", "base_angular_velocity_", ""),
    ),
    ROOT: (
        ("position [m]", "position_", ""),
        ("quaternion", "quaternion_", ""),
        ("linear velocity, world [m/s]", "linear_velocity_", ""),
        ("angular velocity, base [rad/s]", "angular_velocity_", ""),
    ),
}
"""Column -> name of each quantity, and the prefix and suffix of its entries."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One quantity.

    Attributes:
        label: its label on the page.
        column: its column.
        names: names of its entries.
        at: their indices in a row of the column.
    """

    label: str
    column: str
    names: tuple[str, ...]
    at: tuple[int, ...]


def terms_of(columns: Iterable[Column]) -> tuple[Term, ...]:
    """The terms of an episode with these columns, without cameras and texts."""
    return tuple(term for column in columns if column.dtype not in (VIDEO, "string") for term in _split(column))


def _split(column: Column) -> list[Term]:
    names = _entries(column)
    terms: list[Term] = []
    taken: set[int] = set()
    for quantity, begin, end in _PARTS.get(column.name, ()):
        at = [place for place, name in enumerate(names) if place not in taken and name.startswith(begin) and name.endswith(end)]
        taken |= set(at)
        if at:
            short = tuple(names[place].removeprefix(begin).removesuffix(end) for place in at)
            terms.append(Term(label=f"{column.name}: {quantity}", column=column.name, names=short, at=tuple(at)))
    rest = [place for place in range(len(names)) if place not in taken]
    if rest:
        label = f"{column.name}: the rest" if terms else column.name
        terms.append(Term(label=label, column=column.name, names=tuple(names[place] for place in rest), at=tuple(rest)))
    return terms


def _entries(column: Column) -> Sequence[str]:
    """A name for each number of a row."""
    return column.names if len(column.names) == column.width else [f"{column.name} {place}" for place in range(column.width)]
