"""The config of a training: what YAML presets and `--section.key=value` fill."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from envs.tasks.registry import TASKS, get_task
from envs.vec_env import MOST_THREADS, EnvCfg
from policies.networks.protocol import NetworkCfg
from policies.networks.registry import network_cfg
from policies.networks.transformer import TransformerCfg
from robolearn.config import loading as config
from robolearn.learning.ppo import PpoCfg

LARGEST_SEED = 2**62
"""Above every seed; what is added for several processes and iterations still fits into 64 bits."""


@dataclass(frozen=True, kw_only=True)
class UntilCfg:
    """When a training is good enough: it goes on past its `iterations` until small evaluations on the task's grid say so, or to a cap.

    A target counts as met where the 95 % interval says so, so that another evaluation will say the same.

    Attributes:
        at_most: times `iterations`, after which the training ends even so and tells what it missed.
        every: share of `iterations` between two evaluations; the first is after `iterations`.
        seeds: episodes a command.
    """

    at_most: float = 2.5
    every: float = 0.1
    seeds: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.at_most <= 100:
            raise ValueError(f"at_most must lie between 1 and 100, not {self.at_most:g}")
        if not 0 < self.every <= 100:
            raise ValueError(f"every must be positive and at most 100, not {self.every:g}")
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, not {self.seeds}")


def _check_target(until: UntilCfg, share: str, error: str) -> None:
    """Raises `ValueError` where a share lies outside 0 to 1, or an error is not positive."""
    if not 0 <= getattr(until, share) <= 1:
        raise ValueError(f"{share} must lie between 0 and 1, not {getattr(until, share):g}")
    if getattr(until, error) is not None and not getattr(until, error) > 0:
        raise ValueError(f"{error} must be positive, not {getattr(until, error):g}")


@dataclass(frozen=True, kw_only=True)
class TeacherUntilCfg(UntilCfg):
    """Targets of a teacher.

    Attributes:
        score: share of episodes without a fall, or of goals reached.
        velocity_error_xy: planar velocity error [m/s]; null for no target.
    """

    score: float = 0.95
    velocity_error_xy: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_target(self, "score", "velocity_error_xy")


@dataclass(frozen=True, kw_only=True)
class StudentUntilCfg(UntilCfg):
    """Targets of a student, against its own teacher on the same grid.

    Attributes:
        score_ratio: of its share of episodes without a fall, or of goals reached, to the teacher's.
        error_ratio: of its planar velocity error to the teacher's; null for no target.
    """

    score_ratio: float = 0.95
    error_ratio: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_target(self, "score_ratio", "error_ratio")


@dataclass(frozen=True, kw_only=True)
class TeacherCfg:
    """The privileged teacher.

    Attributes:
        iterations: rollouts and updates.
        until: what it must reach, and how much longer it may train for that; null trains for `iterations`, and so does a number of
            iterations given on the command line.
        hidden: hidden layers of actor and critic.
        initial_std: standard deviation of the first actions.
        ppo: how it learns.
    """

    iterations: int = 200
    until: TeacherUntilCfg | None = None
    hidden: tuple[int, ...] = (256, 128, 64)
    initial_std: float = 0.8
    ppo: PpoCfg = field(default_factory=PpoCfg)

    def __post_init__(self) -> None:
        _check_learner(self)
        _check_layers(self.hidden)


@dataclass(frozen=True, kw_only=True)
class ImitationCfg:
    """How the teacher enters the student's loss, rl_weight * L_RL + lambda(t) * KL(student || teacher).

    Attributes:
        weight: lambda at the start; 0 is pure reinforcement learning.
        annealed_at: share of the iterations at which lambda has fallen linearly to `final_weight`; 0 keeps it: with rl_weight 0 this
            is pure imitation (DAgger: the student acts, the teacher labels).
        final_weight: lambda after annealing.
        rl_weight: weight of the reinforcement loss.
        rl_from: share of the iterations after which the reinforcement loss counts; before it the student only imitates.
    """

    weight: float = 1.0
    annealed_at: float = 0.5
    final_weight: float = 0.0
    rl_weight: float = 1.0
    rl_from: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StudentCfg:
    """The transformer student.

    Attributes:
        iterations: rollouts and updates; the schedules of imitation and learning rate end with them.
        until: as of the teacher.
        network: its size.
        initial_std: standard deviation of its actions at the start.
        imitation: the teacher's part in the loss.
        ppo: the reinforcement part; minibatches are sets of worlds, each with its whole chunk of tokens.
    """

    iterations: int = 120
    until: StudentUntilCfg | None = None
    network: NetworkCfg = field(default_factory=TransformerCfg, metadata={"variants": network_cfg})
    initial_std: float = 0.3
    imitation: ImitationCfg = field(default_factory=ImitationCfg)
    ppo: PpoCfg = field(default_factory=PpoCfg)

    def __post_init__(self) -> None:
        _check_learner(self)


@dataclass(frozen=True, kw_only=True)
class Sb3Cfg:
    """Stable-Baselines3's own PPO on the same task.

    Attributes:
        timesteps: control steps in all.
        hidden: hidden layers of its actor and critic.
        steps: rollout length a world.
        batch_size: minibatch.
        epochs: passes over a rollout.
        learning_rate: of its Adam.
        privileged: whether it sees the privileged observation.
    """

    timesteps: int = 1_000_000
    hidden: tuple[int, ...] = (256, 128, 64)
    steps: int = 24
    batch_size: int = 6144
    epochs: int = 5
    learning_rate: float = 3e-4
    privileged: bool = True

    def __post_init__(self) -> None:
        for name in ("timesteps", "steps", "batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.batch_size < 2:
            raise ValueError("batch_size must be at least 2: advantages are normalised over a minibatch")
        if not self.learning_rate >= 0:
            raise ValueError(f"learning_rate must not be negative, is {self.learning_rate}")
        _check_layers(self.hidden)


@dataclass(frozen=True, kw_only=True)
class TrainCfg:
    """A whole training.

    Attributes:
        task: name of the task.
        algorithm: `ppo`, or `sb3` for Stable-Baselines3's PPO.
        seed: of networks, exploration and environment.
        threads: torch threads in updates, 0 for all cores.
        checkpoint_every: iterations between checkpoints.
        env: the task's own config.
        teacher, student, sb3: see their classes.
    """

    task: str
    algorithm: Literal["ppo", "sb3"] = "ppo"
    seed: int = 0
    threads: int = 0
    checkpoint_every: int = 20
    env: EnvCfg
    teacher: TeacherCfg = field(default_factory=TeacherCfg)
    student: StudentCfg = field(default_factory=StudentCfg)
    sb3: Sb3Cfg = field(default_factory=Sb3Cfg)

    def __post_init__(self) -> None:
        if self.checkpoint_every < 1:
            raise ValueError(f"checkpoint_every must be at least 1, not {self.checkpoint_every}")
        if not 0 <= self.threads <= MOST_THREADS:
            raise ValueError(f"threads must lie between 0 and {MOST_THREADS}, not {self.threads}")
        if not 0 <= self.seed < LARGEST_SEED:
            raise ValueError(f"seed must lie between 0 and {LARGEST_SEED - 1}, not {self.seed}")
        _check_sizes(self)


def _check_sizes(cfg: Any) -> None:
    """Raises `ValueError` where a whole number is larger than what torch counts with."""
    for item in dataclasses.fields(cfg):
        value = getattr(cfg, item.name)
        if dataclasses.is_dataclass(value):
            _check_sizes(value)
        elif isinstance(value, int) and item.name != "seed" and not -(2**63) <= value < 2**63:
            raise ValueError(f"{item.name} must be a whole number that 64 bits hold, not {value}")


def _check_learner(cfg: TeacherCfg | StudentCfg) -> None:
    """Raises `ValueError` where a teacher or a student could not learn."""
    if cfg.iterations < 1:
        raise ValueError(f"iterations must be at least 1, not {cfg.iterations}")
    if not cfg.initial_std > 0:
        raise ValueError(f"initial_std must be positive, not {cfg.initial_std}")


def _check_layers(sizes: tuple[int, ...]) -> None:
    """Raises `ValueError` where a hidden layer has no units."""
    if any(size < 1 for size in sizes):
        raise ValueError(f"hidden layers must have at least 1 unit each, not {list(sizes)}")


def schema_of(task: str) -> type[TrainCfg]:
    """`TrainCfg` with `env` of the task's own class and defaults.

    Raises:
        UnknownTaskError: names the tasks there are.
    """
    env = get_task(task).cfg
    fields: list[Any] = [("task", str, task), ("env", type(env), field(default_factory=lambda: env))]
    made = dataclasses.make_dataclass("TrainCfg", fields, bases=(TrainCfg,), frozen=True, kw_only=True)
    made.__doc__ = TrainCfg.__doc__
    return made


def load(preset: str | Path, overrides: Sequence[str] = ()) -> TrainCfg:
    """Read a preset: the name of a YAML in `configs/`, a path, or a task's bare name.

    Raises:
        ConfigError: unknown key, wrong type, missing file; the message names the place.
    """
    is_task = str(preset) in TASKS and str(preset) not in config.preset_names()
    if is_task:
        return config.load(schema_of(str(preset)), None, _exactly(overrides))
    return config.load(schema_of(config.peek(preset, "task", overrides)), preset, _exactly(overrides))


def defaults(task: str) -> TrainCfg:
    """The config of a task of which nobody has said anything."""
    return config.load(schema_of(task))


def loads(text: str, source: str, overrides: Sequence[str] = ()) -> TrainCfg:
    """Read the config that a checkpoint holds. Errors as in `load`."""
    task = str(config.loads_any(text)["task"])
    return config.loads(schema_of(task), text, source, _exactly(overrides))


def _exactly(overrides: Sequence[str]) -> list[str]:
    """The overrides; who says how many iterations a training takes gets that many, unless `until` is given too."""
    given = [override.removeprefix("--") for override in overrides]

    def exactly(stage: str) -> bool:
        return any(text.startswith(f"{stage}.iterations=") for text in given) and not any(
            text.startswith(f"{stage}.until") for text in given
        )

    return [*(f"--{stage}.until=null" for stage in ("teacher", "student") if exactly(stage)), *overrides]
