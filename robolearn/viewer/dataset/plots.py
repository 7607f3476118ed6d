"""The charts of the page: one term of the first and the second episode, and which rows of each are known."""

from __future__ import annotations

import viser

from robolearn.viewer.dataset.chart import MOST_NAMES, Chart, colours_of
from robolearn.viewer.dataset.state import SIDES, Side, State
from robolearn.viewer.dataset.text import heading, known
from robolearn.viewer.dataset.widgets import Do, when_changed


class Plots:
    """Two dropdowns and, for each episode, a heading, a chart and bars."""

    def __init__(self, gui: viser.GuiApi, state: State, do: Do) -> None:
        """Add the widgets at the current place of the page; `do` runs an action in the thread that owns the page."""
        self._state = state
        self._term = gui.add_dropdown("Term", state.terms, initial_value=state.term)
        self._entry = gui.add_dropdown("Entry", state.entries, initial_value=state.entry)
        self._headings: dict[Side, viser.GuiHtmlHandle] = {}
        self._known: dict[Side, viser.GuiHtmlHandle] = {}
        self._charts: dict[Side, Chart] = {}
        for side in SIDES:
            self._headings[side] = gui.add_html("")
            self._charts[side] = Chart(gui, gui.add_folder(None))
        for side in SIDES:
            self._known[side] = gui.add_html("")
        when_changed(self._term, do, lambda term: self._plot(term, state.entry))
        when_changed(self._entry, do, lambda entry: self._plot(state.term, entry))

    def enter(self) -> None:
        """Update for other episodes."""
        for side in SIDES:
            shown = self._state.shown.get(side)
            self._known[side].visible = self._headings[side].visible = shown is not None
            if shown is not None:
                self._known[side].content = known(shown)
        self._plot(self._state.term, self._state.entry)

    def move(self) -> None:
        """Move to another time."""
        for chart in self._charts.values():
            chart.move(self._state.clock.at_s)

    def _plot(self, term: str, entry: str) -> None:
        state = self._state
        state.plot(term, entry)
        for widget, options in ((self._term, state.terms or (" ",)), (self._entry, state.entries)):
            if widget.options != options:  # an open list in the browser would close
                widget.options = options
        self._term.value, self._entry.value = state.term or " ", state.entry
        for side in SIDES:
            series, shown = state.series(side), state.shown.get(side)
            self._charts[side].draw(series, state.clock.at_s, state.clock.duration_s)
            if shown is not None:
                colours = [] if series is None or len(series.names) <= MOST_NAMES else colours_of(series)
                self._headings[side].content = heading(side, shown, series, colours)
