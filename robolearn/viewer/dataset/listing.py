"""The list of episodes on the page: a button each, in pages."""

from __future__ import annotations

from collections.abc import Callable

import viser

from robolearn.viewer.dataset.flags import Flags
from robolearn.viewer.dataset.state import SIDES, Side, State
from robolearn.viewer.dataset.text import label
from robolearn.viewer.dataset.widgets import Do, when_changed

ROWS = 10
COLOURS: dict[Side, tuple[int, int, int]] = {"first": (41, 115, 230), "second": (226, 120, 10)}
PLAIN = (110, 118, 128)
BACK, ON = "back", "on"


class Listing:
    """Filter, pages and a button for each episode."""

    def __init__(self, gui: viser.GuiApi, state: State, flags: Flags, do: Do,
                 choose: Callable[[int, Side], None]) -> None:  # fmt: skip
        """Add the widgets at the current place of the page.

        Args:
            gui: the server's GUI.
            state: what is chosen.
            flags: findings of each episode.
            do: runs an action in the thread that owns the page.
            choose: shows an episode.
        """
        self._state, self._flags, self._do, self._choose = state, flags, do, choose
        self._page = 0
        self._side: Side = "first"
        self._text = gui.add_text("Find", initial_value="", hint="words in name, task, source, robot or licence")
        self._faulty = gui.add_checkbox("Only with faults", initial_value=False)
        self._into = gui.add_dropdown("Show as", SIDES, initial_value=SIDES[0], hint="where to show the episode that you click")
        self._buttons = [gui.add_button(" ", color=PLAIN) for _ in range(ROWS)]
        self._told = gui.add_markdown("")
        turn = gui.add_button_group("Page", (BACK, ON))
        when_changed(self._text, do, lambda _: self._first_page())
        when_changed(self._faulty, do, lambda _: self._first_page())
        turn.on_click(lambda event: self._turned(event.target.value))
        for place, button in enumerate(self._buttons):
            button.on_click(lambda _, place=place: self._clicked(place))
        self.update()

    @property
    def numbers(self) -> list[int]:
        """The episodes that pass the filter."""
        found = self._state.catalog.find(self._text.value)
        return [number for number in found if self._is_faulty(number)] if self._faulty.value else found

    def update(self) -> None:
        """Update the list."""
        numbers, entries = self.numbers, self._state.catalog.entries
        pages = max(1, -(-len(numbers) // ROWS))
        self._page = min(self._page, pages - 1)
        self._here = numbers[self._page * ROWS : (self._page + 1) * ROWS]
        chosen: dict[int, Side] = {id(shown.entry): side for side, shown in reversed(self._state.shown.items())}
        for place, button in enumerate(self._buttons):
            button.visible = place < len(self._here)
            if place < len(self._here):
                entry = entries[self._here[place]]
                button.label = label(entry, self._flags.short((entry.dataset, entry.row.index)))
                side = chosen.get(id(entry))
                button.color = PLAIN if side is None else COLOURS[side]
        total = len(entries)
        checked = "" if self._flags.looked_at >= total or self._flags.failed else f", {self._flags.looked_at} checked"
        self._told.content = f"page {self._page + 1} of {pages}; {len(numbers)} of {total} episodes{checked}"

    def _is_faulty(self, number: int) -> bool:
        entry = self._state.catalog.entries[number]
        return any(finding.grave for finding in self._flags.of((entry.dataset, entry.row.index)) or [])

    def _first_page(self) -> None:
        self._page = 0
        self.update()

    def _turned(self, way: str) -> None:
        self._do(lambda: self._turn(1 if way == ON else -1))

    def _turn(self, pages: int) -> None:
        self._page = max(0, self._page + pages)
        self.update()

    def _clicked(self, place: int) -> None:
        """Called in a server thread: the click means the entry that is there now."""
        if place < len(self._here):
            number, side = self._here[place], self._into.value
            self._do(lambda: self._choose(number, side))
