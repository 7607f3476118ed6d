"""All checks over all episodes of a dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from robolearn.data.check import agreement, limits, order, signals
from robolearn.data.check.contents import Contents
from robolearn.data.check.copies import Copies
from robolearn.data.check.findings import Finding, Seen, put_together

Check = Callable[[Seen], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    signals.not_finite,
    signals.marks,
    signals.frozen,
    signals.jumps,
    agreement.holes,
    agreement.rates,
    agreement.spin,
    agreement.attitude,
    limits.units,
    limits.limits,
    order.velocities,
    order.targets,
    order.positions,
)
"""The checks of single episodes, after their joint names are compared with the robot's."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of all checks.

    Attributes:
        findings: faults first; one per kind and column, about its worst episode.
        episodes, frames: numbers of what was checked.
    """

    findings: list[Finding]
    episodes: int
    frames: int

    @property
    def faults(self) -> list[Finding]:
        """The findings that are faults."""
        return [item for item in self.findings if item.grave]


def findings(episodes: Iterable[Seen], declared: Sequence[str] = ()) -> Iterator[list[Finding]]:
    """Check episodes: a list of findings for each, in order, and a last list about all of them.

    Args:
        episodes: the episodes, read once and not kept.
        declared: the dataset's columns, without marks.
    """
    contents, copies = Contents(declared), Copies()
    empty = True
    for seen in episodes:
        empty = False
        copies.see(seen)
        found = [*contents.see(seen), *order.names(seen)]
        if seen.robot is not None and seen.robot.num_joints != len(seen.joints):  # its ranges do not apply to these columns
            seen = dataclasses.replace(seen, robot=None)
        yield [*found, *(finding for look in CHECKS for finding in look(seen))]
    none = [Finding(check="empty", key="dataset", text="there are no episodes")] if empty else []
    yield [*none, *contents.end(), *copies.end()]


def check(episodes: Iterable[Seen], declared: Sequence[str] = ()) -> Checked:
    """Check episodes; arguments as in `findings`."""
    lengths: list[int] = []

    def counted() -> Iterator[Seen]:
        for seen in episodes:
            lengths.append(len(seen))
            yield seen

    found = [finding for part in findings(counted(), declared) for finding in part]
    return Checked(put_together(found), len(lengths), sum(lengths))
