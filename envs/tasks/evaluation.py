"""How a task evaluates its policies: commands, measures, goals, and how it is shown.

A task is registered with an `Evaluation`. `evaluate`, the gate, targets (`until`), studies, reports, `play` and the live viewer use it and
know no figure by name. This module only has the tables; `robolearn.evaluation` runs policies and computes intervals.

An episode holds one command. Each world of an evaluation runs `Evaluation.goals` episodes in a row:

    steps      0 ........ settle_s ................................. hold
    measured            | mean over these, while the world is alive |
    tail_s                                       | a tail's alone   |

A world whose episode ends waits for the next one.
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
        label: name for display, e.g. `planar velocity error`.
        kind: `share` of the episodes that did not end early and in which `signal` held at every counted step, or `mean` over episodes of
            the signal's mean over counted steps.
        signal: bool (N,) for a share, None if it is enough not to end early; number (N,) for a mean.
        per: denominator of a mean: sum of `signal` over sum of this; None for the number of steps.
        about: worlds (N,) bool that the figure covers, determined when an episode begins; None for all.
        unit: unit of a mean; a share has none.
        better: which way is better; None takes `more` for a share, `less` for a mean.
        tail_s: count only the last seconds of an episode [s]; None counts from `settle_s`.
        goal: value that a good policy reaches, for the task's reference robot; None for no goal. For the score, a share.
        limit: value on the precise engine beyond which a policy is not deployable; None for no limit.
        dimension: how `goal` and `limit` scale with the robot, see `envs.tasks.scaling`.
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
        """The better direction."""
        return self.kind == "share" if self.better is None else self.better == "more"


def nothing_measured(env: VecEnv) -> torch.Tensor:
    """The measurement for a task without a command, (N, C): NaN."""
    return torch.full_like(env.command, float("nan"))


def middle_and_ends(command: CommandSpec) -> list[tuple[float, ...]]:
    """Commands for a task that names none: the middle of all ranges, and the ends of each range with the others in the middle."""
    middle = [(low + high) / 2 for low, high in zip(command.lower, command.upper, strict=True)]
    found = [tuple(middle)]
    for index, ends in enumerate(zip(command.lower, command.upper, strict=True)):
        found += [(*middle[:index], end, *middle[index + 1 :]) for end in ends]
    return found


@dataclass(frozen=True, kw_only=True)
class Play:
    """How the task is shown with one robot.

    Attributes:
        measured: measured values of the commanded quantities, (N, C).
        commands: default sequence of commands.
        units: units of the command's entries; empty for none.
        shown: the measure shown in pictures; None for the evaluation's first mean.
    """

    measured: Signal = nothing_measured
    commands: Commands = middle_and_ends
    units: tuple[str, ...] = ()
    shown: str | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How policies of a task are evaluated.

    Attributes:
        measures: the figures by name, in the order of tables; names are keys in JSON files and in `until`.
        score: the measure of success in the task, a share.
        worlds: number of worlds per seed; the number of `commands`, if these are given.
        commands: command of each world of a seed, (worlds, C), held for a whole episode; None lets the task draw.
        goals: episodes in a row in each world, which share the time of the evaluation.
        settle_s: time at the start of an episode that is left out of means [s].
        terrain: whether robots are evaluated on a plane, whatever they were trained on, and may be shown on any ground.
        prepare: further changes of the environment's config before an evaluation.
        curves: metrics of a training that reports plot, name -> title, named as in `EnvCfg`.
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
                raise ValueError(f"{what} names the measure {name!r}, which the evaluation lacks; it has: {names}")
        if self.measures[self.score].kind != "share":
            raise ValueError(f"score names {self.score!r}, which is a mean; it must be a share, so that a gate can compare two engines")
        taken = sorted(RESERVED & set(self.measures))
        if taken:
            raise ValueError(f"no measure may be called {', '.join(taken)}: results have keys of these names")
        if self.worlds < 1 or self.goals < 1:
            raise ValueError(f"worlds and goals must be at least 1, not {self.worlds} and {self.goals}")

    @property
    def episodes_a_seed(self) -> int:
        """Number of episodes per seed."""
        return self.worlds * self.goals

    @property
    def shown(self) -> str | None:
        """The measure shown in pictures; None if there is no mean."""
        return self.play.shown or next((name for name, measure in self.measures.items() if measure.kind == "mean"), None)


RESERVED = {
    "policy", "robot", "task", "engine", "ground", "episodes", "intervals", "figures", "policy_sha256", "score", "physics_failures",
    "seconds", "seed", "falls", "video", "codec", "frames", "fps", "labels", "time_s", "command",
    "measured", "variant", "condition", "seeds",
}  # fmt: skip
"""Keys of results besides the task's measures."""

LASTING = Evaluation(measures={"lasted": Measure(label="lasted to the end", kind="share")}, score="lasted", worlds=50)
"""The default of tasks: the share of episodes that no termination ended, under commands drawn by the task."""
