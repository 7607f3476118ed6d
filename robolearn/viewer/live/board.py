"""The board in the corner of the page: command and measurement as numbers with units, and a legend of the colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from policies.contract.spec import CommandSpec
from robolearn.viewer.moment import Moment

WORDS = {"vx": "forward", "vy": "left", "yaw_rate": "turn left"}
"""Labels of the entries of a velocity command."""
GREEN, BLUE = (18, 136, 66), (30, 90, 214)
"""Colours of command and measurement, as the arrows look."""
PACE = 0.95  # share of real time below which the board says that it is slow


def word_of(label: str, kind: str) -> str:
    """The label of an entry of a command."""
    return WORDS.get(label, label.replace("_", " ")) if kind == "velocity" else label.replace("_", " ")


def legend(kind: str, arrow: float) -> str:
    """The legend of the scene for a kind of command; `arrow` is the length of an arrow for 1 m/s [m]."""
    if kind == "velocity":
        return f"Arrows over the robot: {arrow:g} m for 1 m/s. Arcs: turning."
    if kind.startswith("goal"):
        return "Sphere: the goal, green once it is reached. Line: from the tool to it."
    return ""


def table(command: CommandSpec, units: Sequence[str], moment: Moment | None) -> str:
    """The numbers of a moment, as HTML; dashes for unknown values."""
    head = f'<th style="{_cell(GREEN)}">&#9632; command</th><th style="{_cell(BLUE)}">&#9632; measured</th>'
    rows = []
    for index, label in enumerate(command.labels):
        asked, measured = (moment.command[index], moment.measured[index]) if moment else (math.nan, math.nan)
        unit = escape(units[index]) if units else ""
        rows.append(
            f'<tr><td>{escape(word_of(label, command.kind))}</td><td style="{_cell(GREEN)}">{_number(asked)}</td>'
            f'<td style="{_cell(BLUE)}">{_number(measured)}</td><td style="padding-left:0.8em;color:#667">{unit}</td></tr>'
        )
    style = "width:100%;border-collapse:collapse;font-size:0.875em;line-height:1.5;font-variant-numeric:tabular-nums"
    return f'<table style="{style}"><tr><th></th>{head}<th></th></tr>{"".join(rows)}</table>'


def board(
    command: CommandSpec, units: Sequence[str], moment: Moment | None, arrow: float, falls: int, pace: float | None, state: str = ""
) -> str:
    """The whole board, as HTML.

    Args:
        command: the kind of command.
        units: units of its entries; empty for none.
        moment: the shown moment; None before the first.
        arrow: length of an arrow for 1 m/s [m].
        falls: falls so far.
        pace: simulated seconds per second; None if not known yet.
        state: a state to show, e.g. `paused`.
    """
    said = [f"{moment.time_s:.1f} s" if moment else "", moment.note if moment else ""]
    said.append(f"{falls} fall{'' if falls == 1 else 's'}")
    said.append(f"slower than real time: x {pace:.2f}" if pace is not None and pace < PACE and not state else "")
    said.append(state)
    line = " &middot; ".join(escape(text) for text in said if text)
    told = f"{line}<br>{legend(command.kind, arrow)}"
    small = "font-size:0.8em;line-height:1.4;color:#556;padding-top:0.45em"
    return f'<div style="padding:0.1em 0.75em 0.5em">{table(command, units, moment)}<div style="{small}">{told}</div></div>'


def _cell(color: tuple[int, int, int]) -> str:
    return f"text-align:right;padding-left:0.9em;color:rgb{color}".replace(" ", "")


def _number(value: float) -> str:
    return f"{value:+.2f}".replace("-", "&minus;") if math.isfinite(value) else "&ndash;"
