"""Inspect, merge, split and repair datasets of trajectories (LeRobotDataset v3.0 on disk; docs/data.md describes the format)."""

from __future__ import annotations

import argparse

from robolearn.commands import data_check, data_export, data_files, data_import, data_show

PARTS = (data_files, data_import, data_export, data_check, data_show)
"""Modules with subcommands. Each has `configure(actions)`, which adds parsers whose default `do` is the function to run: `do(args) -> exit
code`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands of all parts."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for part in PARTS:
        part.configure(actions)


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Run the subcommand."""
    del overrides
    return int(args.do(args))
