"""The targets of a gait, as data, and the check of figures against them.

A biped should hold itself as people do (recorded people on G1 lean forward by 5 to 15 degrees and bend their knees by 6 to 25 on average);
what would harm a real robot (slip, hard landings, and steps while standing) is limited for every robot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from robolearn.evaluation.figures import Figure
from robolearn.evaluation.gait.conditions import Condition

Where = Literal["every", "stand", "move", "turn"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Bounds of a figure.

    Attributes:
        figure: name of the figure.
        where: its conditions: all, standing, all others, or turning.
        low, high: bounds, in the figure's unit; None if open.
    """

    figure: str
    where: Where = "every"
    low: float | None = None
    high: float | None = None

    def about(self, condition: Condition) -> bool:
        """Whether it applies to a condition."""
        kinds = {"every": True, "stand": condition.kind == "stand", "move": condition.kind != "stand", "turn": condition.kind == "turn"}
        return kinds[self.where]

    def text(self, scale: float = 1.0) -> str:
        """The bounds as text; `scale` is 100 for a share in percent."""
        low, high = (None if bound is None else f"{scale * bound:g}" for bound in (self.low, self.high))
        return f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"

    def met(self, figure: Figure) -> bool | None:
        """Whether the value lies within the bounds; None if nothing was measured."""
        if figure.value is None:
            return None
        return not ((self.low is not None and figure.value < self.low) or (self.high is not None and figure.value > self.high))


COMMON = (
    Target(figure="survival", low=1.0),
    Target(figure="pitch_range", high=10.0),
    Target(figure="slip", where="move", high=0.06),
    Target(figure="touchdown", where="move", high=0.4),
    Target(figure="turning_off", where="turn", high=0.15),
    Target(figure="steps_a_minute", where="stand", high=0.0),
    Target(figure="steps_after_stop", where="move", high=0.0),
)
BIPED = (
    Target(figure="pitch", low=-2.0, high=12.0),
    Target(figure="start_low", where="move", low=-6.0),
    Target(figure="start_high", where="move", high=15.0),
    Target(figure="stop_low", where="move", low=-6.0),
    Target(figure="stop_high", where="move", high=15.0),
    Target(figure="knee", where="stand", high=30.0),
    Target(figure="knee", where="move", high=35.0),
    *COMMON,
)
QUADRUPED = (
    Target(figure="pitch", low=-5.0, high=5.0),
    Target(figure="sag", where="stand", low=-0.02, high=0.02),
    *COMMON,
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of a target over all its conditions.

    Attributes:
        target: the target.
        worst: the value furthest out; None if nothing was measured.
        missed: conditions that miss it, with their values.
        count: conditions that have the figure.
    """

    target: Target
    worst: float | None
    missed: dict[str, float]
    count: int


def targets_of(biped: bool) -> tuple[Target, ...]:
    """The targets of a biped, or of a robot with more feet."""
    return BIPED if biped else QUADRUPED


def verdicts(targets: Sequence[Target], conditions: Sequence[Condition], rows: dict[str, dict[str, Figure]]) -> list[Verdict]:
    """Check figures by condition against targets."""
    found = []
    for target in targets:
        about = [condition.name for condition in conditions if target.about(condition)]
        values = {name: rows[name][target.figure] for name in about if target.figure in rows[name]}
        known = {name: figure.value for name, figure in values.items() if figure.value is not None}
        missed = {name: value for name, value in known.items() if not target.met(values[name])}
        worst = max(known.values(), key=lambda value, target=target: _beyond(target, value), default=None)
        found.append(Verdict(target=target, worst=worst, missed=missed, count=len(known)))
    return found


def _beyond(target: Target, value: float) -> float:
    """Distance of a value beyond the nearer bound; negative inside."""
    low = -float("inf") if target.low is None else target.low - value
    high = -float("inf") if target.high is None else value - target.high
    return max(low, high)
