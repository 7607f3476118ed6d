"""Messages from reading a model: notes on changes, and the faults that end it, all reported at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from envs.robots.errors import RobotError

Kind = Literal["mended", "dropped", "refused", "remark"]


@dataclass(frozen=True, kw_only=True)
class Note:
    """One message for the user about the model that was read.

    Attributes:
        kind: `mended`: changed so that it works; `dropped`: left out, without effect on the robot's motion; `refused`: a part of the robot
            that cannot be represented, while the rest can; `remark`: nothing was changed.
        what: what it is and what was done, a sentence.
        mend: how to fix it in the model; empty if there is nothing to do.
    """

    kind: Kind
    what: str
    mend: str = ""


@dataclass
class Log:
    """Collects notes and faults while a model is read."""

    notes: list[Note] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    groups: dict[tuple[Kind, str, str], list[str]] = field(default_factory=dict)

    def mended(self, what: str, mend: str = "") -> None:
        self.notes.append(Note(kind="mended", what=what, mend=mend))

    def dropped(self, what: str, mend: str = "") -> None:
        self.notes.append(Note(kind="dropped", what=what, mend=mend))

    def refused(self, what: str, mend: str = "") -> None:
        self.notes.append(Note(kind="refused", what=what, mend=mend))

    def remark(self, what: str, mend: str = "") -> None:
        self.notes.append(Note(kind="remark", what=what, mend=mend))

    def each(self, kind: Kind, what: str, name: str, mend: str = "") -> None:
        """A note that may apply to several things: `{}` in `what` and `mend` becomes the list of their names."""
        self.groups.setdefault((kind, what, mend), []).append(name)

    def finished(self) -> tuple[Note, ...]:
        """All notes."""
        grouped = [
            Note(kind=kind, what=what.replace("{}", listed(names)), mend=mend.replace("{}", listed(names, most=2)))
            for (kind, what, mend), names in self.groups.items()
        ]
        return (*self.notes, *grouped)

    def fault(self, what: str, mend: str) -> None:
        """A fault that ends the reading; `raise_faults` raises all of them together."""
        self.faults.append((what, mend))

    def raise_faults(self, path: Path) -> None:
        """Raises one `RobotError` with every fault so far, if there is one."""
        if self.faults:
            raise RobotError(error_text(path, self.faults))


def error_text(path: Path, faults: Sequence[tuple[str, str]]) -> str:
    """The message of an error: one fault in one line, several in a list, each with its fix."""
    lines = [f"{what}: {mend}" if mend else what for what, mend in faults]
    if len(lines) == 1:
        return f"{path}: {lines[0]}"
    return f"{path} cannot be read as a robot, for {len(lines)} reasons:" + "".join(f"\n  - {line}" for line in lines)


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names in a sentence; the rest of a long list is only counted."""
    unique = list(dict.fromkeys(names))
    if len(unique) <= most:
        return ", ".join(unique)
    return f"{', '.join(unique[:most])} and {len(unique) - most} more"
