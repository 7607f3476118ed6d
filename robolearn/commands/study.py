"""Compare students that differ in one thing: trained from one teacher with several seeds, evaluated on the same commands and physics.

A study is a YAML in configs/studies/ (or your own): variants and conditions, each a set of overrides. What is done already is not done
again, so an interrupted study goes on when it is started again.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

KEEPS_ITS_WORK = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("study", help="name of a study in configs/studies/, or the path of a YAML")
    parser.add_argument("--teacher", required=True, metavar="RUN", help="the teacher: a run folder, a folder of runs or a checkpoint")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="of the trainings (default: the study's), e.g. to share work")
    parser.add_argument("--out", default="runs/studies", metavar="DIR", help="for DIR/NAME/results.json and DIR/trainings (runs/studies)")
    parser.add_argument("--quick", action="store_true", help="two iterations each: whether it runs, not what it finds")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Train, evaluate, print the table."""
    from robolearn.config import loading as config
    from robolearn.errors import UserError
    from robolearn.evaluation.study import load_study, run_study, table
    from robolearn.learning.run import find_checkpoint
    from robolearn.learning.trainer import Interrupted

    path = Path(args.study)
    if not path.is_file():
        folder = config.presets_dir() / "studies"
        path = folder / f"{args.study}.yaml"
        if not path.is_file():
            raise UserError(f"no study {args.study!r}; there are: {', '.join(sorted(p.stem for p in folder.glob('*.yaml')))}")
    study = load_study(path)
    if args.seeds:
        study = dataclasses.replace(study, seeds=tuple(args.seeds))
    folder = Path(args.out) / (path.stem + ("-quick" if args.quick else ""))
    try:
        results = run_study(study, find_checkpoint(args.teacher), folder, args.quick)
    except Interrupted as stopped:
        print(f"saved {stopped}; go on with the same command")
        return stopped.code
    except KeyboardInterrupt:
        print("what is done is kept; go on with the same command")
        raise
    print(f"{study.question}\n\n{table(results)}\n\nresults: {folder / 'results.json'}")
    return 0
