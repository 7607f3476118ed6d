"""The widgets of the page. They pass the user's requests on and simulate nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Protocol

import numpy as np
import viser

from policies.contract.spec import CommandSpec
from robolearn.viewer.dataset.widgets import Do, when_changed
from robolearn.viewer.live.board import word_of
from robolearn.viewer.live.choice import FLOOR, GROUNDS, Choice, engines

PUSH, RESTART, PAUSE, GO_ON = "Push", "Start over", "Pause", "Go on"
BRAND = (38, 92, 160)


class Wishes(Protocol):
    """Handles the user's requests."""

    def push(self) -> None:
        """Kick the robot."""
        ...

    def restart(self) -> None:
        """Restart the episode."""
        ...

    def pause(self, paused: bool) -> None:
        """Pause, or continue."""
        ...

    def ask(self, command: np.ndarray) -> None:
        """Set the robot's command (C,)."""
        ...

    def choose(self, choice: Choice) -> None:
        """Show something else."""
        ...

    def look(self, follow: bool, arrows: bool) -> None:
        """Set whether arrows are drawn, and whether the camera follows."""
        ...


class Panel:
    """The widgets on the right.

    Attributes:
        command: values of the sliders, (C,).
    """

    def __init__(self, server: viser.ViserServer, wishes: Wishes, do: Do, choice: Choice, policies: Sequence[str]) -> None:
        """Add the fixed widgets; `tell` adds the sliders.

        Args:
            server: of the page.
            wishes: handles requests.
            do: runs a request in the simulating thread.
            choice: the initial choice.
            policies: the policies to choose from.
        """
        self._gui, self._wishes, self._do, self._choice = server.gui, wishes, do, choice
        self.command = np.zeros(0)
        self._spec: CommandSpec | None = None
        self._sliders: list[viser.GuiSliderHandle[float]] = []
        self._folder: viser.GuiFolderHandle | None = None
        self._gui.configure_theme(show_logo=False, show_share_button=False, brand_color=BRAND)
        self._gui.main_panel.dock_right()
        self._title = self._gui.add_html("", order=0)
        self._actions = self._gui.add_button_group("Robot", (PUSH, RESTART, PAUSE), order=2)
        self._actions.on_click(self._acted)
        with self._gui.add_folder("World", order=3):
            self._policy = self._gui.add_dropdown("Policy", policies, initial_value=choice.policy)
            self._ground = self._gui.add_dropdown("Ground", GROUNDS, initial_value=choice.ground, hint="The terrain under the robot")
            self._level = self._gui.add_slider("Difficulty", 0.1, 1.0, 0.1, min(max(choice.level, 0.1), 1.0), hint="1 is the hardest")
            self._engine = self._gui.add_dropdown("Engine", engines(), initial_value=choice.engine, hint="The physics engine")
            self._randomize = self._gui.add_checkbox("As trained", choice.randomize, hint="With the noise, delays and pushes of training")
        with self._gui.add_folder("View", order=4):
            self._follow = self._gui.add_checkbox("Follow", True, hint="The camera follows the robot")
            self._arrows = self._gui.add_checkbox("Arrows", True, hint="Command and measurement above the robot")
        for name in ("policy", "ground", "level", "engine", "randomize"):
            when_changed(getattr(self, f"_{name}"), do, lambda value, name=name: self.choose(name, value))
        for box in (self._follow, self._arrows):
            when_changed(box, do, lambda _: wishes.look(bool(self._follow.value), bool(self._arrows.value)))

    def tell(
        self, choice: Choice, title: str, under: str, spec: CommandSpec, units: Sequence[str], command: np.ndarray, ground: bool
    ) -> None:
        """Update the panel for what is shown now.

        Args:
            choice: the current choice.
            title, under: its name and description.
            spec, units: its command and the units.
            command: values for the sliders, (C,).
            ground: whether the ground can be chosen.
        """
        self._choice = choice
        self._gui.set_panel_label(title)
        self._title.content = f'<div style="padding:0 0.9em 0.5em;font-size:0.9em;color:#556">{escape(under)}</div>'
        self._policy.value, self._engine.value, self._randomize.value = choice.policy, choice.engine, choice.randomize
        self._ground.value, self._level.value = choice.ground, min(max(choice.level, 0.1), 1.0)
        self._ground.visible = ground
        self._level.visible = ground and choice.ground != FLOOR
        if spec != self._spec:
            self._spec = spec
            self._lay_sliders(spec, units, command)
        self.place(command)

    def place(self, command: np.ndarray) -> None:
        """Set the sliders to a command (C,)."""
        self.command = command.copy()
        for slider, value in zip(self._sliders, command, strict=True):
            slider.value = round(float(value), 2)

    @property
    def actions(self) -> tuple[str, ...]:
        """Labels of the small buttons."""
        return tuple(self._actions.options)

    def values(self) -> dict[str, Any]:
        """Values of the widgets, by the fields of `Choice`."""
        return {field.name: getattr(self, f"_{field.name}").value for field in dataclasses.fields(Choice)}

    def paused(self, paused: bool) -> None:
        """Update the label of the pause button."""
        self._actions.options = (PUSH, RESTART, GO_ON if paused else PAUSE)

    def _lay_sliders(self, spec: CommandSpec, units: Sequence[str], command: np.ndarray) -> None:
        if self._folder is not None:
            self._folder.remove()
        self._folder, self._sliders = self._gui.add_folder("Command", order=1, visible=bool(spec.labels)), []
        with self._folder:
            for index, label in enumerate(spec.labels):
                low, high = float(spec.lower[index]), float(spec.upper[index])
                unit = f" [{units[index]}]" if units else ""
                name = word_of(label, spec.kind) + unit
                slider = self._gui.add_slider(
                    name, low, high if high > low else low + 0.01, 0.01, float(np.clip(command[index], low, high))
                )
                when_changed(slider, self._do, lambda value, index=index: self._pulled(index, value))
                self._sliders.append(slider)
            if spec.kind == "velocity":
                hint = "All three to zero: the policy goes on and stops walking. It is not the `stand` of deploy, which leaves the policy."
                self._add_button("Zero command", hint, lambda: np.zeros(len(spec.labels)))
            else:
                draw = np.random.default_rng()
                name = "Random goal" if spec.kind.startswith("goal") else "Random command"
                self._add_button(name, "Anywhere in the trained range", lambda: draw.uniform(spec.lower, spec.upper))

    def _add_button(self, name: str, hint: str, command: Callable[[], np.ndarray]) -> None:
        def asked() -> None:
            self.place(command())
            self._wishes.ask(self.command)

        self._gui.add_button(name, hint=hint).on_click(lambda _: self._do(asked))

    def _pulled(self, index: int, value: float) -> None:
        if index < len(self.command):
            self.command[index] = value
            self._wishes.ask(self.command)

    def _acted(self, event: viser.GuiEvent[Any]) -> None:
        actions = {PUSH: self._wishes.push, RESTART: self._wishes.restart}
        actions |= {PAUSE: lambda: self._wishes.pause(True), GO_ON: lambda: self._wishes.pause(False)}
        self._do(actions[str(event.target.value)])

    def choose(self, name: str, value: Any) -> None:
        """Request another value of a field of `Choice`."""
        self._choice = dataclasses.replace(self._choice, **{name: value})
        self._wishes.choose(self._choice)
