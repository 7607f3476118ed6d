"""Find where a student fails, train it there, and test it again: rounds of failure mining (docs/improving.md).

POLICY is the run folder of a student (robolearn distill), or the policy.onnx in it; its checkpoint, which holds its teacher, must be there
too. With --rounds 0, which only searches, any policy file will do. The same command continues what was stopped.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robolearn.mining.rounds import Plan
    from robolearn.mining.subject import Subject

ACCEPTS_OVERRIDES = True
KEEPS_ITS_WORK = True
MOST_EPISODES, MOST_ROUNDS, MOST_ITERATIONS = 1_000_000, 100, 1_000_000
LONGEST_S = 600.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("policy", metavar="POLICY", help="run folder of a student, the policy.onnx in it; with --rounds 0 any policy file")
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="rounds of searching, training and testing; 0 only searches (default: 3)"
    )
    parser.add_argument("--control", action="store_true", help="also train for as many steps under random conditions, for comparison")
    parser.add_argument("--iterations", type=int, default=20, metavar="N", help="training iterations per round (default: 20)")
    parser.add_argument("--episodes", type=int, default=512, metavar="N", help="episodes of a round's search (default: 512)")
    parser.add_argument(
        "--held-out", type=int, default=512, metavar="N", help="conditions of the test, which are never trained on (default: 512)"
    )
    parser.add_argument("--seeds", type=int, default=2, metavar="N", help="episodes per command of the task's own evaluation (default: 2)")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of an episode (default: 8)")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.25,
        help="how far to search beyond training's ranges, as a share of their width; pushes and blows twice as far (default: 0.25)",
    )
    parser.add_argument(
        "--ordinary",
        type=float,
        default=0.25,
        metavar="SHARE",
        help="share of training episodes under the student's usual conditions (default: 0.25)",
    )
    parser.add_argument("--toward", choices=("failure", "edge"), default="failure",
                        help="weigh conditions by the chance p of failing (default), or by p (1 - p)")  # fmt: skip
    parser.add_argument("--limit", action="append", default=[], metavar="FIGURE=VALUE",
                        help="an episode whose mean exceeds this has failed too, e.g. velocity_error_xy=0.4; repeatable")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    parser.add_argument("--dataset", type=Path, metavar="DATASET", help="also keep episodes of the teacher under the mined conditions here")
    parser.add_argument(
        "--dataset-episodes", type=int, default=200, metavar="N", help="episodes of the teacher in each round (default: 200)"
    )
    parser.add_argument("--licence", default="unknown", metavar="SPDX", help="licence of the dataset (default: unknown)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the results, also of a run to continue (default: runs/improve/NAME)"
    )
    parser.add_argument("--no-gate", action="store_true", help="write the policy file without the gate's evaluation")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Improve."""
    import torch

    from robolearn.learning.interruption import Interrupted
    from robolearn.mining.report import write_report
    from robolearn.mining.rounds import alone, improve
    from robolearn.mining.subject import find_subject

    plan = _plan(args)
    subject = find_subject(args.policy, overrides, teach=plan.rounds > 0)
    folder: Path = args.out or Path("runs") / "improve" / subject.name
    torch.set_num_threads(1)
    collect = None
    if args.dataset is not None:
        from robolearn.mining.dataset import Collection

        collect = Collection(args.dataset, args.dataset_episodes, plan.seconds, plan.seed, args.licence)
    try:
        with alone(folder):
            print(f"improve: {folder}")
            bench, results = improve(subject, plan, folder, print, collect)
            page = write_report(folder, subject, plan, bench, results)
            for line in results.verdict():
                print(line)
            print(f"report: {page}")
            return _export(subject, plan, folder, results.best(), args) if plan.rounds else 0
    except Interrupted as stopped:
        print(f"saved in {folder}; the same command continues", file=sys.stderr)
        return stopped.code
    except KeyboardInterrupt:
        print(f"what is done is kept in {folder}; the same command continues", file=sys.stderr)
        raise


def _plan(args: argparse.Namespace) -> Plan:
    from robolearn.commands import check_seed
    from robolearn.errors import UsageError
    from robolearn.mining.rounds import Plan

    check_seed(args.seed)
    for name, value, least, most in (
        ("rounds", args.rounds, 0, MOST_ROUNDS),
        ("iterations", args.iterations, 1, MOST_ITERATIONS),
        ("episodes", args.episodes, 20, MOST_EPISODES),
        ("held-out", args.held_out, 20, MOST_EPISODES),
        ("seeds", args.seeds, 1, 1000),
        ("dataset-episodes", args.dataset_episodes, 1, MOST_EPISODES),
        ("seconds", args.seconds, 2.0, LONGEST_S),
        ("margin", args.margin, 0.0, 2.0),
        ("ordinary", args.ordinary, 0.0, 0.95),
    ):
        if not least <= value <= most:
            raise UsageError(f"--{name} must lie between {least:g} and {most:g}, not {value:g}")
    if args.control and not args.rounds:
        raise UsageError("--control compares trainings, and --rounds 0 has none: leave one of them out")
    if args.dataset is not None and not args.rounds:
        raise UsageError("--dataset needs the teacher and its rounds: give --rounds 1 or more")
    return Plan(
        rounds=args.rounds,
        control=args.control,
        episodes=args.episodes,
        held_out=args.held_out,
        nominal_seeds=args.seeds,
        iterations=args.iterations,
        seconds=args.seconds,
        margin=args.margin,
        ordinary=args.ordinary,
        toward=args.toward,
        limits=dict(_limit(text) for text in args.limit),
        seed=args.seed,
    )


def _limit(text: str) -> tuple[str, float]:
    from robolearn.errors import UsageError

    name, _, value = text.partition("=")
    try:
        found = float(value)
        if not math.isfinite(found):
            raise ValueError(value)
    except ValueError as error:
        raise UsageError(f"--limit takes FIGURE=VALUE with a finite value, e.g. velocity_error_xy=0.4, not {text!r}") from error
    return name, found


def _export(subject: Subject, plan: Plan, folder: Path, best: int, args: argparse.Namespace) -> int:
    """Write the policy file of the best round; 1 if none is worth keeping, or the gate rejects it."""
    from robolearn.evaluation.gate import shortcomings
    from robolearn.learning.export import gate
    from robolearn.mining.exporting import export_round

    if not best:
        print("no round improved the student, so nothing is exported; more --iterations or --episodes may help, or --toward edge")
        return 1
    out = export_round(subject, plan, folder, best)
    print(f"wrote {out} (round {best})")
    if args.no_gate:
        return 0
    _, training, precise, passed = gate(out)
    print("deployable: yes" if passed else f"deployable: no: {'; '.join(shortcomings(training, precise))}")
    return 0 if passed else 1
