"""`robolearn data check`: report what is wrong with a dataset, one line each."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def configure(actions: Any) -> None:
    """Add the subcommand."""
    text = "report what is wrong with a dataset, one line each; exit code 2 if anything is"
    parser = actions.add_parser("check", help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    several = "folder of a dataset; several are checked as parts of a split: no episode may be in two of them"
    parser.add_argument("dataset", type=Path, nargs="+", metavar="DATASET", help=several)
    parser.add_argument("--robot", metavar="ROBOT", help="name or robot.yaml of the robot (default: the one that each source names)")
    parser.add_argument("--no-notes", action="store_true", help="print faults only, without notes")
    parser.add_argument("--json", metavar="PATH", help="write what was found as one JSON object; - is standard output")
    parser.set_defaults(do=run)


def run(args: argparse.Namespace) -> int:
    """Check."""
    from tqdm import tqdm

    from envs.robots.registry import get_robot
    from policies.files import check_writable
    from robolearn.commands import write_json
    from robolearn.data.check.dataset import check_datasets
    from robolearn.data.check.findings import line
    from robolearn.data.reader import Dataset

    check_writable(args.json)
    datasets = [Dataset(path) for path in args.dataset]
    robot = get_robot(args.robot) if args.robot else None
    with tqdm(total=sum(map(len, datasets)), desc="episodes", unit="episode", leave=False, disable=None) as bar:
        found = check_datasets(datasets, robot, lambda: bar.update(1))
    told = found.faults if args.no_notes else found.findings
    if args.json:
        items = [{"check": f.check, "key": f.key, "fault": f.grave, "episode": f.episode, "text": f.text} for f in told]
        paths = [str(path) for path in args.dataset]
        write_json(args.json, {"datasets": paths, "episodes": found.episodes, "frames": found.frames, "findings": items})
    if args.json != "-":
        for finding in told:
            print(line(finding))
        verdict = f"{len(found.faults)} fault{'' if len(found.faults) == 1 else 's'}" if found.faults else "no faults"
        print(f"{verdict} in {found.episodes} episodes, {found.frames} frames: {', '.join(map(str, args.dataset))}")
    return 2 if found.faults else 0
