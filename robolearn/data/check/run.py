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
"""What is asked of each episode by itself, once its joints' names are compared with the robot's."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found.

    Attributes:
        findings: faults first; one for each kind and column, about its worst episode.
        episodes, frames: how much was looked at.
    """

    findings: list[Finding]
    episodes: int
    frames: int

    @property
    def faults(self) -> list[Finding]:
        """What is wrong."""
        return [item for item in self.findings if item.grave]


def findings(episodes: Iterable[Seen], declared: Sequence[str] = ()) -> Iterator[list[Finding]]:
    """Look at episodes: a list of findings for each, in order, and at the end one about all of them.

    Args:
        episodes: each once; they are not kept.
        declared: the dataset's columns, without marks.
    """
    contents, copies = Contents(declared), Copies()
    empty = True
    for seen in episodes:
        empty = False
        copies.see(seen)
        found = [*contents.see(seen), *order.names(seen)]
        if seen.robot is not None and seen.robot.num_joints != len(seen.joints):  # its ranges say nothing of these columns
            seen = dataclasses.replace(seen, robot=None)
        yield [*found, *(finding for look in CHECKS for finding in look(seen))]
    none = [Finding(check="empty", key="dataset", text="there are no episodes")] if empty else []
    yield [*none, *contents.end(), *copies.end()]


def check(episodes: Iterable[Seen], declared: Sequence[str] = ()) -> Checked:
    """Look at episodes; arguments as in `findings`."""
    lengths: list[int] = []

    def counted() -> Iterator[Seen]:
        for seen in episodes:
            lengths.append(len(seen))
            yield seen

    found = [finding for part in findings(counted(), declared) for finding in part]
    return Checked(put_together(found), len(lengths), sum(lengths))
