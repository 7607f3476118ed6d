"""What a walking robot must withstand, as data, checked against the figures of the suite's items.

The numbers are those of G1 for bipeds and of Go1 for others; those with a dimension scale with the robot (`envs.tasks.scaling`), and so do
the heights of the ground. Go1's only differ in the impulse: both are pushes of 1.8 m/s.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envs.robots.robot import Robot
from envs.tasks.scaling import Dimension, factor
from robolearn.evaluation.figures import Figure
from robolearn.evaluation.gait.targets import Target
from robolearn.evaluation.locomotion.result import UNITS, ItemResult, plain
from robolearn.evaluation.locomotion.setup import Setup

DIGITS = 3  # of scaled bounds


@dataclass(frozen=True, kw_only=True)
class Demand:
    """One demand.

    Attributes:
        what: text for display.
        item: item of the suite with the figures.
        target: bounds of a figure in its headline.
        rows: texts in brackets that follow the figure's name; every one of these figures must meet the bounds. Empty for the figure without
            brackets.
        dimensions: dimensions of the bounds, as a product.
    """

    what: str
    item: str
    target: Target
    rows: tuple[str, ...] = ()
    dimensions: tuple[Dimension, ...] = ()

    def of(self, robot: Robot) -> Demand:
        """The same for a robot of another size."""
        grown = 1.0
        for dimension in self.dimensions:
            grown *= factor(robot, dimension)
        if grown == 1.0:
            return self
        low, high = (None if bound is None else float(f"{bound * grown:.{DIGITS}g}") for bound in (self.target.low, self.target.high))
        return dataclasses.replace(self, target=dataclasses.replace(self.target, low=low, high=high))

    def figures(self, result: ItemResult) -> dict[str, Figure]:
        """Its figures in an item's result, by their names there."""
        found = {}
        for name, figure in result.headline.items():
            figure_name, _, row = name.removesuffix(")").partition(" (")
            if figure_name == self.target.figure and (row.startswith(self.rows) if self.rows else not row):
                found[name] = figure
        return found


def _survival(what: str, item: str, low: float, *rows: str) -> Demand:
    return Demand(what=what, item=item, rows=rows, target=Target(figure="survival", low=low))


def _ground(what: str, low: float, *rows: str) -> tuple[Demand, Demand]:
    """No robot falls, and crossing the ground is required too."""
    asked = tuple(f"asked, {row}" for row in rows)
    crossed = Demand(what=f"{what}, crossed", item="terrain", rows=asked, target=Target(figure="crossed", low=low))
    return _survival(what, "terrain", low, *asked), crossed


def _pushed(impulse: float) -> Demand:
    """Half of the robots survive pushes of this many newton seconds."""
    return Demand(what="half of the pushes", item="pushes", target=Target(figure="half_impulse", low=impulse), dimensions=("mass", "speed"))


COMMON = (
    _survival("all disturbances, whole range of commands", "disturbed", 0.95),
    Demand(
        what="all disturbances, planar error",
        item="disturbed",
        target=Target(figure="velocity_error_xy", high=0.2),
        dimensions=("speed",),
    ),
    _survival("standing, left alone", "standing", 1.0, "left alone"),
    _survival("standing, disturbed", "standing", 1.0, "disturbed"),
    Demand(
        what="lift-offs per minute, left alone", item="standing", rows=("left alone",), target=Target(figure="steps_a_minute", high=0.0)
    ),
    Demand(
        what="unexcused lift-offs per minute, disturbed",
        item="standing",
        rows=("disturbed",),
        target=Target(figure="steps_a_minute", high=0.0),
    ),
    _survival("command from corner to corner in one step", "corners", 1.0),
    *_ground("slopes", 0.95, "slope"),
    *_ground("rough ground", 0.95, "rough"),
    *_ground("steps", 0.85, "steps"),
    *_ground("planks", 0.95, "planks"),
    Demand(
        what="error of the mean yaw rate",
        item="commands",
        rows=("turn", "ahead and turn"),
        target=Target(figure="turning_off", high=0.15),
        dimensions=("rate",),
    ),
    Demand(what="planar error backward / ahead", item="commands", target=Target(figure="backward_ratio", high=1.1)),
)
BIPED = (*COMMON, _pushed(60.0))
QUADRUPED = (*COMMON, _pushed(23.0))


