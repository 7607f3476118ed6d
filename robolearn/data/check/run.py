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


def check(episodes: Iterable[Seen], declared: Sequence[str] = ()) -> Checked:
    """Look at episodes.

    Args:
        episodes: each once; they are not kept.
        declared: the dataset's columns, without marks.
    """
    contents, copies = Contents(declared), Copies()
    findings: list[Finding] = []
    count = frames = 0
    for seen in episodes:
        count, frames = count + 1, frames + len(seen)
        findings += contents.see(seen)
        copies.see(seen)
        findings += order.names(seen)
        if seen.robot is not None and seen.robot.num_joints != len(seen.joints):  # its ranges say nothing of these columns
            seen = dataclasses.replace(seen, robot=None)
        for look in CHECKS:
            findings += look(seen)
    if not count:
        findings.append(Finding(check="empty", key="dataset", text="there are no episodes"))
    findings += [*contents.end(), *copies.end()]
    return Checked(put_together(findings), count, frames)
