"""The suite `adaptation`: policies side by side through each kind of change, with what their hidden states tell of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envs.engines.face import EngineError
from robolearn.errors import UsageError, UserError, suggestion
from robolearn.evaluation.adaptation import report
from robolearn.evaluation.adaptation.figures import curve, measured
from robolearn.evaluation.adaptation.found import Found
from robolearn.evaluation.adaptation.kinds import KINDS
from robolearn.evaluation.adaptation.probe import probe
from robolearn.evaluation.adaptation.trial import COMMANDS, run
from robolearn.evaluation.locomotion.setup import Setup

UNCHANGED = "unchanged"
"""The trial in which nothing changes."""
QUICK = ("weak_motor", "late")
PROBE_FACTOR = 4
"""As many worlds are probed as walk through a change, times this."""


def chosen(names: Sequence[str] | None, quick: bool = False) -> list[str]:
    """The kinds of change to try, after none.

    Raises:
        UsageError: there is no kind of that name.
    """
    known = (UNCHANGED, *KINDS)
    for name in names or ():
        if name not in known:
            raise UsageError(f"no item {name!r} in the suite adaptation{suggestion(name, known)}; valid: {', '.join(known)}")
    return [name for name in known if (name in names if names else not quick or name in (UNCHANGED, *QUICK))]


def look_at(setup: Setup, name: str, worlds: int, probes: bool) -> Found:
    """One policy through one kind of change."""
    kind = KINDS.get(name)
    try:
        trial = run(setup, kind, worlds)
        told = probe(setup, kind, PROBE_FACTOR * worlds) if probes and kind is not None else {}
    except (UserError, EngineError) as error:
        return Found(failure=str(error))
    walks = bool(trial.alive[trial.at - 1].any())  # of nobody there is no curve
    return Found(figures=measured(trial), curve=curve([trial]) if walks else None, probes=told)


def compare(setups: Sequence[Setup], names: Sequence[str], folder: Path, probes: bool = False, quiet: bool = False) -> dict[str, Any]:
    """Run kinds of change and write the report, anew after each.

    Args:
        setups: the policies, of one task and robot; how much to run is the first one's.
        names: kinds, as `chosen` gives them.
        folder: of the report.
        probes: whether to ask hidden states what they know.
        quiet: print nothing.

    Returns:
        What the JSON holds.

    Raises:
        UserError: policies of different robots, which are not asked the same.
    """
    first = setups[0]
    for other in setups[1:]:
        if other.robot.name != first.robot.name or other.ranges != first.ranges:
            raise UserError(f"{other.name} is of {other.robot.name} with other commands than {first.name} of {first.robot.name}")
    titles = _titles(setups)
    found: dict[str, dict[str, Found]] = {}
    data: dict[str, Any] = {}
    worlds, start = first.seeds * len(COMMANDS), time.perf_counter()
    for name in names:
        found[name] = {title: look_at(setup, name, worlds, probes) for title, setup in zip(titles, setups, strict=True)}
        data = report.write(folder, first, titles, found, worlds, (time.perf_counter() - start) / 60)
        if not quiet:
            print(text(name, found[name]), flush=True)
    return data


def _titles(setups: Sequence[Setup]) -> list[str]:
    """Names that differ."""
    names = [setup.name for setup in setups]
    return [name if names.count(name) == 1 else f"{name} ({index})" for index, name in enumerate(names, 1)]


def text(name: str, found: Mapping[str, Found]) -> str:
    """One kind of change for people: a line a policy."""
    width = max(len(title) for title in found)
    lines = [f"{name}: {KINDS[name].title if name in KINDS else 'nothing changes'}"]
    for title, one in found.items():
        if one.failure:
            lines.append(f"  {title:{width}}  {one.failure}")
            continue
        parts = [report.said(figure, one.figures[figure]) for figure in ("before", "soon", "later", "back_s", "survival")]
        lines.append(f"  {title:{width}}  " + ", ".join(parts))
        for source, figure in one.probes.items():
            value, ends = figure.text()
            lines.append(f"  {'':{width}}  {source} tells {value}" + (f" [{ends}]" if ends else "") + " of it")
    return "\n".join(lines)