def demands_of(robot: Robot) -> tuple[Demand, ...]:
    """What a robot of its kind and size must withstand."""
    return tuple(demand.of(robot) for demand in (BIPED if len(robot.feet) == 2 else QUADRUPED))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of a demand in an item's result.

    Attributes:
        demand: the demand.
        worst: name of the figure furthest out; empty if nothing was measured.
        figure: that figure.
        missed: the names of all figures that miss it.
        sure: whether the 95 % intervals lie on the same side as the verdict.
        where: where the worst figure has its worst value, from the item.
    """

    demand: Demand
    worst: str | None
    figure: Figure
    missed: tuple[str, ...]
    sure: bool
    where: str

    @property
    def mark(self) -> str:
        """The outcome in one word."""
        return "?" if self.worst is None else "MISSED" if self.missed else "met"


def verdict(demand: Demand, result: ItemResult) -> Verdict:
    """Check an item's result against a demand. A figure beyond the range that was tried counts with the known end of its interval."""
    figures = {name: figure for name, figure in demand.figures(result).items() if _value(figure) is not None}
    target = demand.target
    if not figures:
        return Verdict(demand=demand, worst=None, figure=Figure(None, None, None, 0), missed=(), sure=False, where=result.reason)
    missed = tuple(name for name, figure in figures.items() if not _met(target, _value(figure)))
    worst = max(figures, key=lambda name: _beyond(target, _value(figures[name])))
    ends = {name: _bad_end(target, figure) if not missed else _good_end(target, figure) for name, figure in figures.items()}
    sure = any(not _met(target, ends[name]) for name in missed) if missed else all(_met(target, end) for end in ends.values())
    return Verdict(demand=demand, worst=worst, figure=figures[worst], missed=missed, sure=sure, where=result.where.get(worst, ""))


def verdicts(setup: Setup, results: Mapping[str, ItemResult]) -> list[Verdict]:
    """The outcomes of the demands on the items that ran."""
    return [verdict(demand, results[demand.item]) for demand in demands_of(setup.robot) if demand.item in results]


def rows(setup: Setup, results: Mapping[str, ItemResult]) -> list[dict[str, str]]:
    """The table for the report."""
    return [_row(held) for held in verdicts(setup, results)]


def to_list(setup: Setup, results: Mapping[str, ItemResult]) -> list[dict[str, Any]]:
    """The table for the JSON."""
    return [
        {
            "what": held.demand.what,
            "item": held.demand.item,
            "figure": held.demand.target.figure,
            "low": held.demand.target.low,
            "high": held.demand.target.high,
            "worst": held.worst,
            "value": plain(held.figure),
            "met": None if held.worst is None else not held.missed,
            "sure": held.sure,
            "missed": list(held.missed),
            "where": held.where,
        }
        for held in verdicts(setup, results)
    ]


def text(setup: Setup, results: Mapping[str, ItemResult]) -> str:
    """One line per demand."""
    lines = []
    for row in rows(setup, results):
        interval = f" [{row['interval']}]" if row["interval"] else ""
        where = f"; {row['where']}" if row["where"] else ""
        lines.append(f"{row['mark']:8} {row['what']}, {row['wanted']}: {row['value']}{interval}{where}")
    return "\n".join(lines)


def _row(held: Verdict) -> dict[str, str]:
    target = held.demand.target
    unit = UNITS.get(target.figure, "")
    value, interval = held.figure.text(unit)
    of = _bracket(held.worst or "")
    missed = ", ".join(filter(None, map(_bracket, held.missed)))
    where = f"missed in {missed}" if missed else f"worst in {of}" if of and len(held.demand.rows) else ""
    return {
        "what": held.demand.what,
        "wanted": f"{target.text(100 if unit == '%' else 1)} {unit}".rstrip(),
        "value": f"{value} {unit}".rstrip(),
        "interval": interval,
        "mark": held.mark if held.sure or held.worst is None else f"{held.mark}?",
        "where": "; ".join(filter(None, (where, held.where))),
    }


def _bracket(name: str) -> str:
    return name.partition(" (")[2].removesuffix(")").removeprefix("asked, ")


def _value(figure: Figure) -> float | None:
    """The value, or the end of the range tried that it lies beyond."""
    if figure.value is not None:
        return figure.value
    return figure.low if figure.high is None else figure.high if figure.low is None else None


def _met(target: Target, value: float | None) -> bool:
    return value is not None and bool(target.met(Figure(value, None, None, 1)))


def _beyond(target: Target, value: float | None) -> float:
    """Distance of a value beyond the nearer bound; negative inside."""
    assert value is not None
    low = -float("inf") if target.low is None else target.low - value
    high = -float("inf") if target.high is None else value - target.high
    return max(low, high)


def _bad_end(target: Target, figure: Figure) -> float | None:
    """The end of the interval that is nearer to missing a one-sided bound."""
    return figure.low if target.low is not None else figure.high


def _good_end(target: Target, figure: Figure) -> float | None:
    """The other end; an open end misses nothing."""
    end = figure.high if target.low is not None else figure.low
    return end if end is not None else (target.low if target.low is not None else target.high)
