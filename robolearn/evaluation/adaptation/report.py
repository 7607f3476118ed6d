"""The report of the suite `adaptation`: one page, and the same figures with their curves as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure as Canvas

from robolearn.evaluation.adaptation.figures import BASE_S, CYCLE_S, LABELS, LATER_S, UNITS, WITHIN, Curve
from robolearn.evaluation.adaptation.found import Found
from robolearn.evaluation.adaptation.kinds import KINDS
from robolearn.evaluation.figures import Figure
from robolearn.evaluation.locomotion.result import ItemResult, plain
from robolearn.evaluation.locomotion.setup import Setup
from robolearn.report.page import template, write_page
from robolearn.report.plots import COLORS, STYLE, to_svg
from robolearn.writing import write_json

PAGE, DATA = "report.html", "adaptation.json"
COLUMNS = ("before", "peak", "soon", "later", "later_ratio", "back_s", "yaw_later", "survival")
DASHES = ("-", "--", ":")
SHOWN_S = 2.0  # before the change, in the plots


def write(
    folder: Path, setup: Setup, titles: Sequence[str], found: Mapping[str, Mapping[str, Found]], worlds: int, minutes: float
) -> dict[str, Any]:
    """Write page and JSON; each appears whole or not at all. Returns what the JSON holds."""
    data = plain(to_dict(setup, titles, found, worlds))
    items = [_item(name, policies) for name, policies in found.items()]
    page = template("suite.html.j2").render(
        data=data, name=" and ".join(titles) if len(titles) < 4 else f"{len(titles)} policies", items=items, targets=[],
        minutes={"all": minutes}, total_minutes=minutes,
    )  # fmt: skip
    write_page(folder / PAGE, page)
    write_json(folder / DATA, data)
    return data


def to_dict(setup: Setup, titles: Sequence[str], found: Mapping[str, Mapping[str, Found]], worlds: int) -> dict[str, Any]:
    """The whole suite as plain values."""
    run = {"engine": setup.engine, "seeds": setup.seeds, "seed": setup.seed, "quick": setup.quick, "worlds": worlds}
    items = [
        {"name": name, "title": _title(name), "policies": {title: one.to_dict() for title, one in policies.items()}}
        for name, policies in found.items()
    ]
    return {"suite": "adaptation", **setup.told, **run, "policies": list(titles), "items": items}


def _title(name: str) -> str:
    return KINDS[name].title if name in KINDS else "nothing changes"


def _item(name: str, policies: Mapping[str, Found]) -> dict[str, Any]:
    """A section of the page."""
    done = {title: one for title, one in policies.items() if not one.failure}
    failed = "; ".join(f"{title}: {one.failure}" for title, one in policies.items() if one.failure)
    curves = {title: one.curve for title, one in done.items() if one.curve is not None}
    text = (
        f"The planar velocity error about the change, a mean over the last {CYCLE_S:g} s; before it the last {BASE_S:g} s count, "
        f"in the end the last {LATER_S:g} s. Back is when it comes within {WITHIN:g} times the error before and stays there. Who fell "
        "counts as standing still."
    )
    plots = [plot(curves)] if curves else []
    status, more = "done" if done else "failed", f" {failed}" if failed else ""
    result = ItemResult(status=status, reason=failed, text=text + more, plots=plots)
    tables = [_table("Around the change", {title: one.figures for title, one in done.items()}, COLUMNS)]
    probed = {title: one.probes for title, one in done.items() if one.probes}
    if probed:
        tables.append(_table("Share of the change that a linear probe tells", probed, tuple(next(iter(probed.values())))))
    headline = [
        (f"{LABELS[figure]} ({title})", one.figures[figure].text(UNITS[figure]))
        for title, one in done.items()
        for figure in ("later_ratio", "back_s", "survival")
    ]
    return {"name": name, "title": _title(name), "result": result, "tables": tables, "clips": [], "pictures": [], "headline": headline}


def _table(title: str, rows: Mapping[str, Mapping[str, Figure]], columns: Sequence[str]) -> dict[str, Any]:
    heads = [LABELS.get(name, name) + (f" [{UNITS[name]}]" if UNITS.get(name) else "") for name in columns]
    cells = [[(who, ""), *(figures[name].text(UNITS.get(name, "")) for name in columns)] for who, figures in rows.items()]
    return {"title": title, "folded": False, "header": ["policy", *heads], "rows": cells}


def said(name: str, figure: Figure) -> str:
    """A figure for people, in a line."""
    unit = UNITS[name]
    value, ends = figure.text(unit)
    return f"{LABELS[name]} {value}{' ' + unit if unit and value != '–' else ''}" + (f" [{ends}]" if ends else "")


def plot(curves: Mapping[str, Curve]) -> str:
    """Errors over the time from the change, policies side by side."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.6, 3.4), layout="constrained")
        axes = canvas.subplots()
        for index, (title, curve) in enumerate(curves.items()):
            color, dash = COLORS[index % len(COLORS)], DASHES[index // len(COLORS) % len(DASHES)]
            shown = curve.time_s >= -SHOWN_S
            axes.plot(curve.time_s[shown], curve.mean[shown], color=color, linestyle=dash, label=title)
            axes.fill_between(curve.time_s[shown], curve.low[shown], curve.high[shown], color=color, alpha=0.15, linewidth=0)
        axes.axvline(0.0, color="#8a94a3", linewidth=0.8)
        axes.set(xlabel="time since the change [s]", ylabel="planar velocity error [m/s]", ylim=(0, None))
        axes.legend(ncols=2)
        return to_svg(canvas, "error about a change")
