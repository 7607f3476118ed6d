"""One chart of the page: a term over time, grey where it is missing, with a line at the current time."""

from __future__ import annotations

import colorsys
from typing import Any

import viser
from viser import uplot

from robolearn.viewer.dataset.series import Series, plotted, thinned

HEIGHT = 190  # pixels
MOST_NAMES = 4
"""Most entries for the chart's own legend, which shows values under the mouse; with more it would be higher than the chart."""
GAP, NOW = "rgb(222,222,222)", "rgb(192,57,43)"
_FLAG = "flag"


class Chart:
    """A place on the page that shows one series at a time."""

    def __init__(self, gui: viser.GuiApi, folder: viser.GuiFolderHandle) -> None:
        """Add an empty folder."""
        self._gui, self._folder = gui, folder
        self._handle: viser.GuiUplotHandle | None = None
        self._series: Series | None = None

    def draw(self, series: Series | None, at_s: float, duration_s: float) -> None:
        """Show another series, or none; the time axis ends at `duration_s` [s]."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        self._series = None if series is None else thinned(series)
        if self._series is None:
            return
        series = self._series
        count = len(series.names)
        lines: list[Any] = [{"label": "time [s]"}]
        lines += [
            {"label": name, "stroke": colour, "width": 1.2, "points": {"show": False}}
            for name, colour in zip(series.names, colours_of(series), strict=True)
        ]
        lines.append({"label": "missing", "scale": _FLAG, "stroke": GAP, "fill": GAP, "width": 0, "points": {"show": False}})
        lines.append({"label": "now", "scale": _FLAG, "stroke": NOW, "width": 1.5, "points": {"show": False}})
        scales: dict[str, uplot.Scale] = {
            "x": {"time": False, "range": (0.0, max(duration_s, 1e-3))},
            _FLAG: {"range": (0.02, 0.98)},  # of lines from 0 to 1 only the vertical parts are visible
        }
        with self._folder:
            self._handle = self._gui.add_uplot(
                plotted(series, at_s),
                tuple(lines),
                scales=scales,
                legend={"show": count <= MOST_NAMES},
                cursor={"sync": {"key": "robolearn"}},
                height=HEIGHT,
            )

    def move(self, at_s: float) -> None:
        """Move the line to another time [s]."""
        if self._handle is not None and self._series is not None:
            self._handle.data = plotted(self._series, at_s)


def colours_of(series: Series) -> list[str]:
    """A colour for each entry."""
    return [_colour(place, len(series.names)) for place in range(len(series.names))]


def _colour(place: int, count: int) -> str:
    """Distinct colours, for any number of entries."""
    red, green, blue = colorsys.hls_to_rgb((place / max(count, 3) + 0.58) % 1.0, 0.36 + 0.14 * (place % 2), 0.75)
    return f"rgb({red * 255:.0f},{green * 255:.0f},{blue * 255:.0f})"
