"""Item `gait` of the locomotion suite: how the robot walks, compared with recorded people and with targets, and in strips of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robolearn.evaluation.figures import Figure
from robolearn.evaluation.gait import charts, report
from robolearn.evaluation.gait.command import compared_with
from robolearn.evaluation.gait.people import People
from robolearn.evaluation.gait.study import AFTER_S, SETTLED_S, START_S, Gait, study
from robolearn.evaluation.gait.subject import of_setup
from robolearn.evaluation.gait.units import BESIDE, GROUPS, UNITS
from robolearn.evaluation.locomotion.result import ItemResult, Picture, Table
from robolearn.evaluation.locomotion.setup import Setup

HEADLINE = ("pitch", "pitch_range", "knee", "slip", "touchdown")


def run(setup: Setup) -> ItemResult:
    """See `locomotion.items.Item`."""
    subject = of_setup(setup)
    gait = study(subject.make_env, subject.make_actor, setup.seeds, setup.quick)
    people = compared_with(gait.robot)
    beside = report.beside(gait, people)
    tables = [
        Table(title="Targets", rows=_targets(gait)),
        *(Table(title=title, rows=_rows(gait, names), folded=title != "Trunk") for title, names in GROUPS.items()),
    ]
    if beside:
        tables.insert(1, Table(title="Beside recorded people on G1, at about the same speed", rows=_beside(gait, beside, setup.name)))
    fastest = [condition.name for condition in gait.conditions if condition.kind == "ahead"][-1:]
    return ItemResult(
        text=f"Each robot stands for {START_S:g} s, is given a command, and is stopped {AFTER_S:g} s before the end. Figures of walking "
        f"begin {SETTLED_S:g} s after the start; those of starts and stops are the worst of all episodes in the second after them. "
        "Targets are compared with values.",
        headline={
            f"{figure} ({name})": gait.rows[name][figure] for name in ("stand", *fastest) for figure in HEADLINE if _has(gait, name, figure)
        },
        tables=tables,
        plots=[charts.knee_cycles(gait, beside)] if gait.knees else [],
        pictures=[_picture(setup, gait, people)],
    )


def _has(gait: Gait, name: str, figure: str) -> bool:
    return name in gait.rows and figure in gait.rows[name] and gait.rows[name][figure].value is not None


def _rows(gait: Gait, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row per condition, with the figures that any condition has."""
    shown = [name for name in names if any(_has(gait, condition, name) for condition in gait.rows)]
    return [{"condition": condition, **{name: _cell(row, name) for name in shown}} for condition, row in gait.rows.items()]


def _beside(gait: Gait, beside: Mapping[str, People], name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for condition, person in beside.items():
        rows.append({"condition": condition, "who": name, **{figure: _cell(gait.rows[condition], figure) for figure in BESIDE}})
        rows.append({"condition": condition, "who": "people", **{figure: _cell(person.figures, figure) for figure in BESIDE}})
    return rows


def _cell(row: Mapping[str, Figure], name: str) -> Figure:
    return row.get(name, Figure(None, None, None, 0))


def _targets(gait: Gait) -> list[dict[str, Any]]:
    rows = []
    for verdict in report.held(gait):
        target, unit = verdict.target, UNITS[verdict.target.figure]
        scale = 100 if unit == "%" else 1
        rows.append(
            {
                "figure": f"{target.figure.replace('_', ' ')}{f' [{unit}]' if unit else ''}",
                "where": target.where,
                "wanted": target.text(scale),
                "worst": "–" if verdict.worst is None else f"{scale * verdict.worst:.3g}",
                "verdict": report.mark(verdict),
                "missed in": ", ".join(verdict.missed) or "–",
            }
        )
    return rows


def _picture(setup: Setup, gait: Gait, people: list[People]) -> Picture:
    """The strips, unless pictures are off or cannot be drawn."""
    title = "One stride at each speed and direction" + ("; a person's below ours" if any(row.poses is not None for row in people) else "")
    if setup.folder is None:
        return Picture(title=title, failure="left out")
    path, failure = report.draw(gait, setup.folder, people, report.SMALL)
    return Picture(title=title, path=path, failure=failure)
