"""The report: one self-contained HTML file, made of the parts that exist; a missing part is shown as not run."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from policies.files import whole, write_text
from robolearn.evaluation.figures import Figure, written
from robolearn.report import opening, plots

EMBEDDED_VIDEO_BYTES = 10_000_000
FIGURE = ("value", "low", "high", "count")
PICTURES = {".png": "image/png", ".jpg": "image/jpeg"}
MIME = {".mp4": "video/mp4", ".webm": "video/webm"}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A line of the summary.

    Attributes:
        name: name of the figure.
        target: its target, in words.
        reached: its value, in words.
        passed: whether the target is met; None if there is none.
    """

    name: str
    target: str
    reached: str
    passed: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """The content of a report; every part except the title may be missing.

    Attributes:
        title: title of the page.
        summary: a paragraph under it.
        targets: lines of the summary table.
        curves: name of a run (`teacher`, `student`) -> its metrics.jsonl.
        metrics: the task's metrics to plot: column -> title.
        tracking: what `render.record_policy` gave, or another object with `time_s`, `labels`, `command`, `measured`, and `figures` and
            `falls` if there are any.
        evaluations: label -> object that `evaluate --json` writes, e.g. of the teacher, the training engine and the precise one.
        deployable: verdict of the gate.
        loop: objects that `bench loop --json` writes.
        jitter_us: lateness of each control step's start [us].
        ros: figures of the run over ROS 2, in reading order.
        ros_tracking: its series, as in `tracking`.
        minutes: stage -> wall-clock time [min].
        provenance: the policy's provenance, as in the policy file.
        video: path of the video.
    """

    title: str
    summary: str = ""
    targets: Sequence[Target] = ()
    curves: Mapping[str, Path] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    tracking: Mapping[str, Any] | None = None
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    deployable: bool | None = None
    loop: Sequence[Mapping[str, Any]] = ()
    jitter_us: Sequence[float] = ()
    ros: Mapping[str, Any] | None = None
    ros_tracking: Mapping[str, Any] | None = None
    minutes: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] | None = None
    video: Path | None = None


def write_report(folder: Path, data: ReportData) -> Path:
    """Write `report.html` into a folder.

    Args:
        folder: folder of the run; created if missing. A video too large to embed is linked, and copied here if it is elsewhere.
        data: the content.

    Returns: Path of the page, which is written whole or not at all.
    """
    runs = {name: plots.read_metrics(path) for name, path in data.curves.items() if path.is_file()}
    page = template("report.html.j2").render(
        data=data,
        curves=plots.learning_curves(runs, data.metrics) if runs else "",
        tracking=_tracking(data.tracking, "command and measurement over time"),
        tracked=_tracked(data.tracking or {}),
        ros_tracking=_tracking(data.ros_tracking, "command and measurement over time, over ROS 2"),
        jitter=plots.jitter_histogram(data.jitter_us) if len(data.jitter_us) else "",
        evaluations=_evaluation_rows(data.evaluations),
        verdict=opening.verdict(data.deployable, data.targets),
        numbers=opening.three_numbers(data.evaluations),
        poster=opening.poster(data.video),
        against=any(item.get("against") for item in data.loop),
        compared=any(item.get("ratio") is not None for item in data.loop),
        video=embed_video(data.video, folder),
        provenance=_flatten(data.provenance or {}),
        ros=_flatten(data.ros or {}),
        total_minutes=sum(data.minutes.values()),
    )
    return write_page(folder / "report.html", page)


def write_page(path: Path, page: str) -> Path:
    """Write a page whole or not at all."""
    write_text(path, page)
    return path


def template(name: str) -> jinja2.Template:
    """Read one of `robolearn/report/templates`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("robolearn.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template(name)


def number(value: Any) -> str:
    """A number as text: three significant digits, with separators of thousands; anything else unchanged."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.3g}"


def _tracking(series: Mapping[str, Any] | None, label: str) -> str:
    return plots.tracking(series, label) if series is not None and len(series["time_s"]) else ""


def _tracked(series: Mapping[str, Any]) -> list[str]:
    """Each figure of a recorded run in words."""
    figures = [figure for figure in series.get("figures", {}).values() if figure["value"] is not None]
    return [f"{figure['label']} {written(figure['value'], figure['unit'])} {figure['unit']}".rstrip() for figure in figures]


def _evaluation_rows(evaluations: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """One row per figure of any evaluation: its name, and (value, interval) for each evaluation."""
    told = {name: figure for result in evaluations.values() for name, figure in result["figures"].items()}
    rows = []
    for key, about in told.items():
        figures = [result["figures"].get(key) for result in evaluations.values()]
        if all(figure is None or figure["value"] is None for figure in figures):
            continue
        shown = [Figure(None, None, None, 0) if figure is None else Figure(*(figure[name] for name in FIGURE)) for figure in figures]
        unit = about["unit"]
        rows.append((f"{about['label']} [{unit}]" if unit else about["label"], [figure.text(unit) for figure in shown]))
    if evaluations:
        rows.append(("episodes", [(number(result.get("episodes")), "") for result in evaluations.values()]))
    return rows


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted names and text; long texts, such as a whole config, keep their lines."""
    rows: list[tuple[str, str]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += _flatten(value, f"{name}.")
        else:
            rows.append((name, json.dumps(value) if isinstance(value, list | tuple) else number(value)))
    return rows


def embed_picture(picture: Path | None) -> str:
    """Data URL of a picture; empty if there is none."""
    if picture is None or not picture.is_file():
        return ""
    return f"data:{PICTURES[picture.suffix]};base64,{base64.b64encode(picture.read_bytes()).decode('ascii')}"


def embed_video(video: Path | None, folder: Path) -> dict[str, str] | None:
    """URL and type of the video: embedded if it is small, otherwise a file beside the page."""
    if video is None or not video.is_file():
        return None
    mime = MIME.get(video.suffix, "video/mp4")
    if video.stat().st_size <= EMBEDDED_VIDEO_BYTES:
        return {"source": f"data:{mime};base64,{base64.b64encode(video.read_bytes()).decode('ascii')}", "type": mime}
    if not video.resolve().is_relative_to(folder.resolve()):
        with whole(folder / video.name) as copy:
            shutil.copy2(video, copy)
        video = folder / video.name
    return {"source": video.resolve().relative_to(folder.resolve()).as_posix(), "type": mime}
