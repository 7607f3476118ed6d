"""Plots for the report as inline SVG that takes its text colour from the page, so that it is readable on light and dark."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010203"  # stands for the page's text colour
COLORS = ("#2b7de9", "#e8772e", "#1fa774", "#a45de0")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "robolearn",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "#8a94a3",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}
CURVES = {"reward": "reward per step", "falls_a_minute": "falls per minute"}
"""Metrics that every training has: column of metrics.jsonl -> title. The task's own are put between them."""


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """The columns of a metrics.jsonl, each (T,), NaN if a line lacks one. A last line cut off by a crash is left out."""
    rows: list[dict[str, float]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    names = {name for row in rows for name in row}
    return {name: np.array([row.get(name, np.nan) for row in rows], float) for name in sorted(names)}


def smooth(values: np.ndarray, share: float = 0.02) -> np.ndarray:
    """Running mean (T,) over a share of the points."""
    width = max(1, round(share * len(values)))
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid")


def learning_curves(runs: Mapping[str, Mapping[str, np.ndarray]], own: Mapping[str, str]) -> str:
    """Learning curves against control steps.

    Args:
        runs: name -> columns from `read_metrics`.
        own: metrics of the task -> title; those that a run has are plotted.
    """
    first, *rest = CURVES.items()
    shown = [(name, title) for name, title in (first, *own.items(), *rest) if any(name in columns for columns in runs.values())]
    if not shown:
        return ""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 2.6), layout="constrained")
        row: Sequence[Axes] = figure.subplots(1, len(shown), squeeze=False)[0]
        for axes, (metric, title) in zip(row, shown, strict=True):
            for color, (name, columns) in zip(COLORS, runs.items(), strict=False):
                if metric in columns and "steps" in columns:
                    x, y = columns["steps"] * 1e-6, columns[metric]
                    axes.plot(x, y, color=color, alpha=0.25, linewidth=0.8)
                    axes.plot(x, smooth(y), color=color, label=name)
            axes.set_title(title)
            axes.set_xlabel("million control steps")
            if metric not in ("reward",):
                axes.set_ylim(bottom=0)
        row[0].legend()
        return to_svg(figure, "learning curves")


def tracking(series: Mapping[str, Any], label: str = "commanded and measured over time") -> str:
    """Command and measurement over time, one row per entry of the command.

    Args:
        series: `time_s` (T,), `labels` (C,), `command` and `measured` (T, C), and `units` (C,) if known.
        label: see `to_svg`; one page holds each once.
    """
    time_s, command, measured = (np.asarray(series[name], float) for name in ("time_s", "command", "measured"))
    labels: Sequence[str] = series["labels"]
    units: Sequence[str] = series.get("units", ())
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 1.6 * len(labels) + 0.4), layout="constrained")
        rows = figure.subplots(len(labels), 1, sharex=True, squeeze=False)[:, 0]
        for index, (axes, entry) in enumerate(zip(rows, labels, strict=True)):
            axes.plot(time_s, measured[:, index], color=COLORS[0], linewidth=1.0, label="measured")
            axes.step(time_s, command[:, index], color=COLORS[2], linewidth=1.8, where="post", label="command")
            axes.set_ylabel(entry.replace("_", " ") + (f" [{units[index]}]" if units else ""))
        rows[0].legend(loc="upper right", ncols=2)
        rows[-1].set_xlabel("time [s]")
        return to_svg(figure, label)


def jitter_histogram(jitter_us: Sequence[float]) -> str:
    """Distribution of the lateness of control steps [us]."""
    values = np.asarray(jitter_us, float)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 2.4), layout="constrained")
        axes = figure.subplots()
        axes.hist(values[values <= np.percentile(values, 99.9)], bins=60, color=COLORS[0], log=True)
        for q, color in ((50, COLORS[2]), (99, COLORS[1])):
            at = float(np.percentile(values, q))
            axes.axvline(at, color=color, label=f"{'median' if q == 50 else 'p99'} {at:.0f} us")
        axes.set_xlabel(f"start of a control step after its deadline [us]; the latest {values.max():.0f} us, 0.1 % beyond the axis")
        axes.set_ylabel("steps")
        axes.legend()
        return to_svg(figure, "jitter of the control loop")


def to_svg(figure: Figure, label: str) -> str:
    """The figure as an SVG element without XML header, metadata or addresses; `label` is its description for screen readers."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    prefix = re.sub(r"\W+", "-", label)  # ids are shared by the page, and it has several plots
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).replace(INK, "currentColor")
