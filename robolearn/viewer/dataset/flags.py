"""The findings of `robolearn data check` for each episode, computed while the page is open."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from envs.robots.robot import Robot
from robolearn.data.check.dataset import findings_of
from robolearn.data.check.findings import Finding, line, put_together
from robolearn.data.reader import Dataset
from robolearn.errors import UserError

Place = tuple[int, int]
"""Number of a dataset, number of an episode in it."""


class Flags:
    """Findings for each episode and each whole dataset; each dataset is checked separately.

    Attributes:
        of_dataset: findings about a whole dataset, once its check is complete.
        failed: datasets that could not be read to the end, and why.
    """

    def __init__(self, paths: Sequence[Path], robot: Robot | None = None) -> None:
        """Begin without findings; `look` or `start` finds them."""
        self._paths, self._robot = tuple(paths), robot
        self._found: dict[Place, list[Finding]] = {}
        self.of_dataset: dict[int, list[Finding]] = {}
        self.failed: dict[int, str] = {}
        self._ended = threading.Event()

    def start(self) -> None:
        """Check in a thread, which ends with the program or at `stop`."""
        threading.Thread(target=self.look, daemon=True).start()

    def stop(self) -> None:
        """Stop checking."""
        self._ended.set()

    def look(self) -> None:
        """Check everything."""
        for number, path in enumerate(self._paths):
            try:
                self._look(number, Dataset(path))
            except UserError as error:
                self.failed[number] = str(error)

    def _look(self, number: int, dataset: Dataset) -> None:
        for index, found in enumerate(findings_of(dataset, self._robot)):
            if self._ended.is_set():
                return
            if index < len(dataset):
                self._found[number, index] = put_together(found)
            else:
                self.of_dataset[number] = put_together(found)

    @property
    def looked_at(self) -> int:
        """Number of checked episodes; grows until all are checked."""
        return len(self._found)

    def of(self, place: Place) -> list[Finding] | None:
        """Findings of one episode, faults first; None before it is checked."""
        return self._found.get(place)

    def short(self, place: Place) -> str:
        """A short mark for the list."""
        found = self.of(place)
        if found is None:
            return "not checked" if place[0] in self.failed else "…"
        faults = sum(finding.grave for finding in found)
        notes = len(found) - faults
        parts = [_count(faults, "fault"), _count(notes, "note")]
        return ", ".join(part for part in parts if part) or "no faults"

    def lines(self, place: Place) -> list[str]:
        """The findings as `robolearn data check` prints them, without the episode's name."""
        return [line(finding).replace(f"episode {place[1]}: ", "", 1) for finding in self.of(place) or []]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}" if number else ""
