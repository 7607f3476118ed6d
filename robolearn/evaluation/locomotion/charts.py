"""The suite's plots, as inline SVG in the report's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from robolearn.evaluation.figures import Figure
from robolearn.evaluation.locomotion.logistic import Curve
from robolearn.evaluation.locomotion.result import UNITS
from robolearn.report.plots import COLORS, INK, STYLE, to_svg

BLUE, ORANGE, GREEN, VIOLET = COLORS
SHADE = LinearSegmentedColormap.from_list("shade", [(0.17, 0.49, 0.91, 0.04), (0.17, 0.49, 0.91, 0.75)])
BAD = LinearSegmentedColormap.from_list("bad", [(0.91, 0.47, 0.18, 0.75), (0.12, 0.65, 0.45, 0.35)])


NAMES = {
    "velocity_error_xy": "planar velocity error",
    "velocity_error_yaw": "yaw rate error",
    "half_impulse": "50 % impulse",
    "half_speed": "50 % speed",
    "half_payload": "50 % payload",
    "fell_before": "fell beforehand",
    "steps_a_minute": "lift-offs per minute",
    "all_steps_a_minute": "lift-offs per minute, excused ones too",
    "still": "feet still",
    "backward_ratio": "error backward / ahead",
    "more_than_free": "more than with arms free",
    "pitch": "trunk pitch",
    "roll": "trunk roll",
    "pitch_range": "pitch, 5 to 95 %",
    "roll_range": "roll, 5 to 95 %",
    "slip_sole": "slip, middle of sole",
    "turning": "yaw rate",
    "turning_off": "error of the mean yaw rate",
    "turning_sway": "sway of yaw rate",
    "knee_swing": "knee, most in swing",
    "torque_rms": "torque / m g l",
}
"""Labels that differ from the figure's name."""


def label(name: str) -> str:
    """A figure's label, with its unit."""
    figure, bracket, of_what = name.partition(" (")
    unit = UNITS.get(figure)
    return NAMES.get(figure, figure.replace("_", " ")) + bracket + of_what + (f" [{unit}]" if unit else "")


def command_maps(cells: Sequence[tuple[float, float, float]], rows: Sequence[Mapping[str, Any]]) -> str:
    """Maps over vx and vy, one per yaw rate: survival, errors, cost of transport."""
    shown = (("survival", BAD), ("velocity_error_xy", SHADE), ("velocity_error_yaw", SHADE), ("cost_of_transport", SHADE))
    axes_of = [sorted({cell[axis] for cell in cells}) for axis in range(3)]
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 7.0), layout="constrained")
        grid = canvas.subplots(len(shown), len(axes_of[2]), squeeze=False, sharex=True, sharey=True)
        for line, (name, colors) in enumerate(shown):
            values = {cell: np.nan if row[name].value is None else row[name].value for cell, row in zip(cells, rows, strict=True)}
            known = [value for value in values.values() if np.isfinite(value)] or [0.0]
            low, high = (0.0, 1.0) if name == "survival" else (0.0, max(known) or 1.0)
            for column, yaw in enumerate(axes_of[2]):
                axes: Axes = grid[line, column]
                table = np.array([[values.get((vx, vy, yaw), np.nan) for vx in axes_of[0]] for vy in axes_of[1]])
                axes.imshow(table, cmap=colors, vmin=low, vmax=high, origin="lower", aspect="auto")
                for (y, x), value in np.ndenumerate(table):
                    text = "–" if np.isnan(value) else f"{100 * value:.0f}" if name == "survival" else f"{value:.2f}"
                    axes.text(x, y, text, ha="center", va="center", fontsize=8)
                axes.set_xticks(range(len(axes_of[0])), [f"{v:g}" for v in axes_of[0]])
                axes.set_yticks(range(len(axes_of[1])), [f"{v:g}" for v in axes_of[1]])
                axes.grid(visible=False)
                axes.tick_params(length=0)
                axes.set_title(f"{label(name)}, yaw rate {yaw:g}", fontsize=9)
                if column == 0:
                    axes.set_ylabel("vy [m/s]")
                if line == len(shown) - 1:
                    axes.set_xlabel("vx [m/s]")
        return to_svg(canvas, "figures over the commands")


