"""Run the suite's items one after the other; the report is rewritten after each, so that an interruption loses only the current item."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from envs.engines.face import EngineError
from robolearn.errors import UsageError, UserError, suggestion
from robolearn.evaluation.locomotion import demands, report
from robolearn.evaluation.locomotion.charts import label
from robolearn.evaluation.locomotion.items import GROUPS, ITEMS
from robolearn.evaluation.locomotion.result import UNITS, ItemResult
from robolearn.evaluation.locomotion.setup import Setup


def chosen(names: Sequence[str] | None) -> list[str]:
    """The items to run, in the report's order, including those of groups; all if none is named.

    Raises:
        UsageError: no item or group of that name.
    """
    known = (*ITEMS, *GROUPS)
    for name in names or ():
        if name not in known:
            raise UsageError(f"no item {name!r} in the suite locomotion{suggestion(name, known)}; valid: {', '.join(known)}")
    wanted = {item for name in names or () for item in GROUPS.get(name, (name,))}
    return [name for name in ITEMS if not names or name in wanted]


def run(setup: Setup, names: Sequence[str], folder: Path, quiet: bool = False) -> dict[str, Any]:
    """Run items and write the report.

    Args:
        setup: what to evaluate.
        names: items, as returned by `chosen`.
        folder: of the report.
        quiet: print nothing.

    Returns: The content of the JSON.
    """
    results: dict[str, ItemResult] = {}
    minutes: dict[str, float] = {}
    data: dict[str, Any] = {}
    for name in names:
        start = time.perf_counter()
        try:
            results[name] = ITEMS[name].run(setup)
        except (UserError, EngineError) as error:  # an engine that cannot run one item can run the others
            results[name] = ItemResult(status="failed", reason=str(error))
        minutes[name] = (time.perf_counter() - start) / 60
        _, data = report.write(folder, setup, results, minutes)
        if not quiet:
            print(f"{name:10} {_told(results[name])}  ({minutes[name]:.1f} min)", flush=True)
    if not quiet and (lines := demands.text(setup, results)):
        print("\n" + lines, flush=True)
    return data


def _told(result: ItemResult) -> str:
    if result.status != "done":
        return f"{result.status}: {result.reason}"
    parts = []
    for name, figure in result.headline.items():
        value, interval = figure.text(UNITS.get(name.partition(" (")[0], ""))
        parts.append(f"{label(name)} {value}" + (f" [{interval}]" if interval else ""))
    return "\n           ".join(parts)
