"""The page's texts about an episode, as HTML. Everything from a dataset is escaped, since it is not trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from robolearn.data.check.findings import line, runs_of
from robolearn.data.columns import ROOT
from robolearn.data.licence import verdict
from robolearn.viewer.dataset.catalog import Entry, Shown
from robolearn.viewer.dataset.flags import Flags
from robolearn.viewer.dataset.series import Series, known_rows

KNOWN, MISSING, FAULT = "#4c9f70", "#d9d9d9", "#c0392b"
CUT = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
STYLE = "font-size:.8em;overflow-wrap:anywhere;padding:0 .6em"
_LICENCE = {"free": "free", "restricted": "not for every use", "unknown": "not known to be free"}
_OUTCOME = {True: "success", False: "failed", None: ""}


def label(entry: Entry, flag: str) -> str:
    """A line of the list, the most important first, since it is cut off at the panel's edge."""
    source = entry.source
    outcome = "" if entry.row.success in (True, None) else "failed"
    parts = (entry.name, flag, outcome, f"{source.kind} {source.robot}", source.licence, f"{entry.seconds:.1f} s", entry.row.task)
    return " · ".join(part for part in parts if part)


def about(shown: Shown, flags: Flags) -> str:
    """The source of an episode, and its findings."""
    entry, source = shown.entry, shown.entry.source
    place = (entry.dataset, entry.row.index)
    rows = {
        "task": entry.row.task,
        "outcome": _OUTCOME[entry.row.success],
        "length": f"{len(shown)} rows, {entry.seconds:.2f} s at {shown.fps:g} Hz",
        "source": ", ".join(part for part in (source.kind, source.robot, source.control_mode, source.engine) if part),
        "licence": f"{source.licence} ({_LICENCE[verdict(source.licence)]})",
        "attribution": source.attribution,
        "seed": "" if source.seed is None else str(source.seed),
        "file": source.file_hash[:12],
        "commit": source.commit[:12],
        "note": source.note,
        "3D": _of_scene(shown),
    }
    table = "".join(
        f"<tr><td style='padding-right:.8em;opacity:.7;white-space:nowrap;vertical-align:top'>{key}</td><td>{escape(value)}</td></tr>"
        for key, value in rows.items()
        if value
    )
    return f"<div style='{STYLE}'><table>{table}</table>{_findings(place, flags)}</div>"


def whole(names: Iterable[str], flags: Flags) -> str:
    """The findings about each whole dataset."""
    parts = []
    for number, name in enumerate(names):
        found = flags.of_dataset.get(number)
        if number in flags.failed:
            told = [f"cannot be read to the end: {flags.failed[number]}"]
        elif found is None:
            told = ["being checked …"]
        else:
            told = [line(item) for item in found] or ["no findings about the whole dataset"]
        parts.append(
            f"<b>{escape(name)}</b><ul style='margin:0;padding-left:1.2em'>{''.join(f'<li>{escape(text)}</li>' for text in told)}</ul>"
        )
    return f"<div style='{STYLE}'>{''.join(parts)}</div>"


def heading(side: str, shown: Shown, series: Series | None, colours: Sequence[str]) -> str:
    """The heading of a chart: its episode, and the names of its lines if they are too many for the chart's own legend."""
    title = f"<b>{escape(side)}</b>: {escape(shown.entry.name)}, {escape(shown.entry.source.robot)}"
    if series is None:
        return f"<div style='{STYLE}'>{title}, which has no such term</div>"
    lacks = ", missing throughout" if series.missing.all() else ""
    names = " ".join(f"<span style='color:{colour}'>{escape(name)}</span>" for name, colour in zip(series.names, colours, strict=False))
    return f"<div style='{STYLE};line-height:1.3'>{title}{lacks}<br>{names}</div>"


def known(shown: Shown) -> str:
    """The known rows of an episode: a bar for each column that is missing in places, green where it is known.

    Grey is missing, red a value that is not finite.
    """
    count = len(shown)
    bars, throughout = [], []
    for column in shown.layout:
        rows = known_rows(shown.columns, column.name, count)
        if rows.all():
            throughout.append(column.name)
            continue
        values = shown.columns.get(column.name)
        broken = np.zeros(count, dtype=bool)
        if values is not None and values.dtype.kind == "f":
            broken = np.asarray(~np.isfinite(values.reshape(count, -1)).all(axis=1))
        pieces = _pieces(rows, KNOWN, count) + _pieces(broken, FAULT, count)
        share = f"{100 * rows.mean():.0f}&nbsp;%"
        bars.append(
            f"<div style='display:flex;align-items:center;gap:.5em'><span style='width:13em;{CUT}'>{escape(column.name)}</span>"
            f"<span style='position:relative;flex:1;height:.8em;background:{MISSING}'>{pieces}</span>"
            f"<span style='width:3em;text-align:right'>{share}</span></div>"
        )
    told = f"<div>known throughout: {escape(', '.join(throughout) or 'nothing')}</div>"
    return f"<div style='{STYLE};line-height:1.5'><b>{escape(shown.entry.name)}</b>{''.join(bars)}{told}</div>"


def _pieces(rows: np.ndarray, colour: str, count: int) -> str:
    style = "position:absolute;top:0;height:100%;min-width:1px"
    return "".join(
        f"<span style='{style};left:{100 * begin / count:.3f}%;width:{100 * (end - begin) / count:.3f}%;background:{colour}'></span>"
        for begin, end in runs_of(rows)
    )


def _of_scene(shown: Shown) -> str:
    if shown.robot is None:
        return f"no robot {shown.entry.source.robot!r} is known here; give it with --robot NAME|robot.yaml"
    if shown.poses is None:
        return f"its state does not consist of joints, velocities, gravity and angular velocity of {shown.robot.name}"
    told = []
    if shown.robot.floating_base and ROOT not in shown.columns:
        told.append("the base was not recorded: it stays in place and is tilted by gravity's direction")
    elif not shown.poses.root_known.all():
        told.append("while the base is missing, it stays at its last place")
    if shown.poses.strange:
        told.append(f"joints that {shown.robot.name} lacks: {', '.join(shown.poses.strange)}")
    return "; ".join(told)


def _findings(place: tuple[int, int], flags: Flags) -> str:
    if flags.of(place) is None:
        return "<div>not checked yet</div>"
    lines = flags.lines(place)
    if not lines:
        return f"<div style='color:{KNOWN}'>no faults</div>"
    coloured = (f"<li style='color:{FAULT if text.startswith('fault') else 'inherit'}'>{escape(text)}</li>" for text in lines)
    return f"<ul style='margin:.3em 0;padding-left:1.2em'>{''.join(coloured)}</ul>"
