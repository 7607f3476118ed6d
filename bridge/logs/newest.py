"""Which of several runs or logs is the newest: that whose name, or else whose content, says so.

A file system's time tells when a file was written there, and copying, checking out and unpacking write it anew; so it counts last of all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

STAMP = "%Y-%m-%d_%H-%M-%S"
"""How the names of runs and logs begin: local time."""

_IN_NAME = re.compile(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)[_T ]?-?(\d\d)[-:]?(\d\d)[-:]?(\d\d)(?!\d)")
_NUMBER = re.compile(r"[_-](\d{1,4})$")


def time_in_name(name: str) -> tuple[float, int] | None:
    """When something was begun by its name, in seconds since 1970, and its number among those of that second; None where it has no time.

    `2026-03-01_12-00-00`, `2026-03-01_12-00-00_10` (the tenth of that second), `2026-03-01_12-00-00_go1-2.mcap`, `old-20260301T120000`.
    """
    found = _IN_NAME.search(name)
    if found is None:
        return None
    try:
        when = time.mktime(time.strptime("-".join(found.groups()), "%Y-%m-%d-%H-%M-%S"))
    except (ValueError, OverflowError):  # figures that are no date
        return None
    number = _NUMBER.search(name[found.end() :].removesuffix(".mcap"))
    return when, 1 if number is None else int(number[1])


def oldest_first(paths: Iterable[Path], name: Callable[[Path], Path], inside: Callable[[Path], float | None]) -> list[Path]:
    """Sort what was found.

    Args:
        paths: files; hidden ones, which are being written, are left out.
        name: of a file, whose name tells its time: itself, or the folder that it is in.
        inside: the time that its content tells, in seconds since 1970, None for none; asked where the name has none.
    """

    def key(path: Path) -> tuple[float, int, str]:
        named = name(path)
        told = time_in_name(named.name) or time_in_name(named.resolve().name)
        if told is not None:
            return *told, named.name
        recorded = inside(path)
        return path.stat().st_mtime if recorded is None else recorded, 0, named.name

    return sorted((path for path in paths if path.is_file() and not path.name.startswith(".")), key=key)
