"""What the rounds came to: failures on conditions that nothing was learned from, the task's own evaluation beside them, and a verdict.

All policies sit the same episodes, so differences are taken episode by episode: the interval of a difference is the bootstrap's over
episodes, and says nothing of what another seed of the training would have given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from robolearn.evaluation.figures import Figure, mean, share
from robolearn.mining.episodes import Episodes

MINED, RANDOM = "mined", "random"
"""The arms: conditions weighed by failure, and drawn alike."""
TOLERATED = 0.05
"""Share of the start's figure by which a mean may grow worse: paired differences show changes that nobody would see."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One policy.

    Attributes:
        held_out, nominal: its episodes.
    """

    held_out: Episodes
    nominal: Episodes


def difference(after: np.ndarray, before: np.ndarray) -> Figure:
    """Mean of paired differences (E,), those alone that both have."""
    return mean(after.astype(float) - before.astype(float))


def figures_of(point: Point, start: Point) -> dict[str, Figure]:
    """The figures of a policy, and how far each is from the start's."""
    found: dict[str, Figure] = {}
    for where, now, before in (("held_out", point.held_out, start.held_out), ("nominal", point.nominal, start.nominal)):
        found[f"{where}/failed"] = share(now.failed)
        found[f"{where}/fell"] = share(now.fell)
        found[f"{where}/failed_change"] = difference(now.failed, before.failed)
        for name, values in now.figures.items():
            found[f"{where}/{name}"] = mean(values)
            found[f"{where}/{name}_change"] = difference(values, before.figures[name])
    return found


def worse(figures: Mapping[str, Figure], more_is_better: Mapping[str, bool]) -> list[str]:
    """Figures of the nominal evaluation that are surely worse than the start's: means by more than `TOLERATED`, failures by anything."""
    found = []
    for name, figure in figures.items():
        where, _, what = name.partition("/")
        if where != "nominal" or not what.endswith("_change") or figure.low is None or figure.high is None:
            continue
        measure = what.removesuffix("_change")
        now = figures[f"{where}/{measure}"].value or 0.0
        least = 0.0 if measure == "failed" else TOLERATED * abs(now - (figure.value or 0.0))
        if figure.high < -least if more_is_better.get(measure, False) else figure.low > least:
            found.append(measure)
    return found


@dataclass(frozen=True, kw_only=True)
class Results:
    """All rounds.

    Attributes:
        start: before any.
        arms: arm -> a point a round, in order.
        expert: the teacher's episodes on the held-out conditions; None where there is no teacher.
        more_is_better: of the task's means, whether it is.
        choosing: the start and each round of the mined arm on other episodes than those that are reported: which round is kept is read
            from these alone, or what is told of it would be flattered by the choice.
    """

    start: Point
    arms: dict[str, list[Point]]
    expert: Episodes | None
    more_is_better: Mapping[str, bool]
    choosing: list[Point] = field(default_factory=list)

    def curves(self) -> dict[str, list[dict[str, Figure]]]:
        """Arm -> figures of each round, the start's first."""
        return {arm: [figures_of(point, self.start) for point in (self.start, *points)] for arm, points in self.arms.items()}

    def fell_each_round(self, arm: str = MINED) -> bool:
        """Whether failures on held-out conditions became fewer in every round, and surely in the end."""
        points = self.arms.get(arm, [])
        rates = [float(point.held_out.failed.mean()) for point in (self.start, *points)]
        if not points:
            return False
        last = difference(points[-1].held_out.failed, self.start.held_out.failed)
        return all(after < before for before, after in pairwise(rates)) and last.high is not None and last.high < 0

    def against_random(self) -> Figure | None:
        """The last round's failures less those of the control, by episode; None without a control."""
        if not self.arms.get(RANDOM) or not self.arms.get(MINED):
            return None
        rounds = min(len(points) for points in self.arms.values())
        mined, random = (self.arms[arm][rounds - 1].held_out.failed for arm in (MINED, RANDOM))
        return difference(mined, random)

    def best(self) -> int:
        """The round with fewest failures, if these are fewer than the start's and nothing nominal is surely worse; 0 for none."""
        if not self.choosing:
            return 0
        start, *rounds = self.choosing
        best, least = 0, int(start.held_out.failed.sum())
        for number, point in enumerate(rounds, 1):
            failed = int(point.held_out.failed.sum())
            if failed < least and not worse(figures_of(point, start), self.more_is_better):
                best, least = number, failed
        return best

    def verdict(self) -> list[str]:
        """In sentences."""
        points = self.arms.get(MINED, [])
        if not points:
            return []
        told: list[str] = []
        if not self.start.held_out.failed.any():
            told.append("The policy failed in none of the held-out conditions, so nothing could fall: try a wider --margin, or a --limit.")
        rates = [100 * float(point.held_out.failed.mean()) for point in (self.start, *points)]
        change = difference(points[-1].held_out.failed, self.start.held_out.failed)
        each = "fell in every round" if self.fell_each_round() else "did not surely fall in every round"
        told.append(f"Failures on held-out conditions {each}: {', '.join(f'{rate:.1f}' for rate in rates)} % ({_points(change)}).")
        found = {number: worse(figures_of(point, self.start), self.more_is_better) for number, point in enumerate(points, 1)}
        bad = [f"round {number} ({', '.join(names)})" for number, names in found.items() if names]
        told.append(f"The task's own evaluation became surely worse in {', '.join(bad)}." if bad else
                    f"Nothing in the task's own evaluation became surely worse (means by more than {100 * TOLERATED:.0f} %).")  # fmt: skip
        against = self.against_random()
        if against is not None:
            if against.high is not None and against.high < 0:
                word = "Mining beat as many steps under random conditions"
            elif against.low is not None and against.low > 0:
                word = "Mining did worse than as many steps under random conditions"
            else:
                word = "Mining and as many steps under random conditions cannot be told apart"
            told.append(f"{word} ({_points(against)}).")
        if self.expert is not None:
            told.append(f"The teacher, which sees everything, fails in {100 * float(self.expert.failed.mean()):.1f} % of them.")
        return told


def _points(change: Figure) -> str:
    """A difference of shares for people."""
    assert change.value is not None
    ends = "" if change.low is None or change.high is None else f" [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
    return f"{100 * change.value:+.1f}{ends} percentage points, the same episodes"


def to_dict(results: Results) -> dict[str, Any]:
    """As plain JSON values."""

    def plain(figures: Mapping[str, Figure]) -> dict[str, Any]:
        return {
            name: {"value": figure.value, "low": figure.low, "high": figure.high, "count": figure.count} for name, figure in figures.items()
        }

    against = results.against_random()
    return {
        "verdict": results.verdict(),
        "best_round": results.best(),
        "against_random": None if against is None else {"value": against.value, "low": against.low, "high": against.high},
        "expert": None if results.expert is None else plain({"failed": share(results.expert.failed)}),
        "arms": {arm: [plain(figures) for figures in points] for arm, points in results.curves().items()},
    }


def rows_of(results: Results, names: Sequence[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """A row a round and arm for tables: title, and (value, interval) of each figure of `names`."""
    found = []
    for arm, points in results.curves().items():
        for number, figures in enumerate(points):
            if number == 0 and arm != MINED:
                continue
            title = "start" if number == 0 else f"{arm}, round {number}"
            cells = []
            for name in names:
                unit = "%" if name.endswith(("/failed", "/fell", "failed_change")) else ""
                cells.append(figures[name].text(unit))
            found.append((title, cells))
    return found
