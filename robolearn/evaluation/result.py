"""The result of an evaluation: the task's own figures with their intervals, as an object and as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from envs.robots.robot import Robot
from envs.tasks.evaluation import Evaluation, Measure
from envs.tasks.scaling import factor
from robolearn.evaluation.figures import Figure, written


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One figure, with everything needed to read it.

    Attributes:
        value, low, high: the value with its 95 % interval; None if nothing was measured.
        count: number of episodes.
        label: name for display.
        unit: unit for display; `%` for a share, which is stored as 0 to 1.
        kind, better: see `envs.tasks.evaluation.Measure`.
        goal, limit: the value that a good policy reaches, and the one that it must not exceed on the precise engine, for this robot.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int
    label: str
    unit: str
    kind: Literal["share", "mean"]
    better: Literal["more", "less"]
    goal: float | None = None
    limit: float | None = None

    @staticmethod
    def of(measure: Measure, figure: Figure, robot: Robot) -> Outcome:
        """The outcome of a measure for a robot."""
        return Outcome(
            **{field.name: getattr(figure, field.name) for field in dataclasses.fields(Figure)},
            label=measure.label,
            unit="%" if measure.kind == "share" else measure.unit,
            kind=measure.kind,
            better="more" if measure.more_is_better else "less",
            goal=scaled(measure.goal, measure, robot),
            limit=scaled(measure.limit, measure, robot),
        )

    @property
    def figure(self) -> Figure:
        """The number only."""
        return Figure(self.value, self.low, self.high, self.count)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the interval; None if there is none."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def reaches(self, wanted: float) -> bool:
        """Whether the whole interval (the value, if there is none) is at `wanted` or better."""
        worst = (self.low if self.better == "more" else self.high) if self.interval else self.value
        return worst is not None and (worst >= wanted if self.better == "more" else worst <= wanted)

    def text(self) -> str:
        """The value with its unit as text."""
        return "nothing measured" if self.value is None else self.text_of(self.value)

    def text_of(self, value: float) -> str:
        """Another value of this figure with its unit."""
        return f"{written(value, self.unit)} {self.unit}".strip()


def scaled(value: float | None, measure: Measure, robot: Robot) -> float | None:
    """A goal or limit of a measure for a robot."""
    return None if value is None else value * factor(robot, measure.dimension)


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Figures of one policy on one engine.

    Attributes:
        policy: path or name.
        robot, task, engine: what was evaluated.
        engine_version: of the engine's package; None for a plugin's that does not say.
        model: path of the robot's model that was simulated.
        model_sha256: fingerprint of its compiled scene (`envs.robots.fingerprint`).
        ground: `plane` for tasks that are evaluated there, whatever ground they were trained on; None for others.
        episodes: total number of held commands.
        figures: the task's figures, by name, in its order.
        score_name: name of the figure that is the score of the task.
        policy_sha256: hash of the file that ran, to prove that it is frozen.
        physics_failures: number of worlds that failed numerically.
        seconds: length of an episode, or of a whole sequence of goals [s].
        seed: first seed.
    """

    policy: str
    robot: str
    task: str
    engine: str
    engine_version: str | None = None
    model: str | None = None
    model_sha256: str | None = None
    ground: str | None = None
    episodes: int
    figures: dict[str, Outcome]
    score_name: str
    policy_sha256: str | None = None
    physics_failures: int = 0
    seconds: float
    seed: int

    @property
    def title(self) -> str:
        """The engine in few letters: for one in another Python its version in place of the path."""
        base, at, _ = self.engine.partition("@")
        return f"{base}@{self.engine_version}" if at and self.engine_version else self.engine

    @property
    def score(self) -> float:
        """The score of the task, 0 to 1."""
        return self.value(self.score_name) or 0.0

    def value(self, name: str) -> float | None:
        """A figure's value; None if nothing was measured or the task has no such figure."""
        outcome = self.figures.get(name)
        return None if outcome is None else outcome.value

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: each figure by its name, intervals, and `figures` with all details."""
        told = dataclasses.asdict(self)
        figures, score = told.pop("figures"), told.pop("score_name")
        intervals = {name: list(outcome.interval) for name, outcome in self.figures.items() if outcome.interval is not None}
        return told | {name: self.value(name) for name in figures} | {"score": score, "intervals": intervals, "figures": figures}


def outcomes(evaluation: Evaluation, figures: dict[str, Figure], robot: Robot) -> dict[str, Outcome]:
    """The outcomes of all measures, in the evaluation's order."""
    return {name: Outcome.of(measure, figures[name], robot) for name, measure in evaluation.measures.items()}