def footfalls(record: Any, world: int, feet: Sequence[str], title: str, seconds: float = 3.0) -> str:
    """The times at which each foot of one robot is loaded."""
    start = round(1.0 / record.dt)
    contact = record.contact[start : start + round(seconds / record.dt), world]
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 0.6 + 0.28 * len(feet)), layout="constrained")
        axes = canvas.subplots()
        for row, (foot, loaded) in enumerate(zip(feet, contact.T, strict=True)):
            edges = np.diff(np.concatenate([[0], loaded.astype(int), [0]]))
            down, up = np.flatnonzero(edges == 1) * record.dt, np.flatnonzero(edges == -1) * record.dt
            spans = list(zip(down, up - down, strict=True))
            axes.broken_barh(spans, (row - 0.35, 0.7), color=COLORS[row % 2 if len(feet) == 2 else row % 4])
            axes.text(-0.02, row, foot, ha="right", va="center", transform=axes.get_yaxis_transform())
        axes.set(yticks=[], ylim=(len(feet) - 0.5, -0.5), xlim=(0, seconds), xlabel="time [s]; a bar is a foot on the ground", title=title)
        axes.grid(visible=False, axis="y")
        return to_svg(canvas, title)


def survival_curve(rows: Sequence[Mapping[str, Any]], what: str, curve: Curve, half_name: str) -> str:
    """Survival against the load level, with the fit."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 3.0), layout="constrained")
        left, right = canvas.subplots(1, 2)
        left.plot(curve.levels, 100 * curve.survival, color=BLUE, alpha=0.6)
        _points(left, rows, what, "survival", BLUE)
        if curve.half.value is not None:
            left.axvline(curve.half.value, color=ORANGE, linewidth=1.2)
            low, high = curve.half.low or 0.0, curve.half.high or float(curve.levels[-1])
            left.axvspan(low, high, color=ORANGE, alpha=0.15, linewidth=0)
            left.set_title(f"50 % at {curve.half.text()[0]} {UNITS[half_name]} [{curve.half.text()[1]}]")
        left.set(ylim=(-4, 104), xlim=(0, None))
        _points(right, rows, what, "recovery_time", GREEN)
        right.set(ylim=(0, None), xlim=(0, None), title="time to recover, of those who do")
        return to_svg(canvas, f"survival against {what}")


def by_side(halves: Mapping[str, Figure], name: str) -> str:
    """Half points around the robot, front up; hollow if the half point lies beyond the levels tried."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 3.6), layout="constrained")
        axes: Any = canvas.add_subplot(projection="polar")
        axes.set_theta_zero_location("N")
        angles = 2 * np.pi * np.arange(len(halves)) / max(len(halves), 1)
        for angle, half in zip(angles, halves.values(), strict=True):
            ends = [end for end in (half.low, half.high) if end is not None]
            if len(ends) == 2:
                axes.plot([angle, angle], ends, color=BLUE, alpha=0.5)
            if half.value is not None:
                axes.plot(angle, half.value, "o", color=BLUE)
            elif ends:
                axes.plot(angle, ends[0], "o", color=BLUE, markerfacecolor="none")
        axes.set_xticks(angles, list(halves))
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_rlabel_position(22)
        axes.set_title(f"{label(name)} by the side of the blow", pad=18)
        return to_svg(canvas, f"{name} by side")


def sweep(rows: Sequence[Mapping[str, Any]], what: str, trained: tuple[float, float] | None) -> str:
    """Survival and velocity error against one property; the trained range is shaded."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 2.8), layout="constrained")
        for axes, name, color in zip(canvas.subplots(1, 2), ("survival", "velocity_error_xy"), (BLUE, ORANGE), strict=True):
            _points(axes, rows, what, name, color, line=True)
            if trained is not None:
                axes.axvspan(max(trained[0], 0.0), trained[1], color=GREEN, alpha=0.12, linewidth=0, label="trained")
                axes.legend(loc="lower right")
            axes.set_ylim(*((-4, 104) if name == "survival" else (0, None)))
        return to_svg(canvas, f"sweep of {what}")


def course(
    edges_x: np.ndarray, edges_z: np.ndarray, steps: Sequence[Mapping[str, Any]], along: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> str:
    """The ground, the step length on it, and the results of the slope probes."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 4.8 if along else 3.2), layout="constrained")
        rows = canvas.subplots(3 if along else 2, 1, sharex=True, height_ratios=[0.5, 1, 1] if along else [0.4, 1])
        rows[0].fill_between(edges_x, edges_z, color="#8a94a3", alpha=0.5, linewidth=0)
        rows[0].set(ylabel="z [m]", ylim=(0, 1.4 * edges_z.max()))
        _points(rows[1], steps, "x", "step_length", BLUE, line=True)
        rows[1].set_xlabel("")
        for color, (kind, (x, log_odds)) in zip((GREEN, ORANGE), along.items(), strict=False):
            bins = np.arange(0.0, edges_x[-1] + 0.25, 0.25)
            index = np.digitize(x, bins)
            middle = [(bins[i] - 0.125, float(np.mean(log_odds[index == i] > 0))) for i in range(1, len(bins)) if (index == i).any()]
            rows[2].plot(*zip(*middle, strict=True), color=color, label=f"probe says {kind}")
        if along:
            rows[2].set(ylabel="share of samples", ylim=(-0.05, 1.05))
            rows[2].legend(loc="upper left")
        for axes in rows:
            for edge in edges_x:
                axes.axvline(edge, color=INK, linewidth=0.5, alpha=0.3)
        rows[-1].set_xlabel("distance along the course [m]")
        return to_svg(canvas, "the course")


