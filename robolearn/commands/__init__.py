"""The subcommands of `robolearn`, one module each, imported only when called.

A module has a docstring whose first line is its help, `configure(parser)`, which adds its options, and `run(args, overrides)`, which
returns the exit code. One that sets `ACCEPTS_OVERRIDES = True` gets the `--section.key=value` arguments in `overrides`. One that has
`prepare_options(parser, arguments, overrides)` is called before its options are parsed, so that it can change their defaults.
`args.ros_args` holds what followed `--ros-args`.
"""

from __future__ import annotations

import argparse

from robolearn.errors import UsageError
from robolearn.writing import write_json

__all__ = ["add_allow_licence", "add_print_config", "add_robot", "check_seed", "with_robot", "write_json"]


def add_robot(parser: argparse.ArgumentParser, default: str) -> None:
    """Add `--robot`; `default` says which robot is used without the option."""
    parser.add_argument("--robot", metavar="NAME", help=f"a robot's name, or the path of its robot.yaml (default: {default})")


def add_allow_licence(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Add `--allow-licence`, and its earlier spelling, which the help does not show."""
    parser.add_argument("--allow-licence", action="append", default=[], metavar="NAME", help=meaning)
    parser.add_argument("--allow-license", action="append", dest="allow_licence", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def add_print_config(parser: argparse.ArgumentParser) -> None:
    """Add `--print-config`."""
    parser.add_argument("--print-config", action="store_true", help="print the whole configuration as YAML, with comments, and do nothing")


def with_robot(args: argparse.Namespace, overrides: list[str]) -> list[str]:
    """The overrides of a config, with the robot that `--robot` names added."""
    return [*overrides, f"--robot={args.robot}"] if getattr(args, "robot", None) else [*overrides]


def check_seed(seed: int) -> None:
    """Refuse a `--seed` that random number generators do not accept.

    Raises:
        UsageError: it is negative.
    """
    if seed < 0:
        raise UsageError(f"--seed must not be negative, is {seed}")
