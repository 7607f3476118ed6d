"""`robolearn data show`: look at episodes in the browser."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def configure(actions: Any) -> None:
    """Add the subcommand."""
    text = "look at episodes in the browser: their data sheet, the robot in motion, and every term over time"
    parser = actions.add_parser("show", help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    parser.add_argument(
        "dataset", type=Path, nargs="+", metavar="DATASET", help="folder of a dataset; with two, their first episodes stand side by side"
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="port of the page, on this computer only (default: 8080, or the next free one)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in this computer's browser")
    parser.add_argument("--robot", metavar="ROBOT", help="name or robot.yaml of the robot (default: the one that each source names)")
    parser.set_defaults(do=run)


def run(args: argparse.Namespace) -> int:
    """Show."""
    from envs.robots.registry import get_robot
    from robolearn.errors import UsageError

    if not 0 <= args.port <= 65535:
        raise UsageError(f"--port must lie between 0 and 65535, not {args.port}")
    robot = get_robot(args.robot) if args.robot else None
    from robolearn.viewer.dataset.page import serve

    serve(args.dataset, args.port, robot, args.open)
    return 0
