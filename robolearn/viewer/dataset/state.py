"""What the page shows, without a browser: which episodes, which term, when, and where the robots stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from envs.robots.robot import Robot
from robolearn.viewer.dataset.catalog import Catalog, Shown
from robolearn.viewer.dataset.clock import Clock
from robolearn.viewer.dataset.poses import from_start
from robolearn.viewer.dataset.series import Series, series_of
from robolearn.viewer.dataset.stage import APART_M
from robolearn.viewer.dataset.terms import Term

Side = Literal["first", "second"]
Place = Literal["side by side", "in one place", "as recorded"]
SIDES: tuple[Side, ...] = get_args(Side)
PLACES: tuple[Place, ...] = get_args(Place)
ALL = "all"


@dataclass(kw_only=True)
class State:
    """What is chosen.

    Attributes:
        catalog: what there is.
        shown: the episodes that are looked at, the second beside the first.
        clock: when.
        term: label of what is plotted of both; empty where there is nothing.
        entry: name of one of its entries, or `all`.
        place: where two robots stand.
    """

    catalog: Catalog
    shown: dict[Side, Shown] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    term: str = ""
    entry: str = ALL
    place: Place = "side by side"
    _paths: dict[Side, np.ndarray] = field(default_factory=dict)

    def choose(self, number: int, side: Side = "first") -> None:
        """Show an episode of the catalog; the clock begins anew.

        Raises:
            UserError: it cannot be read; what was shown stays.
        """
        self.shown[side] = self.catalog.load(number)
        self._changed()

    def leave_second(self) -> None:
        """Show the first alone."""
        if self.shown.pop("second", None) is not None:
            self._changed()

    @property
    def terms(self) -> tuple[str, ...]:
        """Labels of what can be plotted: of the first episode, then what the second has beside it."""
        return tuple(dict.fromkeys(term.label for shown in self.shown.values() for term in shown.terms))

    @property
    def entries(self) -> tuple[str, ...]:
        """Entries of the term, after `all`."""
        found = [self.term_of(side) for side in self.shown]
        return (ALL, *dict.fromkeys(name for term in found if term is not None for name in term.names))

    def plot(self, term: str, entry: str = ALL) -> None:
        """Choose what is plotted; an entry that the term lacks is `all`."""
        self.term = term if term in self.terms else next(iter(self.terms), "")
        self.entry = entry if entry in self.entries else ALL

    def stand(self, place: Place) -> None:
        """Choose where two robots stand."""
        self.place = place
        self._place()

    def term_of(self, side: Side) -> Term | None:
        """The term as an episode has it; None where it has not."""
        shown = self.shown.get(side)
        return None if shown is None else next((term for term in shown.terms if term.label == self.term), None)

    def series(self, side: Side) -> Series | None:
        """The term of an episode over time; None where it lacks the term or the entry."""
        term, shown = self.term_of(side), self.shown.get(side)
        if term is None or shown is None or self.entry not in (ALL, *term.names):
            return None
        return series_of(shown.columns, term, None if self.entry == ALL else self.entry, len(shown), shown.fps)

    def pose(self, side: Side) -> np.ndarray | None:
        """The pose (nq,) of an episode's robot now; None where it cannot be shown."""
        path = self._paths.get(side)
        return None if path is None else path[self.shown[side].row_at(self.clock.at_s)]

    @property
    def robots(self) -> list[Robot]:
        """Who can be seen, the first episode's before the second's."""
        found = (self.shown.get(side) for side in SIDES)
        return [shown.robot for shown in found if shown is not None and shown.robot is not None and shown.poses is not None]

    @property
    def rows(self) -> str:
        """In words, which rows are seen now, and where the base of one is not known."""
        told = []
        for side, shown in self.shown.items():
            row = shown.row_at(self.clock.at_s)
            lost = shown.poses is not None and not shown.poses.root_known[row]
            told.append(f"{side} row {row} of {len(shown)}{' (base not known)' if lost else ''}")
        return ", ".join(told)

    def _changed(self) -> None:
        self.clock.restart(max(len(shown) / shown.fps for shown in self.shown.values()))
        self.plot(self.term, self.entry)
        self._place()

    def _place(self) -> None:
        """Poses as they are shown: with two robots, both from one start, unless they are to stand as recorded."""
        self._paths = {}
        for side, shown in self.shown.items():
            if shown.poses is None or shown.robot is None:
                continue
            path = shown.poses.qpos
            if shown.robot.floating_base and self.place != "as recorded" and "second" in self.shown:
                path = from_start(path, APART_M if side == "second" and self.place == "side by side" else 0.0)
            self._paths[side] = path
