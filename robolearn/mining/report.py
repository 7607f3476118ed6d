"""One page: what the rounds came to, and where the policy failed in each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from policies.files import write_text
from robolearn.evaluation.figures import share
from robolearn.mining import charts, failure
from robolearn.mining.bench import Bench
from robolearn.mining.episodes import Episodes
from robolearn.mining.results import MINED, Results, rows_of
from robolearn.mining.rounds import Plan
from robolearn.mining.subject import Subject
from robolearn.report.page import template

PAGE = "report.html"


def write_report(folder: Path, subject: Subject, plan: Plan, bench: Bench, results: Results) -> Path:
    """Write the page from what lies in the folder. Returns its path."""
    evaluation = bench.judge.evaluation
    means = {name: measure for name, measure in evaluation.measures.items() if measure.kind == "mean"}
    first = next(iter(means), None)
    shown = {"held_out/failed": ("held-out failures [%]", 100.0), "nominal/failed": ("nominal failures [%]", 100.0)}
    if first is not None:
        unit = f" [{means[first].unit}]" if means[first].unit else ""
        shown[f"nominal/{first}"] = (f"nominal {means[first].label}{unit}", 1.0)
    columns = {
        "held_out/failed": "held-out failures [%]",
        "held_out/failed_change": "less those of the start [points]",
        "nominal/failed": "nominal failures [%]",
        **{
            f"{where}/{name}": f"{where.replace('_', '-')} {measure.label}"
            for where in ("held_out", "nominal")
            for name, measure in means.items()
        },
    }
    page = template("improve.html.j2").render(
        name=subject.name,
        robot=subject.robot.name,
        task=subject.cfg.task,
        score=evaluation.measures[evaluation.score].label,
        plan=plan,
        verdict=results.verdict(),
        curves=charts.rounds(results.curves(), shown, None if results.expert is None else share(results.expert.failed))
        if results.arms
        else "",
        header=list(columns.values()),
        rows=rows_of(results, list(columns)) if results.arms else [],
        looks=_looks(folder, plan, bench),
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


def _looks(folder: Path, plan: Plan, bench: Bench) -> list[dict[str, Any]]:
    """Each round's failures, for the page."""
    places = [("Where it fails", folder / "start")]
    if plan.rounds:
        names = ["as it came", *(f"after round {number}" for number in range(1, plan.rounds))]
        places = [(f"Where it fails, {name}", folder / MINED / f"round-{number}") for number, name in enumerate(names, 1)]
    found = [(title, place, failure.find(bench.space, Episodes.load(place / "explored.json"))) for title, place in places
             if (place / "explored.json").is_file()]  # fmt: skip
    shown = []
    for number, (title, place, failures) in enumerate(found):
        last = found[-1][2] if number == 0 and len(found) > 1 else None
        shown.append(
            {
                "title": title,
                "whole": f"It fails in {failures.whole.line().removeprefix('all ')} episodes",
                "model": _model(place / "conditions.json"),
                "worst": failures.worst(),
                "tree": failures.tree,
                "plot": charts.rates(failures, last) if number == 0 else "",
                "both": last is not None,
            }
        )
    return shown


def _model(path: Path) -> str:
    """What the weights of a round were, in a sentence."""
    if not path.is_file():
        return ""
    told = json.loads(path.read_text(encoding="utf-8"))
    if told["expected"] is None:
        return "Nothing could be weighed: all conditions are drawn alike."
    ranks = (
        ""
        if told["ranking"] is None
        else f" It ranks a failure above a success in {100 * told['ranking']:.0f} % of pairs that it had not seen."
    )
    hard, alike = told["expected"]
    against = f"against {100 * alike:.0f} % drawn alike"
    return f"Conditions are drawn so that the model of failure expects {100 * hard:.0f} % failures among them, {against}.{ranks}"
