"""How commands and reports write files for people and machines: whole, or not at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from policies.files import write_text


def write_json(target: str | Path, data: Any) -> None:
    """Write JSON to a file, or to standard output if the target is `-`. The file is written whole or not at all.

    Raises:
        policies.files.WriteError: the file cannot be written.
        ValueError: a number is not finite; machine-readable results use null.
    """
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    if str(target) == "-":
        sys.stdout.write(text)
        return
    write_text(Path(target), text)
