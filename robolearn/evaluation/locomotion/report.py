"""The suite's report: one self-contained page, and the same figures as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robolearn.evaluation.figures import Figure
from robolearn.evaluation.locomotion import demands
from robolearn.evaluation.locomotion.charts import label
from robolearn.evaluation.locomotion.items import ITEMS
from robolearn.evaluation.locomotion.result import UNITS, ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup
from robolearn.report.page import embed_picture, embed_video, template, write_page
from robolearn.writing import write_json

PAGE, DATA = "report.html", "suite.json"


def to_dict(setup: Setup, results: Mapping[str, ItemResult], minutes: Mapping[str, float]) -> dict[str, Any]:
    """The whole suite as plain JSON values."""
    items = [{"name": name, "title": ITEMS[name].title, "minutes": minutes[name], **result.to_dict()} for name, result in results.items()]
    run = {"engine": setup.engine, "seeds": setup.seeds, "seed": setup.seed, "quick": setup.quick}
    return {"suite": "locomotion", **setup.told, **run, "items": items, "targets": demands.to_list(setup, results)}


def write(folder: Path, setup: Setup, results: Mapping[str, ItemResult], minutes: Mapping[str, float]) -> tuple[Path, dict[str, Any]]:
    """Write page and JSON, each whole or not at all. Returns the page's path and the content of the JSON."""
    data = to_dict(setup, results, minutes)
    shown = [
        {
            "name": name,
            "title": ITEMS[name].title,
            "result": result,
            "tables": [_rows(table) for table in result.tables],
            "clips": [(clip, embed_video(clip.path, folder)) for clip in result.clips],
            "pictures": [(picture, embed_picture(picture.path)) for picture in result.pictures],
            "headline": [(label(figure), _text(figure, value)) for figure, value in result.headline.items()],
        }
        for name, result in results.items()
    ]
    write_page(
        folder / PAGE,
        template("suite.html.j2").render(
            data=data,
            name=setup.name,
            items=shown,
            targets=demands.rows(setup, results),
            minutes=minutes,
            total_minutes=sum(minutes.values()),
        ),
    )
    write_json(folder / DATA, data)
    return folder / PAGE, data


def _rows(table: Table) -> dict[str, Any]:
    """A table as text: the header, and (value, interval) for every cell."""
    names = list(table.rows[0]) if table.rows else []
    rows = [[_text(name, row[name]) for name in names] for row in table.rows]
    return {"title": table.title, "folded": table.folded, "header": [label(name) for name in names], "rows": rows}


def _text(name: str, value: Any) -> tuple[str, str]:
    if isinstance(value, Figure):
        return value.text(UNITS.get(name.partition(" (")[0], ""))
    return (f"{value:g}" if isinstance(value, float | int) else str(value)), ""
