"""How a task judges a policy of its own: what is asked, what is measured, what counts as good, and how it is played.

A task is registered with an `Evaluation`. `evaluate`, the gate, targets (`until`), studies, reports, `play` and the live viewer ask it and
know no figure by name. Here are tables alone; `robolearn.evaluation` rolls policies out and works out intervals.

An episode is one command that is held. In each world of an evaluation `Evaluation.goals` episodes follow each other:

    steps      0 ........ settle_s ................................. hold
    measured            | mean over these, while the world is alive |
    tail_s                                       | a tail's alone   |

A world that ends is out until the next episode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch

from envs.tasks.scaling import Dimension
from policies.contract.spec import CommandSpec

if TYPE_CHECKING:
    from envs.vec_env import VecEnv

Signal = Callable[["VecEnv"], torch.Tensor]
"""A value of each world (N,) in the present state."""
Commands = Callable[[CommandSpec], Sequence[Sequence[float]]]
"""Commands (K, C) of a task, from their ranges."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure of an evaluation.

    Attributes:
        label: for people, e.g. `planar velocity error`.
        kind: `share` of the episodes in which the world did not end and `signal` held at every counted step, or `mean` over episodes of
            the signal's mean over counted steps.
        signal: bool (N,) of a share, None where not having ended is enough; number (N,) of a mean.
        per: what a mean is relative to: sum of `signal` over sum of this. Steps where None.
        about: worlds (N,) bool that the figure is about, asked when an episode begins. All where None.
        unit: of a mean; a share has none.
        better: which way is better; None takes `more` for a share, `less` for a mean.
        tail_s: count the last seconds of an episode alone [s]; None counts from `settle_s` on.
        goal: what a good policy reaches, for the robot that the task's numbers are of; None for no goal. Of the score a share.
        limit: beyond it on the precise engine a policy is not deployable; None for no limit.
        dimension: how `goal` and `limit` grow with the robot, see `envs.tasks.scaling`.
    """

    label: str
    kind: Literal["share", "mean"]
    signal: Signal | None = None
    per: Signal | None = None
    about: Signal | None = None
    unit: str = ""
    better: Literal["more", "less"] | None = None
    tail_s: float | None = None
    goal: float | None = None
    limit: float | None = None
    dimension: Dimension = "1"

    def __post_init__(self) -> None:
        if self.kind == "mean" and self.signal is None:
            raise ValueError(f"the measure {self.label!r} is a mean and needs a signal: a function of the environment that gives (N,)")
        if self.tail_s is not None and not self.tail_s > 0:
            raise ValueError(f"tail_s of the measure {self.label!r} must be positive, not {self.tail_s:g}")

    @property
    def more_is_better(self) -> bool:
        """Which way is better."""
        return self.kind == "share" if self.better is None else self.better == "more"


def nothing_measured(env: VecEnv) -> torch.Tensor:
    """What a task without a command measures against it, (N, C): NaN."""
    return torch.full_like(env.command, float("nan"))


def middle_and_ends(command: CommandSpec) -> list[tuple[float, ...]]:
    """Commands for a task that names none: the middle of all ranges, and each range's ends with the others in the middle."""
    middle = [(low + high) / 2 for low, high in zip(command.lower, command.upper, strict=True)]
    found = [tuple(middle)]
    for index, ends in enumerate(zip(command.lower, command.upper, strict=True)):
        found += [(*middle[:index], end, *middle[index + 1 :]) for end in ends]
    return found


@dataclass(frozen=True, kw_only=True)
class Play:
    """How one robot is shown at the task.

    Attributes:
        measured: what the command asks for, as it is, (N, C).
        commands: what is asked in turn when nobody says.
        units: of the command's entries; none where empty.
        shown: the measure that stands in the picture; the evaluation's first mean where None.
    """

    measured: Signal = nothing_measured
    commands: Commands = middle_and_ends
    units: tuple[str, ...] = ()
    shown: str | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How policies of a task are judged.

    Attributes:
        measures: the figures by name, in the order of tables; names are keys of JSON files and of `until`.
        score: the measure that says how well the task is done, a share.
        worlds: for each seed; as many as `commands` gives, where there are any.
        commands: what each world of a seed is asked, (worlds, C), held for a whole episode; None lets the task draw.
        goals: episodes that follow each other in each world, and share the time of the evaluation.
        settle_s: of an episode that no mean counts [s].
        terrain: robots are judged on a plane, whatever they were trained on, and may be played on any ground.
        prepare: what becomes of the environment's config before an evaluation, beside that.
        curves: metrics of a training that reports draw, name -> title; as `EnvCfg` and the task name them.
        play: how it is shown.
    """

    measures: Mapping[str, Measure]
    score: str
    worlds: int
    commands: Commands | None = None
    goals: int = 1
    settle_s: float = 1.0
    terrain: bool = False
    prepare: Callable[[Any], Any] | None = None
    curves: Mapping[str, str] = field(default_factory=dict)
    play: Play = field(default_factory=Play)

    def __post_init__(self) -> None:
        names = ", ".join(self.measures) or "none"
        for what, name in (("score", self.score), ("play.shown", self.play.shown)):
            if name is not None and name not in self.measures:
                raise ValueError(f"{what} names the measure {name!r}, which the evaluation does not have; it has: {names}")
        if self.measures[self.score].kind != "share":
            raise ValueError(f"score names {self.score!r}, which is a mean; it must be a share, so that a gate can compare two engines")
        taken = sorted(RESERVED & set(self.measures))
        if taken:
            raise ValueError(f"no measure may be called {', '.join(taken)}: results have such a key themselves")
        if self.worlds < 1 or self.goals < 1:
            raise ValueError(f"worlds and goals must be at least 1, not {self.worlds} and {self.goals}")

    @property
    def episodes_a_seed(self) -> int:
        """Episodes that an evaluation has for each seed."""
        return self.worlds * self.goals

    @property
    def shown(self) -> str | None:
        """The measure that stands in pictures; None where there is no mean."""
        return self.play.shown or next((name for name, measure in self.measures.items() if measure.kind == "mean"), None)


RESERVED = {
    "policy", "robot", "task", "engine", "ground", "episodes", "intervals", "figures", "policy_sha256", "score", "physics_failures",
    "seconds", "seed", "falls", "video", "codec", "frames", "fps", "labels", "time_s", "command",
    "measured", "variant", "condition", "seeds",
}  # fmt: skip
"""Keys that results have beside the task's measures."""

LASTING = Evaluation(measures={"lasted": Measure(label="lasted to the end", kind="share")}, score="lasted", worlds=50)
"""For a task that says nothing else: the share of episodes that no termination ended, under commands that the task draws."""
