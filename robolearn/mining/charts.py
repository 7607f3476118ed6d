"""Plots of the rounds, as inline SVG in the report's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from robolearn.evaluation.figures import Figure
from robolearn.mining.failure import Failures, Group
from robolearn.mining.results import MINED, RANDOM
from robolearn.report.plots import COLORS, INK, STYLE, to_svg

OF_ARM = {MINED: COLORS[0], RANDOM: COLORS[1]}
COLUMNS = 4


def rounds(curves: Mapping[str, Sequence[Mapping[str, Figure]]], shown: Mapping[str, tuple[str, float]], expert: Figure | None) -> str:
    """Figures over the rounds, each arm with its intervals.

    Args:
        curves: arm -> figures of each round, the start's first.
        shown: figure -> title and factor.
        expert: the teacher's share of failures on the held-out conditions.
    """
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 3.2), layout="constrained")
        grid = canvas.subplots(1, len(shown), squeeze=False)[0]
        for axes, (name, (title, scale)) in zip(grid, shown.items(), strict=True):
            for shift, (arm, points) in zip((-0.04, 0.04), curves.items(), strict=False):
                _curve(axes, [point[name] for point in points], scale, shift, OF_ARM[arm], arm)
            if name == "held_out/failed" and expert is not None and expert.value is not None:
                axes.axhline(scale * expert.value, color=INK, linewidth=0.8, linestyle=":", label="its teacher")
            axes.set_title(title)
            axes.set_xlabel("round")
            axes.set_xticks(range(max(len(points) for points in curves.values())))
            axes.set_ylim(bottom=0)
        grid[0].legend()
        return to_svg(canvas, "figures over the rounds")


def _curve(axes: Axes, figures: Sequence[Figure], scale: float, shift: float, color: str, label: str) -> None:
    at = [i for i, figure in enumerate(figures) if figure.value is not None]
    values = np.array([scale * (figures[i].value or 0.0) for i in at])
    ends = [figures[i] for i in at]
    low = [value - scale * end.low if end.low is not None else 0.0 for value, end in zip(values, ends, strict=True)]
    high = [scale * end.high - value if end.high is not None else 0.0 for value, end in zip(values, ends, strict=True)]
    axes.errorbar(np.array(at) + shift, values, yerr=[np.clip(low, 0, None), np.clip(high, 0, None)], color=color, label=label,
                  marker="o", markersize=4, capsize=3)  # fmt: skip


def rates(found: Failures, after: Failures | None = None) -> str:
    """Share of failures over each property, with Wilson's intervals; in a second colour what a later round found."""
    names = list(found.rates)
    rows = -(-len(names) // COLUMNS)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 1.9 * rows), layout="constrained")
        grid = list(canvas.subplots(rows, COLUMNS, squeeze=False, sharey=True).flat)
        for axes, name in zip(grid, names, strict=False):
            kinds = _draw(axes, found.rates[name], COLORS[0])
            if after is not None and name in after.rates:
                _draw(axes, after.rates[name], COLORS[2])
            axes.axhline(100 * found.whole.rate, color=INK, linewidth=0.6, linestyle=":")
            axes.set_title(name, fontsize=8)
            axes.tick_params(labelsize=7)
            if kinds:
                axes.set_xticks(range(len(kinds)), kinds, rotation=30, ha="right")
        shown = list(found.rates.values()) + ([] if after is None else list(after.rates.values()))
        top = max((100 * group.interval[1] for row in shown for group in row), default=1.0)
        for number, axes in enumerate(grid):
            axes.set_ylim(0, top)
            axes.set_visible(number < len(names))
        canvas.supylabel("failures [%]", fontsize=9)
        return to_svg(canvas, "failures over each property")


def _draw(axes: Axes, groups: Sequence[Group], color: str) -> list[str]:
    """One row of groups. Returns the names of kinds; none where they are numbers."""
    at = np.array([group.at if group.at is not None else i for i, group in enumerate(groups)], float)
    value = np.array([100 * group.rate for group in groups])
    ends = np.array([[100 * end for end in group.interval] for group in groups])
    error = np.clip([value - ends[:, 0], ends[:, 1] - value], 0, None)
    kinds = bool(groups) and all(group.kind for group in groups)
    style = "o" if kinds else "o-"
    axes.errorbar(at, value, yerr=error, fmt=style, color=color, markersize=3, linewidth=1.0, capsize=2)
    return [group.kind for group in groups] if kinds else []
