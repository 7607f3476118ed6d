"""Finds the newest of several runs or logs, by name, or else by content.

A file's modification time changes with copying, checking out and unpacking, so it is only used last.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

STAMP = "%Y-%m-%d_%H-%M-%S"
"""Names of runs and logs begin with this local time."""

_IN_NAME = re.compile(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)[_T ]?-?(\d\d)[-:]?(\d\d)[-:]?(\d\d)(?!\d)")
_NUMBER = re.compile(r"[_-](\d{1,4})$")


def time_in_name(name: str) -> tuple[float, int] | None:
    """Start time in a name, in seconds since 1970, and its number within that second; None if it has no time.

    `2026-03-01_12-00-00`, `2026-03-01_12-00-00_10` (the tenth of that second), `2026-03-01_12-00-00_go1-2.mcap`, `old-20260301T120000`.
    """
    found = _IN_NAME.search(name)
    if found is None:
        return None
    try:
        when = time.mktime(time.strptime("-".join(found.groups()), "%Y-%m-%d-%H-%M-%S"))
    except (ValueError, OverflowError):  # digits that are not a date
        return None
    number = _NUMBER.search(name[found.end() :].removesuffix(".mcap"))
    return when, 1 if number is None else int(number[1])


def oldest_first(paths: Iterable[Path], name: Callable[[Path], Path], inside: Callable[[Path], float | None]) -> list[Path]:
    """Sort files by age.

    Args:
        paths: the files; hidden ones, which are being written, are left out.
        name: returns the path whose name has a file's time: itself, or its folder.
        inside: returns the time in its content, in seconds since 1970, None for none; used if the name has none.
    """

    def key(path: Path) -> tuple[float, int, str]:
        named = name(path)
        told = time_in_name(named.name) or time_in_name(named.resolve().name)
        if told is not None:
            return *told, named.name
        recorded = inside(path)
        return path.stat().st_mtime if recorded is None else recorded, 0, named.name

    return sorted((path for path in paths if path.is_file() and not path.name.startswith(".")), key=key)
