"""The state of the page, independent of a browser: episodes, term, time, and the robots' places."""

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
    """The state of the page.

    Attributes:
        catalog: the available episodes.
        shown: the shown episodes, the second beside the first.
        clock: the time.
        term: label of the plotted term; empty if there is none.
        entry: name of one of its entries, or `all`.
        place: places of two robots.
    """

    catalog: Catalog
    shown: dict[Side, Shown] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    term: str = ""
    entry: str = ALL
    place: Place = "side by side"
    _paths: dict[Side, np.ndarray] = field(default_factory=dict)

    def choose(self, number: int, side: Side = "first") -> None:
        """Show an episode of the catalog, from its beginning.

        Raises:
            UserError: it cannot be read; the shown one stays.
        """
        self.shown[side] = self.catalog.load(number)
        self._changed()

    def leave_second(self) -> None:
        """Show only the first."""
        if self.shown.pop("second", None) is not None:
            self._changed()

    @property
    def terms(self) -> tuple[str, ...]:
        """Labels of the terms: those of the first episode, then further ones of the second."""
        return tuple(dict.fromkeys(term.label for shown in self.shown.values() for term in shown.terms))

    @property
    def entries(self) -> tuple[str, ...]:
        """Entries of the term, after `all`."""
        found = [self.term_of(side) for side in self.shown]
        return (ALL, *dict.fromkeys(name for term in found if term is not None for name in term.names))

    def plot(self, term: str, entry: str = ALL) -> None:
        """Choose the plotted term; an entry that it lacks becomes `all`."""
        self.term = term if term in self.terms else next(iter(self.terms), "")
        self.entry = entry if entry in self.entries else ALL

    def stand(self, place: Place) -> None:
        """Choose the places of two robots."""
        self.place = place
        self._place()

    def term_of(self, side: Side) -> Term | None:
        """The term in an episode; None if it has none."""
        shown = self.shown.get(side)
        return None if shown is None else next((term for term in shown.terms if term.label == self.term), None)

    def series(self, side: Side) -> Series | None:
        """The term of an episode over time; None if it lacks the term or the entry."""
        term, shown = self.term_of(side), self.shown.get(side)
        if term is None or shown is None or self.entry not in (ALL, *term.names):
            return None
        return series_of(shown.columns, term, None if self.entry == ALL else self.entry, len(shown), shown.fps)

    def pose(self, side: Side) -> np.ndarray | None:
        """The current pose (nq,) of an episode's robot; None if it cannot be shown."""
        path = self._paths.get(side)
        return None if path is None else path[self.shown[side].row_at(self.clock.at_s)]

    @property
    def robots(self) -> list[Robot]:
        """The visible robots, the first episode's first."""
        found = (self.shown.get(side) for side in SIDES)
        return [shown.robot for shown in found if shown is not None and shown.robot is not None and shown.poses is not None]

    @property
    def rows(self) -> str:
        """The current rows as text, with a note if a base is unknown."""
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
        """The poses to show: two robots start at the same place, unless they are shown as recorded."""
        self._paths = {}
        for side, shown in self.shown.items():
            if shown.poses is None or shown.robot is None:
                continue
            path = shown.poses.qpos
            if shown.robot.floating_base and self.place != "as recorded" and "second" in self.shown:
                path = from_start(path, APART_M if side == "second" and self.place == "side by side" else 0.0)
            self._paths[side] = path
