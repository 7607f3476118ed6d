"""Plots of a gait, as inline SVG in the report's style."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas

from robolearn.evaluation.gait.people import People
from robolearn.evaluation.gait.study import Gait
from robolearn.report.plots import COLORS, STYLE, to_svg

COLUMNS = 4


def knee_cycles(gait: Gait, people: Mapping[str, People]) -> str:
    """The knee over the gait cycle in each condition, its 5 to 95 % band, and that of people if available."""
    percent = np.linspace(0, 100, 101)
    rows = -(-len(gait.knees) // COLUMNS)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 2.0 * rows), layout="constrained")
        grid = canvas.subplots(rows, COLUMNS, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(gait.knees) :]:
            axes.set_visible(False)
        for axes, (name, (mean, low, high)) in zip(grid.flat, gait.knees.items(), strict=False):
            axes.plot(percent, mean, color=COLORS[0], label=gait.robot.name)
            axes.fill_between(percent, low, high, color=COLORS[0], alpha=0.15, linewidth=0)
            person = people.get(name)
            if person is not None and person.knee is not None:
                axes.plot(percent, person.knee[0], color=COLORS[1], label="people")
                axes.fill_between(percent, person.knee[1], person.knee[2], color=COLORS[1], alpha=0.15, linewidth=0)
                axes.legend(loc="upper left", fontsize=7)
            axes.set_title(name, fontsize=9)
        for axes in grid[:, 0]:
            axes.set_ylabel("knee [°]")
        for axes in grid[-1]:
            axes.set_xlabel("stride [%]")
        return to_svg(canvas, "knee over the gait cycle, from touchdown to touchdown")
