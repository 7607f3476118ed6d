"""Reports a study of a gait: as a table, as one JSON object, and as strips of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from policies.files import reason
from robolearn.evaluation.figures import Figure
from robolearn.evaluation.gait.people import People, match
from robolearn.evaluation.gait.study import Gait
from robolearn.evaluation.gait.targets import Verdict, targets_of, verdicts
from robolearn.evaluation.gait.units import BESIDE, UNITS
from robolearn.evaluation.locomotion.result import plain
from robolearn.viewer import strip

DATA, PICTURE, SMALL = "gait.json", "strips.png", "strips.jpg"
ON = "g1"  # the robot of the recordings of people


def held(gait: Gait) -> list[Verdict]:
    """The targets for the robot's kind, checked against its figures."""
    return verdicts(targets_of(len(gait.robot.feet) == 2), gait.conditions, gait.rows)


def beside(gait: Gait, people: Sequence[People]) -> dict[str, People]:
    """The recorded people who do the same at about the same speed, by condition; none for a robot without recordings."""
    found = {condition.name: match(people, condition) for condition in gait.conditions} if gait.robot.name == ON else {}
    return {name: row for name, row in found.items() if row is not None}


def to_dict(gait: Gait, told: Mapping[str, Any], people: Sequence[People] = ()) -> dict[str, Any]:
    """All figures as plain JSON values: by condition and name, the knee over the gait cycle, the targets, and people's figures."""
    commands = {condition.name: {"kind": condition.kind, "command": list(condition.command)} for condition in gait.conditions}
    verdict_rows = [
        {
            "figure": verdict.target.figure,
            "where": verdict.target.where,
            "low": verdict.target.low,
            "high": verdict.target.high,
            "worst": verdict.worst,
            "met": None if verdict.count == 0 else not verdict.missed,
            "missed": verdict.missed,
        }
        for verdict in held(gait)
    ]
    rows = {name: commands[name] | {"figures": plain(figures)} for name, figures in gait.rows.items()}
    for name, row in beside(gait, people).items():
        rows[name]["people"] = {"speed": row.speed, "figures": plain(dict(row.figures))}
    knees = {name: dict(zip(("mean", "low", "high"), curve.round(2).tolist(), strict=True)) for name, curve in gait.knees.items()}
    return {
        **told,
        "minutes": round(gait.minutes, 2),
        "units": UNITS,
        "conditions": rows,
        "knee_cycles": knees,
        "targets": plain(verdict_rows),
    }


def text(gait: Gait, people: Sequence[People] = ()) -> str:
    """Figures by condition, one line each, with people's figures, and the targets."""
    names = list(gait.rows)
    lines = [f"{'':26}" + "".join(f"{_short(name):>12}" for name in names)]
    for figure, unit in UNITS.items():
        lines += _line(f"{figure} {unit}", [gait.rows[name].get(figure) for name in names], unit)
    found = beside(gait, people)
    if found:
        lines += ["", "recorded people at about the same speed"]
        for figure in BESIDE:
            cells = [found[name].figures.get(figure) if name in found else None for name in names]
            lines += _line(f"{figure} {UNITS[figure]}", cells, UNITS[figure])
    lines.append("")
    for verdict in held(gait):
        target, unit = verdict.target, UNITS[verdict.target.figure]
        scale = 100 if unit == "%" else 1
        worst = "nothing measured" if verdict.worst is None else f"worst {scale * verdict.worst:.3g} {unit}".rstrip()
        where = "" if target.where == "every" else f" ({target.where})"
        missed = f"; missed in {', '.join(verdict.missed)}" if verdict.missed else ""
        lines.append(f"{mark(verdict):7} {target.figure}{where} {target.text(scale)}: {worst}{missed}")
    return "\n".join(lines)


def mark(verdict: Verdict) -> str:
    """One word for a target's outcome."""
    return "?" if not verdict.count else "MISSED" if verdict.missed else "met"


def strips(gait: Gait, people: Sequence[People] = ()) -> list[strip.Row]:
    """One stride of each condition, with a person's below it if there are pictures of one."""
    rows, found = [], beside(gait, people)
    kinds = {condition.name: condition.kind for condition in gait.conditions}
    for name, (poses, step_s) in gait.poses.items():
        front = kinds[name] == "side"
        rows.append(strip.Row(poses=poses, caption=_caption(name, gait.rows[name], step_s), front=front))
        person = found.get(name)
        if person is not None and person.poses is not None:
            caption = _caption(f"a person at {person.speed:.2f} m/s", person.figures, person.step_s)
            rows.append(strip.Row(poses=person.poses, caption=caption, front=front))
    return rows


def draw(gait: Gait, folder: Path, people: Sequence[People] = (), name: str = PICTURE) -> tuple[Path | None, str]:
    """Write the strips of all conditions; returns the path of the picture, or None and the reason."""
    rows = strips(gait, people)
    if not rows:
        return None, "every robot fell immediately"
    try:
        return strip.save(strip.strip(gait.robot, rows), folder / name), ""
    except Exception as error:  # any error of graphics: the figures are useful without pictures
        return None, reason(error)


def _line(name: str, cells: Sequence[Figure | None], unit: str) -> list[str]:
    """A line of the table; empty if no condition has the figure."""
    if all(cell is None or cell.value is None for cell in cells):
        return []
    return [f"{name.strip():26}" + "".join(f"{'–' if cell is None else cell.text(unit)[0]:>12}" for cell in cells)]


def _short(name: str) -> str:
    return name.replace(" and turn ", "+").replace("turn ", "t. ")


def _caption(name: str, figures: Mapping[str, Figure], step_s: float) -> str:
    values = {figure: figures[figure].value if figure in figures else None for figure in ("pitch", "knee")}
    trunk, knee = ("-" if value is None else f"{value:.0f}" for value in values.values())
    return f"{name}: trunk {trunk} deg, knee {knee} deg; {1000 * step_s:.0f} ms apart"
