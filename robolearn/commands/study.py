"""Compare students, or pretrained networks, that differ in one thing: with several seeds, evaluated on the same commands and physics.

A study is a YAML in configs/studies/ (or your own): variants and conditions, each a set of overrides. Students are trained from --teacher;
networks of a study with `stage: pretrain` on datasets in --data, and compared with the --policy that made the data. What is done is not
repeated, so an interrupted study continues when it is started again.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robolearn.evaluation.study import Study

KEEPS_ITS_WORK = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("study", help="name of a study in configs/studies/, or the path of a YAML")
    parser.add_argument("--teacher", metavar="RUN", help="teacher of the students: a run folder, a folder of runs or a checkpoint")
    parser.add_argument(
        "--start", action="append", default=[], metavar="NAME=RUN", help="a pretrained network that the study's students start from"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="for a study of pretraining: folder of the datasets that it names")
    parser.add_argument("--policy", metavar="FILE", help="for a study of pretraining: the policy that made the data")
    parser.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="seeds of the trainings (default: the study's), e.g. to share work"
    )
    parser.add_argument(
        "--out", default="runs/studies", metavar="DIR", help="folder for NAME/results.json and trainings/ (default: runs/studies)"
    )
    parser.add_argument("--quick", action="store_true", help="two iterations each: checks that the study runs; its results mean nothing")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Train, evaluate, print the table."""
    from robolearn.config import loading as config
    from robolearn.errors import UserError
    from robolearn.evaluation.study import load_study
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
        text = _pretraining(study, args, folder) if study.stage == "pretrain" else _students(study, args, folder)
    except Interrupted as stopped:
        print(f"saved {stopped}; continue with the same command")
        return stopped.code
    except KeyboardInterrupt:
        print("what is done is kept; continue with the same command")
        raise
    print(f"{study.question}\n\n{text}\n\nresults: {folder / 'results.json'}")
    return 0


def _students(study: Study, args: argparse.Namespace, folder: Path) -> str:
    """The table of a study of students."""
    from robolearn.errors import UsageError
    from robolearn.evaluation.study import run_study, speed, table
    from robolearn.learning.run import find_checkpoint

    if not args.teacher or args.data or args.policy:
        raise UsageError("this study compares students: give --teacher RUN, without --data and --policy")
    starts = {name: find_checkpoint(path) for name, _, path in (text.partition("=") for text in args.start)}
    results = run_study(study, find_checkpoint(args.teacher), folder, args.quick, starts)
    return f"{table(results)}\n\n{speed(results)}".rstrip()


def _pretraining(study: Study, args: argparse.Namespace, folder: Path) -> str:
    """The table of a study of pretraining."""
    from policies.contract.file import PolicyFile
    from robolearn.errors import UsageError
    from robolearn.policy_path import find_policy
    from robolearn.pretraining.study import Bench, pretrain_table, run_pretrain_study

    if not args.data or not args.policy or args.teacher or args.start:
        raise UsageError("this study compares pretrainings: give --data DIR and --policy FILE, without --teacher and --start")
    bench = Bench(study=study, data=args.data, policy=PolicyFile(find_policy(args.policy)), folder=folder, quick=args.quick)
    return pretrain_table(run_pretrain_study(bench))