def embedding(points: np.ndarray, kinds: Mapping[str, np.ndarray], most: int = 300) -> str:
    """The first two principal components of hidden states (S, 2) by kind of ground; at most `most` points each."""
    generator = np.random.default_rng(0)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 3.6), layout="constrained")
        axes = canvas.subplots()
        for color, (kind, mask) in zip((BLUE, GREEN, ORANGE), kinds.items(), strict=True):
            ids = np.flatnonzero(mask)
            ids = generator.choice(ids, min(most, len(ids)), replace=False)
            axes.scatter(*points[ids, :2].T, s=7, color=color, alpha=0.5, linewidths=0, label=kind)
        axes.set(xlabel="first principal component", ylabel="second", title="hidden states, each point the mean of a second of one robot")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=2)
        return to_svg(canvas, "embedding of hidden states")


def arm_swing(angles: np.ndarray, dt: float, pairs: Sequence[tuple[int, int]], joints: Sequence[str], seconds: float = 4.0) -> str:
    """Each shoulder (J,) and the opposite hip over time, of one robot, about their means; (T, J) angles [rad]."""
    span = slice(round(2.0 / dt), round((2.0 + seconds) / dt))
    time = np.arange(len(angles))[span] * dt
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 1.7 * len(pairs)), layout="constrained")
        for axes, (shoulder, hip) in zip(canvas.subplots(len(pairs), 1, sharex=True, squeeze=False)[:, 0], pairs, strict=True):
            for joint, color in ((shoulder, ORANGE), (hip, BLUE)):
                axes.plot(time, angles[span, joint] - angles[span, joint].mean(), color=color, label=joints[joint].replace("_", " "))
            axes.set_ylabel("angle [rad]")
            axes.legend(loc="upper right", ncols=2)
        axes.set_xlabel("time [s]")
        return to_svg(canvas, "arms against legs")


def terrain_map(rows: Sequence[Mapping[str, Any]]) -> str:
    """Survival and velocity error over kind of ground and difficulty."""
    kinds, grades = list(dict.fromkeys(row["ground"] for row in rows)), sorted({row["difficulty"] for row in rows})
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 2.9), layout="constrained")
        for axes, (name, colors) in zip(canvas.subplots(1, 2, sharey=True), (("survival", BAD), ("velocity_error_xy", SHADE)), strict=True):
            found = {(row["ground"], row["difficulty"]): row[name].value for row in rows}
            table = np.array([[found[kind, grade] for grade in grades] for kind in kinds], float)
            axes.imshow(table, cmap=colors, vmin=0.0, vmax=1.0 if name == "survival" else np.nanmax([*table.flat, 0.1]), aspect="auto")
            for (y, x), value in np.ndenumerate(table):
                text = "–" if np.isnan(value) else f"{100 * value:.0f}" if name == "survival" else f"{value:.2f}"
                axes.text(x, y, text, ha="center", va="center", fontsize=8)
            axes.set_xticks(range(len(grades)), [f"{grade:g}" for grade in grades])
            axes.set_yticks(range(len(kinds)), kinds)
            axes.set(xlabel="difficulty", title=label(name))
            axes.grid(visible=False)
            axes.tick_params(length=0)
        return to_svg(canvas, "ground and difficulty")


def _points(axes: Axes, rows: Sequence[Mapping[str, Any]], x: str, y: str, color: str, line: bool = False) -> None:
    """Figures with their intervals over a number."""
    scale = 100 if UNITS.get(y) == "%" else 1
    shown = [(row[x], row[y]) for row in rows if row[y].value is not None]
    at, values = [a for a, _ in shown], [scale * figure.value for _, figure in shown]
    for a, figure in shown:
        if figure.low is not None and figure.high is not None:
            axes.plot([a, a], [scale * figure.low, scale * figure.high], color=color, alpha=0.5, linewidth=1.2)
    axes.plot(at, values, "o-" if line else "o", color=color, markersize=4)
    axes.set(xlabel=label(x), ylabel=label(y))
