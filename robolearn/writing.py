"""What commands and reports write for people and machines: whole files, or nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from policies import files
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
    try:
        files.write_text(path, text)
    except files.WriteError as error:
        raise UserError(str(error)) from error
