"""The widgets for time, place and term, kept in step with the state."""

from __future__ import annotations

import viser

from robolearn.viewer.dataset.state import PLACES, State
from robolearn.viewer.dataset.widgets import Do, when_changed

SPEEDS = ("0.1", "0.25", "0.5", "1", "2", "4")
BEGIN, BACK, ON = "begin", "row back", "row on"


class Controls:
    """The controls of the replay.

    Attributes:
        follow: whether the camera follows the first robot.
    """

    def __init__(self, gui: viser.GuiApi, state: State, do: Do) -> None:
        """Add the widgets at the current place of the page; `do` runs an action in the thread that owns the page."""
        self._state, self.follow = state, True
        self._play = gui.add_button("Play", icon=viser.Icon.PLAYER_PLAY)
        self._time = gui.add_slider("Time [s]", min=0.0, max=1.0, step=0.01, initial_value=0.0)
        self._rows = gui.add_markdown("")
        speed = gui.add_dropdown("Speed", SPEEDS, initial_value="1")
        self._place = gui.add_dropdown("Two robots", PLACES, initial_value=state.place)
        with gui.add_folder("Steps, repetition, camera", expand_by_default=False):
            step = gui.add_button_group("Step", (BEGIN, BACK, ON))
            repeat = gui.add_checkbox("Repeat", initial_value=state.clock.repeat)
            follow = gui.add_checkbox("Camera follows", initial_value=True)
        self._play.on_click(lambda _: do(lambda: state.clock.play(not state.clock.playing)))
        when_changed(self._time, do, self._scrub)
        step.on_click(lambda event: do(lambda value=event.target.value: self._step(value)))
        when_changed(speed, do, lambda value: setattr(state.clock, "speed", float(value)))
        when_changed(repeat, do, lambda value: setattr(state.clock, "repeat", bool(value)))
        when_changed(follow, do, lambda value: setattr(self, "follow", bool(value)))
        when_changed(self._place, do, state.stand)

    def enter(self) -> None:
        """Update for other episodes."""
        clock = self._state.clock
        self._time.value = 0.0
        self._time.max = round(max(clock.duration_s, 0.01), 3)
        self._time.step = round(min(1 / shown.fps for shown in self._state.shown.values()), 4)
        self._place.visible = "second" in self._state.shown

    def update(self) -> None:
        """Show the time, the rows, and whether it is playing."""
        clock = self._state.clock
        self._time.value = round(clock.at_s, 3)
        self._rows.content = f"{clock.at_s:.2f} s of {clock.duration_s:.2f} s: {self._state.rows}"
        wanted = "Pause" if clock.playing else "Play"
        if self._play.label != wanted:
            self._play.label = wanted
            self._play.icon = viser.Icon.PLAYER_PAUSE if clock.playing else viser.Icon.PLAYER_PLAY

    def _scrub(self, at_s: float) -> None:
        self._state.clock.playing = False
        self._state.clock.seek(at_s)

    def _step(self, what: str) -> None:
        clock, shown = self._state.clock, self._state.shown["first"]
        row = {BEGIN: 0, BACK: shown.row_at(clock.at_s) - 1, ON: shown.row_at(clock.at_s) + 1}[what]
        self._scrub(row / shown.fps)
