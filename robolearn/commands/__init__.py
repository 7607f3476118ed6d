"""The subcommands of `robolearn`, one module each, imported only when called.

A module has a docstring whose first line is its help, `configure(parser)`, which adds its options, and `run(args, overrides)`, which
returns the exit code. One that sets `ACCEPTS_OVERRIDES = True` gets the `--section.key=value` arguments in `overrides`. `args.ros_args`
holds what followed `--ros-args`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from robolearn.errors import UserError


def write_json(target: str | Path, data: Any) -> None:
    """Write JSON to a file, or to standard output where the target is `-`. The file appears whole or not at all.

    Raises:
        UserError: the file cannot be written.
        ValueError: a number is not finite; machine-readable results use null.
    """
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    if str(target) == "-":
        sys.stdout.write(text)
        return
    write_text(Path(target), text)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, and its folder where there is none.

    Raises:
        UserError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        if temporary.exists():
            temporary.unlink()
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
