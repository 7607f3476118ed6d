"""A study of a gait for people and machines: a table, one JSON object, and strips of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policies.files import reason
from robolearn.evaluation.figures import Figure, written
from robolearn.evaluation.gait.study import Gait
from robolearn.evaluation.gait.targets import targets_of, verdicts
from robolearn.evaluation.locomotion.result import plain
from robolearn.viewer import strip

FRAMES = 8
DATA, PICTURE = "gait.json", "strips.png"
UNITS = {
    "survival": "%", "speed": "m/s", "turning": "rad/s", "turning_sway": "rad/s", "velocity_error_xy": "m/s", "velocity_error_yaw": "rad/s", "turning_off": "rad/s",
    "knee": "°", "knee_stance": "°", "knee_swing": "°", "head_motion": "m", "slip": "m/s", "slip_median": "m/s", "slip_sole": "m/s",
    "touchdown": "m/s", "touchdown_most": "m/s", "clearance": "m", "step_length": "m", "cadence": "1/min", "swing_time": "s",
    "asymmetry": "%", "flight": "%", "double_support": "%", "steps_a_minute": "1/min", "steps_after_stop": "1/min", "arm_swing": "°",
    "sag": "m", "jerk": "rad/s³", "torque_rms": "", "power": "W", "cost_of_transport": "",
    **{f"{angle}{part}": "°" for angle in ("pitch", "roll") for part in ("", "_range", "_low", "_high", "_min", "_max")},
    **{f"{edge}_{part}": "°" for edge in ("start", "stop") for part in ("low", "high", "roll")},
}  # fmt: skip
"""Unit of each figure; shares are kept as 0 to 1 and shown in percent."""


def to_dict(gait: Gait, told: Mapping[str, Any]) -> dict[str, Any]:
    """All figures as plain JSON values: by condition and name, the knee over the gait cycle, and the targets."""
    commands = {condition.name: {"kind": condition.kind, "command": list(condition.command)} for condition in gait.conditions}
    biped = len(gait.robot.feet) == 2
    held = [
        {
            "figure": verdict.target.figure,
            "where": verdict.target.where,
            "low": verdict.target.low,
            "high": verdict.target.high,
            "worst": verdict.worst,
            "met": None if verdict.count == 0 else not verdict.missed,
            "missed": verdict.missed,
        }
        for verdict in verdicts(targets_of(biped), gait.conditions, gait.rows)
    ]
    rows = {name: commands[name] | {"figures": plain(figures)} for name, figures in gait.rows.items()}
    knees = {name: dict(zip(("mean", "low", "high"), curve.round(2).tolist(), strict=True)) for name, curve in gait.knees.items()}
    return {**told, "minutes": round(gait.minutes, 2), "units": UNITS, "conditions": rows, "knee_cycles": knees, "targets": plain(held)}


def text(gait: Gait) -> str:
    """Figures by condition, a line a figure, and the targets."""
    names = list(gait.rows)
    lines = [f"{'':24}" + "".join(f"{_short(name):>14}" for name in names)]
    for figure, unit in UNITS.items():
        cells = [gait.rows[name].get(figure, Figure(None, None, None, 0)) for name in names]
        if any(cell.value is not None for cell in cells):
            lines.append(f"{f'{figure} {unit}'.strip():24}" + "".join(f"{cell.text(unit)[0]:>14}" for cell in cells))
    lines.append("")
    for verdict in verdicts(targets_of(len(gait.robot.feet) == 2), gait.conditions, gait.rows):
        target, unit = verdict.target, UNITS[verdict.target.figure]
        worst = "nothing measured" if verdict.worst is None else f"worst {written(verdict.worst, unit)} {unit}".rstrip()
        mark = "?" if not verdict.count else "MISSED" if verdict.missed else "met"
        where = "" if target.where == "every" else f" ({target.where})"
        missed = f"; missed in {', '.join(verdict.missed)}" if verdict.missed else ""
        lines.append(f"{mark:7} {target.figure}{where} {target.text}: {worst}{missed}")
    return "\n".join(lines)


def draw(gait: Gait, folder: Path, people: Mapping[str, strip.Row] | None = None) -> tuple[Path | None, str]:
    """Write the strips of all conditions, each over a person's where there is one; returns the picture, or None and why there is none."""
    rows = []
    told = {condition.name: condition for condition in gait.conditions}
    for name, (poses, step_s) in gait.poses.items():
        figures = gait.rows[name]
        caption = f"{name}: trunk {_value(figures, 'pitch')} deg, knee {_value(figures, 'knee')} deg, {step_s * 1000:.0f} ms apart"
        rows.append(strip.Row(poses=poses, caption=caption, front=told[name].kind == "side"))
        if people and name in people:
            rows.append(people[name])
    if not rows:
        return None, "every robot fell at once"
    try:
        return strip.save(strip.strip(gait.robot, rows), folder / PICTURE), ""
    except Exception as error:  # whatever graphics raise: the figures are worth having without
        return None, reason(error)


def _short(name: str) -> str:
    return name if len(name) <= 13 else name.replace(" and turn ", "+").replace("ahead", "").strip()


def _value(figures: Mapping[str, Figure], name: str) -> str:
    value = figures[name].value if name in figures else None
    return "-" if value is None else f"{value:.0f}"
