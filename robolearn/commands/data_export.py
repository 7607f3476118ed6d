"""`robolearn data export`: episodes as MCAP, for Foxglove and ROS."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.robots.robot import Robot

MOST_TOGETHER = 20


def configure(actions: Any) -> None:
    """Add the subcommand."""
    text = "write episodes as MCAP, for Foxglove, ros2 bag play and other tools"
    parser = actions.add_parser("export", help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the dataset")
    where = "an .mcap file for all episodes in a row, or a folder for one file per episode"
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=where)
    parser.add_argument(
        "--episodes", metavar="LIST", help=f"which ones, e.g. 0,3,7-9 (default: all, but at most the first {MOST_TOGETHER})"
    )
    parser.add_argument("--robot", metavar="ROBOT", help="name or robot.yaml of the robot to draw (default: that of each source)")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    parser.set_defaults(do=run)


def run(args: argparse.Namespace) -> int:
    """Export."""
    from tqdm import tqdm

    from envs.robots.registry import get_robot
    from robolearn.data.export.mcap import write_mcap
    from robolearn.data.reader import Dataset

    dataset = Dataset(args.dataset)
    chosen = _chosen(args.episodes, len(dataset))
    given = get_robot(args.robot) if args.robot else None
    one = args.out.suffix == ".mcap"
    files = [args.out] if one else [args.out / f"episode_{number:06d}.mcap" for number in chosen]
    _check_free(files, args.force)

    def robot(name: str) -> Robot | None:
        return given if given is not None else _known(name)

    with tqdm(total=len(chosen), desc="episodes", unit="episode", leave=False, disable=None) as bar:
        items = ((number, dataset.episode(number), dataset.layouts[dataset.episodes[number].layout].columns) for number in chosen)
        groups = [(args.out, items)] if one else [(path, [item]) for path, item in zip(files, items, strict=True)]
        count = sum(write_mcap(path, group, dataset.fps, robot, lambda: bar.update(1)) for path, group in groups)
    print(f"{count} messages of {len(chosen)} episodes: {args.out}")
    return 0


def _known(name: str) -> Robot | None:
    from envs.robots.registry import get_robot
    from policies.errors import UserError

    try:
        return get_robot(name)
    except (UserError, ValueError):
        return None


def _chosen(text: str | None, count: int) -> list[int]:
    """Episodes of a list like `0,3,7-9`.

    Raises:
        UsageError: not a list of episodes, or one of them does not exist.
    """
    from robolearn.errors import UsageError

    if text is None:
        if count > MOST_TOGETHER:
            print(f"note: exporting the first {MOST_TOGETHER} of {count} episodes; --episodes 0-{count - 1} takes all")
        return list(range(min(count, MOST_TOGETHER)))
    found: list[int] = []
    for part in text.split(","):
        begin, dash, end = part.strip().partition("-")
        if not begin.isdigit() or (dash and not end.isdigit()):
            raise UsageError(f"--episodes takes numbers and ranges, such as 0,3,7-9, not {text!r}")
        found += range(int(begin), int(end or begin) + 1)
    beyond = [number for number in found if number >= count]
    if beyond or not found:
        raise UsageError(f"--episodes {text}: the dataset has the episodes 0 to {count - 1}")
    return list(dict.fromkeys(found))


def _check_free(files: list[Path], force: bool) -> None:
    from policies.files import check_writable
    from robolearn.errors import UserError

    there = [path for path in files if path.exists()]
    if there and not force:
        raise UserError(f"{there[0]} exists already; --force overwrites it")
    check_writable(files[0])
