"""Whether a preset keeps what it promises with any seed: teacher and student trained from nothing, exported and judged, seed by seed.

python -m benchmarks.seeds go1-velocity-flat --seeds 10 --json go1.json

Prints one line of JSON a seed, and one for all of them in the end: which targets were met, how long it took, and the figures. A folder that
was begun is gone on with.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from robolearn.config import schema
from robolearn.demo import Stages, learn
from robolearn.learning.run import load_checkpoint
from robolearn.learning.trainer import Interrupted
from robolearn.report.demo import learned
from robolearn.writing import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=1, help="a command, in the evaluations that judge (default: 1, as in the demo)")
    parser.add_argument("--runs", default="runs/seeds", metavar="DIR")
    parser.add_argument("--json", metavar="PATH", help="write the result there as well")
    args = parser.parse_args()
    rows = []
    for seed in range(args.first, args.first + args.seeds):
        try:
            rows.append(of_seed(args.preset, seed, args.episodes, Path(args.runs)))
        except Interrupted as stopped:
            sys.exit(stopped.code)
        print(json.dumps(rows[-1]), flush=True)
    result = {"preset": args.preset, "seeds": rows, "summary": summary(rows)}
    print(json.dumps(result["summary"]))
    if args.json:
        write_json(args.json, result)


def of_seed(preset: str, seed: int, episodes: int, runs: Path) -> dict[str, Any]:
    """One seed, from nothing to the verdict."""
    folder = runs / Path(preset).stem / str(seed)
    found = learn(schema.load(preset, [f"--seed={seed}"]), folder, episodes, Stages(3))
    row: dict[str, Any] = {"seed": seed, "deployable": found.deployable}
    for stage in ("teacher", "student"):
        state = load_checkpoint(folder / stage)
        row |= {f"{stage}_iterations": state["iteration"], f"{stage}_minutes": state["minutes"], f"{stage}_missed": state["missed"]}
    judged = {"teacher": found.teacher, "student": found.training, "precise": found.precise}
    for name, figures in judged.items():
        aims = {
            figure: outcome.value
            for figure, outcome in figures.figures.items()
            if outcome.goal is not None and figure != figures.score_name
        }
        row |= {f"{name}_score": figures.score} | {f"{name}_{figure}": value for figure, value in aims.items()}
    return row | {"missed": [f"{target.name}: {target.reached}" for target in learned(*judged.values()) if not target.passed]}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Smallest, median and largest of each figure, and how many seeds met every target."""
    spread = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows if isinstance(row[name], float | int)]
        if name != "seed" and isinstance(first, float | int) and not isinstance(first, bool):
            spread[name] = [round(float(value), 3) for value in (min(values), statistics.median(values), max(values))]
    return {"met": sum(not row["missed"] for row in rows), "of": len(rows), "deployable": sum(row["deployable"] for row in rows), **spread}


if __name__ == "__main__":
    main()
