"""A study's trainings through changes: figures of each, and what several seeds say together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robolearn.evaluation.adaptation.figures import LABELS, UNITS, measured, over_seeds, smooth
from robolearn.evaluation.adaptation.kinds import KINDS
from robolearn.evaluation.adaptation.probe import probe
from robolearn.evaluation.adaptation.trial import COMMANDS, run
from robolearn.evaluation.figures import Figure
from robolearn.evaluation.locomotion.setup import Setup
from robolearn.evaluation.locomotion.training import setup_of_training
from robolearn.evaluation.statistics import t_interval, wilson

TEACHER = "the teacher, which is told"
COLUMNS = ("before", "soon", "later", "later_ratio", "back_s", "survival")


def of_run(folder: Path, kinds: Sequence[str], episodes: int, seed: int, probes: bool = False) -> dict[str, Any]:
    """A training through kinds of change.

    Args:
        folder: of the training, or a checkpoint.
        kinds: of change, and `unchanged`.
        episodes: a command.
        seed: of the worlds.
        probes: whether to ask the hidden state what it knows.

    Returns:
        By kind: `figures` and, at every control step, the mean `curve`; plain values.
    """
    setup = setup_of_training(folder, seed=seed)
    return {name: _of_kind(setup, name, episodes * len(COMMANDS), probes) for name in kinds}


def _of_kind(setup: Setup, name: str, worlds: int, probes: bool) -> dict[str, Any]:
    trial = run(setup, KINDS.get(name), worlds)
    walked = trial.alive[trial.at - 1]
    walked = walked if walked.any() else ~walked  # where all fell before, what standing still would cost
    curve = smooth(trial.planar[:, walked], trial.dt).mean(1)
    told = {
        "figures": {key: dataclasses.asdict(figure) for key, figure in measured(trial).items()},
        "curve": [round(float(value), 5) for value in curve],
        "dt": trial.dt,
        "at": trial.at,
    }
    if probes and name in KINDS:
        told["probes"] = {key: dataclasses.asdict(figure) for key, figure in probe(setup, KINDS[name], 4 * worlds).items()}
    return told


def pooled(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Trainings that differ in their seeds: figures with Student's interval over them, survival of all episodes, and the mean curve."""
    figures = over_seeds([{name: Figure(**value) for name, value in one["figures"].items()} for one in runs])
    lived = [one["figures"]["survival"] for one in runs if one["figures"]["survival"]["value"] is not None]
    count = sum(one["count"] for one in lived)
    if count:
        good = sum(round(one["value"] * one["count"]) for one in lived)
        figures["survival"] = Figure(good / count, *wilson(good, count), count)
    rows = np.array([one["curve"] for one in runs])
    ends = [t_interval(column) for column in rows.T]
    found: dict[str, Any] = {
        "figures": {name: dataclasses.asdict(figure) for name, figure in figures.items()},
        "curve": {"mean": rows.mean(0).tolist(), "low": [low for low, _ in ends], "high": [high for _, high in ends]},
        "dt": runs[0]["dt"],
        "at": runs[0]["at"],
        "seeds": len(runs),
    }
    if all("probes" in one for one in runs):
        told = over_seeds([{name: Figure(**value) for name, value in one["probes"].items()} for one in runs])
        found["probes"] = {name: dataclasses.asdict(figure) for name, figure in told.items()}
    return found


def rows(found: Mapping[str, Mapping[str, Any]], kinds: Sequence[str]) -> list[str]:
    """Lines of a Markdown table: for each kind of change a row a variant."""
    titles = [LABELS[name] + (f", {UNITS[name]}" if UNITS[name] else "") for name in COLUMNS]
    probed = sorted({source for by_kind in found.values() for one in by_kind.values() for source in one.get("probes", ())})
    columns = ["change", "variant", *titles, *(f"{source} tells" for source in probed), "seeds"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for kind in kinds:
        for variant, by_kind in found.items():
            if (one := by_kind.get(kind)) is None:
                continue
            cells = [_cell(one["figures"].get(name), UNITS[name]) for name in COLUMNS]
            cells += [_cell(one.get("probes", {}).get(source), "") for source in probed]
            lines.append("| " + " | ".join([kind, variant, *cells, str(one["seeds"])]) + " |")
    return lines


def _cell(told: Mapping[str, Any] | None, unit: str) -> str:
    if told is None:
        return "-"
    value, ends = Figure(**told).text(unit)
    return f"{value} [{ends}]" if ends else value
