"""Finds who owns a motion and how it may be used, from a known licence beside the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from robolearn.data.source import UNKNOWN
from robolearn.errors import UsageError

FILES = ("LICENSE*", "LICENCE*", "COPYING*", "*TERMS*")
SIGNS = (
    ("CC-BY-NC-ND-4.0", r"attribution-noncommercial-noderivatives 4\.0|cc[ -]by[ -]nc[ -]nd"),
    ("CC-BY-NC-SA-4.0", r"attribution-noncommercial-sharealike 4\.0|cc[ -]by[ -]nc[ -]sa"),
    ("CC-BY-NC-4.0", r"attribution-noncommercial 4\.0|cc[ -]by[ -]nc"),
    ("CC-BY-SA-4.0", r"attribution-sharealike 4\.0|cc[ -]by[ -]sa"),
    ("LicenseRef-CMU-mocap", r"mocap\.cs\.cmu\.edu"),
    ("Apache-2.0", r"apache license,?\s+version 2\.0"),
    ("MIT", r"mit license|permission is hereby granted, free of charge"),
    ("BSD-3-Clause", r"redistribution and use in source and binary forms[\s\S]*neither the name"),
    ("CC-BY-4.0", r"attribution 4\.0 international|cc[ -]by[ -]4\.0"),
)
"""Name of a licence and a pattern of its text, the strictest of a family first."""
LAFAN1 = re.compile(r"_subject\d+$")
LAFAN1_LICENCE = "CC-BY-NC-ND-4.0"
ACKNOWLEDGED = {"LicenseRef-CMU-mocap": "mocap.cs.cmu.edu, funded by NSF EIA-0196217"}


@dataclass(frozen=True)
class Licence:
    """SPDX name, and whom to credit."""

    name: str
    attribution: str = ""


def licence_of(path: Path, given: str | None = None) -> Licence:
    """The licence of a file of motions: the given one, or that of a licence file in its folder or the one above.

    Raises:
        UsageError: the file is named like LAFAN1's, whose licence forbids most uses, and no licence was given.
    """
    if given:
        return Licence(given, ACKNOWLEDGED.get(given, ""))
    if LAFAN1.search(path.stem):
        raise UsageError(
            f"{path.name} is named like a motion of LAFAN1, whose licence is {LAFAN1_LICENCE}: no commercial use, no distribution of "
            f"derived works. If you may use it: --licence {LAFAN1_LICENCE}; if it has another licence: --licence NAME"
        )
    for folder in (path.parent, path.parent.parent):
        for pattern in FILES:
            for file in sorted(folder.glob(pattern)):
                if file.is_file() and (found := _read(file)) is not None:
                    return found
    return Licence(UNKNOWN)


def _read(file: Path) -> Licence | None:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")[:20000]
    except OSError:
        return None
    for name, sign in SIGNS:
        if re.search(sign, text, re.IGNORECASE):
            holder = re.search(r"^\s*copyright\s+(?:\(c\)|©)?\s*(.+)$", text, re.IGNORECASE | re.MULTILINE)
            held = holder.group(1).strip() if holder and "yyyy" not in holder.group(1) and "[name" not in holder.group(1) else ""
            return Licence(name, ACKNOWLEDGED.get(name, held[:120]))
    return None
