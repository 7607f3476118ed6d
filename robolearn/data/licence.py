"""Decides which licences may be trained on, and which need explicit permission.

Licences have their SPDX names. Data whose licence is unknown, or forbids commercial use or derived works, is never used in a training
unless that licence is allowed by name, since the resulting weights may not be free. This interprets names and is not legal advice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from robolearn.data.columns import DataError
from robolearn.data.source import UNKNOWN, Source

FREE = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "ODbL-1.0",
    "ODC-By-1.0",
    "PDDL-1.0",
    "Unlicense",
    "Zlib",
    "LicenseRef-CMU-mocap",
    "LicenseRef-own",
]
"""Licences that permit training and use of the result, some with conditions such as attribution. `LicenseRef-own` is for what you recorded
yourself, `LicenseRef-CMU-mocap` for the terms of the CMU motion capture database (all uses, no resale of the data)."""
_OWN_WORDS = ("-nc", "noncommercial", "non-commercial", "research", "-nd")

Verdict = Literal["free", "restricted", "unknown"]


def verdict(licence: str) -> Verdict:
    """The class of a licence by its name: `restricted` if it forbids commercial use or derived works."""
    name = licence.strip().lower()
    if name in (known.lower() for known in FREE):
        return "free"
    return "restricted" if any(word in name for word in _OWN_WORDS) else "unknown"


def refused(sources: Iterable[Source], allow: Sequence[str] = ()) -> list[Source]:
    """The sources that may not be trained on.

    Args:
        sources: sources of the episodes that are used.
        allow: licences that are explicitly allowed; `unknown` for sources without one.
    """
    allowed = {name.strip().lower() for name in allow}
    return [
        source for source in sources if verdict(source.licence) != "free" and (source.licence.strip().lower() or UNKNOWN) not in allowed
    ]


def check_licences(sources: Iterable[Source], allow: Sequence[str] = ()) -> None:
    """Refuse sources whose licence is not allowed.

    Raises:
        DataError: names the licences, their sources and what to type.
    """
    found = refused(sources, allow)
    if not found:
        return
    told = []
    for licence in dict.fromkeys(source.licence or UNKNOWN for source in found):
        of = list(
            dict.fromkeys(source.note or f"{source.kind} of {source.robot}" for source in found if (source.licence or UNKNOWN) == licence)
        )
        kind = {"restricted": "not for every use", "unknown": "not known to be free", "free": ""}[verdict(licence)]
        told.append(f"{licence} ({kind}; {', '.join(of[:3])}{', ...' if len(of) > 3 else ''})")
    flags = " ".join(f"--allow-licence {licence}" for licence in dict.fromkeys(source.licence or UNKNOWN for source in found))
    raise DataError(f"these licences need explicit permission for training: {'; '.join(told)}; leave the sources out, or add: {flags}")
