"""The subcommands of `robolearn`, one module each, imported only when called.

A module has a docstring whose first line is its help, `configure(parser)`, which adds its options, and `run(args, overrides)`, which
returns the exit code. One that sets `ACCEPTS_OVERRIDES = True` gets the `--section.key=value` arguments in `overrides`. `args.ros_args`
holds what followed `--ros-args`.
"""

from __future__ import annotations

from robolearn.errors import UsageError
from robolearn.writing import write_json, write_text

__all__ = ["check_seed", "write_json", "write_text"]


def check_seed(seed: int) -> None:
    """Refuse a `--seed` that generators of random numbers do not take.

    Raises:
        UsageError: it is negative.
    """
    if seed < 0:
        raise UsageError(f"--seed must not be negative, is {seed}")
