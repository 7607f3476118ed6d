"""The page: episodes on the left, the robots in the middle, replay, pictures and charts on the right."""

from __future__ import annotations

import queue
import signal
import threading
import time
import webbrowser
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import viser

from envs.robots.robot import Robot
from robolearn.errors import UserError
from robolearn.viewer.browser import open_server, url_of
from robolearn.viewer.dataset import text
from robolearn.viewer.dataset.catalog import Catalog
from robolearn.viewer.dataset.controls import Controls
from robolearn.viewer.dataset.flags import Flags
from robolearn.viewer.dataset.listing import Listing
from robolearn.viewer.dataset.plots import Plots
from robolearn.viewer.dataset.stage import Stage
from robolearn.viewer.dataset.state import SIDES, Side, State
from robolearn.viewer.dataset.views import Views

PICTURE_HZ = 30.0
CHART_S = 0.2
"""Interval of drawing the line at the current time while playing [s]."""
TEXT_S = 1.0
"""Interval of updating the findings [s]."""
WIDTHS = (400, 430)
"""Widths of the left and the right panel [pixels]."""


class Page:
    """A server that shows datasets.

    Attributes:
        url: the URL to open.
        state: what is shown; only changed by the thread in `run`.
    """

    def __init__(self, catalog: Catalog, flags: Flags, port: int = 8080) -> None:
        """Start the server with the first episode, or the first of each of two datasets; `run` makes it live.

        Raises:
            UserError: no port is free, or an episode cannot be read.
        """
        self.state, self._flags = State(catalog=catalog), flags
        firsts = [first for number in range(len(catalog.datasets)) if (first := catalog.first_of(number)) is not None]
        for number, side in zip(firsts, SIDES, strict=False):
            self.state.choose(number, side)
        self._server = open_server(", ".join(catalog.names), port)
        self.url = url_of(self._server)
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stage = Stage(self._server)
        self._drawn: tuple[float, str, bool] | None = None
        self._charted_s = 0.0
        self._next_chart = self._next_text = 0.0
        self._build()
        self._enter()

    def run(self, stop: threading.Event | None = None) -> None:
        """Play and handle requests until `stop` is set or Ctrl-C; then close the server."""
        before = time.monotonic()
        try:
            while stop is None or not stop.is_set():
                now = time.monotonic()
                self.step(now - before)
                before = now
                time.sleep(max(0.0, 1 / PICTURE_HZ - (time.monotonic() - now)))
        finally:
            self._views.stop()
            self._flags.stop()
            self._server.stop()

    def step(self, elapsed_s: float) -> None:
        """One turn: handle requests, advance time, then draw."""
        while not self._asked.empty():
            request = self._asked.get()
            try:
                request()
                self._notice.visible = False
            except UserError as error:
                self._notice.content, self._notice.visible = f"<b style='color:{text.FAULT}'>{escape(str(error))}</b>", True
        clock, now = self.state.clock, time.monotonic()
        clock.tick(elapsed_s)
        looks = (clock.at_s, self.state.place, self._controls.follow)
        if looks != self._drawn:
            self._drawn = looks
            self._stage.follow = self._controls.follow
            poses = (self.state.pose(side) for side in SIDES)
            self._stage.show(*(pose for pose in poses if pose is not None))
        if now >= self._next_chart:
            self._next_chart = now + CHART_S
            self._controls.update()
            if clock.at_s != self._charted_s:
                self._charted_s = clock.at_s
                self._plots.move()
        self._views.update()
        if now >= self._next_text:
            self._next_text = now + TEXT_S
            self._tell()

    def _build(self) -> None:
        gui = self._server.gui
        gui.configure_theme(dark_mode=False, show_logo=False, show_share_button=False)
        gui.main_panel.dock_left()
        gui.main_panel.set_width(WIDTHS[0])
        self._notice = gui.add_html("", visible=False)
        with gui.add_folder("Episodes"):
            self._listing = Listing(gui, self.state, self._flags, self._asked.put, self._choose)
        self._about = {}
        for side in SIDES:
            with gui.add_folder(f"The {side}"):
                self._about[side] = gui.add_html("")
        self._leave = gui.add_button("Show the first alone", visible=False)
        self._leave.on_click(lambda _: self._asked.put(self._leave_second))
        with gui.add_folder("Datasets"):
            self._whole = gui.add_html("")
        panel = gui.add_panel()
        with panel.add_tab("Replay and series"):
            self._controls = Controls(gui, self.state, self._asked.put)
            self._views = Views(gui, self.state)
            self._plots = Plots(gui, self.state, self._asked.put)
        panel.dock_right()
        panel.set_width(WIDTHS[1])

    def _choose(self, number: int, side: Side) -> None:
        self.state.choose(number, side)
        self._enter()

    def _leave_second(self) -> None:
        self.state.leave_second()
        self._enter()

    def _enter(self) -> None:
        """Update for other episodes."""
        self._stage.enter(*self.state.robots)
        self._drawn = None
        self._leave.visible = "second" in self.state.shown
        self._controls.enter()
        self._views.enter()
        self._plots.enter()
        self._tell()

    def _tell(self) -> None:
        """Update the findings of the episodes."""
        self._listing.update()
        for side in SIDES:
            shown = self.state.shown.get(side)
            told = f"<div style='{text.STYLE}'>none; choose “Show as second” above and click an episode</div>"
            _write(self._about[side], told if shown is None else text.about(shown, self._flags))
        _write(self._whole, text.whole(self.state.catalog.names, self._flags))


def _write(handle: viser.GuiHtmlHandle, content: str) -> None:
    if handle.content != content:
        handle.content = content


def serve(
    paths: Sequence[Path], port: int = 8080, robot: Robot | None = None, browser: bool = False, stop: threading.Event | None = None
) -> None:
    """Show datasets until `stop` or Ctrl-C.

    Args:
        paths: folders of the datasets.
        port: first port tried.
        robot: used in place of the robots that the sources name.
        browser: open the page in this computer's browser.
        stop: ends it.

    Raises:
        UserError: one is not a dataset, there are no episodes, or no port is free.
    """
    catalog, flags = Catalog(paths, robot), Flags(paths, robot)
    page = Page(catalog, flags, port)
    flags.start()
    if threading.current_thread() is threading.main_thread():  # shells start background jobs with it ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"open {page.url} in a browser on this computer; Ctrl-C ends", flush=True)
    if browser:
        webbrowser.open(page.url)
    try:
        page.run(stop)
    except KeyboardInterrupt:
        print()
