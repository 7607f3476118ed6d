"""The config of a training, which YAML presets and `--section.key=value` fill."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from envs.env_cfg import MOST_THREADS, EnvCfg
from envs.robots.errors import RobotError
from envs.robots.registry import ROBOTS, get_robot
from envs.robots.robot import Robot
from envs.tasks.registry import TASKS, Task, get_task
from policies.networks.protocol import NetworkCfg
from policies.networks.registry import network_cfg
from policies.networks.transformer import TransformerCfg
from policies.networks.vision import VisionCfg
from policies.registry import UnknownNameError
from robolearn.config import loading as config
from robolearn.errors import ConfigError
from robolearn.learning.ppo import PpoCfg
from robolearn.pretraining.config import PretrainCfg

LARGEST_SEED = 2**62
"""Bound on seeds: with the offsets of processes and iterations they still fit into 64 bits."""


@dataclass(frozen=True, kw_only=True)
class UntilCfg:
    """When a training is good enough: it continues past its `iterations` until small evaluations on the task's grid meet the targets, or up
    to a cap.

    A target counts as met if the whole 95 % interval meets it, so that another evaluation will agree.

    Attributes:
        at_most: multiple of `iterations` after which the training ends in any case and reports the targets it missed.
        every: interval between two evaluations as a share of `iterations`; the first is after `iterations`.
        seeds: episodes per command in each evaluation.
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


@dataclass(frozen=True, kw_only=True)
class TeacherUntilCfg(UntilCfg):
    """Targets of a teacher.

    Attributes:
        score: least share of episodes without a fall, or of goals reached.
        figures: targets for other figures of the task's evaluation, by their names, in their units.
        goals: whether every goal that the task's evaluation names must be met too; these goals scale with the robot.
    """

    score: float = 0.95
    figures: dict[str, float] = field(default_factory=dict)
    goals: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("score", self.score)


@dataclass(frozen=True, kw_only=True)
class StudentUntilCfg(UntilCfg):
    """Targets of a student, relative to its own teacher on the same commands.

    Attributes:
        score_ratio: least ratio of its score to the teacher's.
        ratios: worst ratios of other figures of the task's evaluation to the teacher's, by their names.
    """

    score_ratio: float = 0.95
    ratios: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("score_ratio", self.score_ratio)
        for name, ratio in self.ratios.items():
            if not ratio > 0:
                raise ValueError(f"ratios.{name} must be positive, not {ratio:g}")


def _check_share(name: str, value: float) -> None:
    """Raises `ValueError` if a share lies outside 0 to 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie between 0 and 1, not {value:g}")


@dataclass(frozen=True, kw_only=True)
class TeacherCfg:
    """The privileged teacher.

    Attributes:
        iterations: rollouts and updates.
        until: the targets it must reach, and how much longer it may train to reach them; null trains for
            exactly `iterations`, and so does a number of iterations given on the command line.
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
        annealed_at: share of the iterations at which lambda has fallen linearly to `final_weight`; 0 keeps it constant: with rl_weight 0
            this is pure imitation (DAgger: the student acts, the teacher labels).
        final_weight: lambda after annealing.
        rl_weight: weight of the reinforcement loss.
        pretrained_weight: weight of KL(student || pretrained network), for a student that starts from one (`distill --init`); it stays
            constant.
        rl_from: share of the iterations after which the reinforcement loss counts; before it the student only imitates.
        clipped: whether the teacher's means are clipped as its actions are (`env.action.clip`) before they are imitated. A teacher may ask
            for far more than that, and a student that tries to match it learns the rest less well.
    """

    weight: float = 1.0
    annealed_at: float = 0.5
    final_weight: float = 0.0
    rl_weight: float = 1.0
    rl_from: float = 0.0
    clipped: bool = False
    pretrained_weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StudentCfg:
    """The transformer student.

    Attributes:
        iterations: rollouts and updates; the schedules of imitation and learning rate end with the last.
        until: its targets relative to the teacher, and how much longer it may train to reach them; null trains for exactly `iterations`.
        network: its kind and size.
        vision: its eyes: which cameras of `env.observations` it sees, and by which encoder; null for a student that only reads the vector.
        memory: how long it remembers: one `episode`, or a `life`, which a fall does not end, so that it remembers what its body is like
            (cf. LocoFormer, arXiv 2509.23745). A life ends when the episode's time is up.
        initial_std: standard deviation of its actions at the start.
        imitation: the teacher's part in the loss.
        ppo: the reinforcement learning; minibatches are sets of worlds, each with its whole chunk of tokens.
    """

    iterations: int = 120
    until: StudentUntilCfg | None = None
    network: NetworkCfg = field(default_factory=TransformerCfg, metadata={"variants": network_cfg})
    vision: VisionCfg | None = None
    memory: Literal["episode", "life"] = "episode"
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
        steps: rollout length per world.
        batch_size: samples in a minibatch.
        epochs: passes over a rollout.
        learning_rate: its Adam learning rate.
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


def _renamed() -> dict[str, str]:
    """New names of earlier versions' settings, by pattern; `*` stands for the last part of the name."""
    both = "env.rewards.{0}.swing_share and env.rewards.{1}.swing_share"
    return {
        "env.reward.track_sigma": "env.rewards.track_velocity.sigma and env.rewards.track_yaw_rate.sigma",
        "env.reward.gait_sigma": "env.rewards.gait.sigma",
        "env.reward.swing_height": "env.rewards.gait.swing_height",
        "env.reward.swing_share": both.format("gait", "gait_contact"),
        "env.reward.near_sigma": "env.rewards.near.sigma",
        "env.reward.at_sigma": "env.rewards.at.sigma",
        "env.reward.*.*": "env.rewards.*",
        "env.reward.*": "env.rewards.*.weight",
        "teacher.until.velocity_error_xy": "teacher.until.figures.velocity_error_xy",
        "student.until.error_ratio": "student.until.ratios.velocity_error_xy",
        "env.max_tilt": "env.terminations.tilt.max_tilt",
        "env.min_height": "env.terminations.height.minimum",
        "env.action_scale": "env.action.scale",
        "env.events": "part of env.randomization",
        "env.events.*": "env.randomization.*",
        "env.curriculum": "the table env.curriculum (env.curriculum.terrain=null for all levels from the start)",
    }


RENAMED = _renamed()


@dataclass(frozen=True, kw_only=True)
class TrainCfg:
    """A whole training.

    Attributes:
        task: name of the task.
        robot: name of the robot, or the path of its `robot.yaml`.
        algorithm: `ppo`, or `sb3` for Stable-Baselines3's PPO.
        seed: seed of everything random: networks, exploration and environment.
        threads: torch threads during updates; 0 uses all cores.
        precision: precision of matrix products during updates: `auto` uses bf16 if this CPU computes it correctly and faster, `fp32` never
            does, `bf16` always does.
        checkpoint_every: iterations between checkpoints.
        env: the task's own config for the robot.
        teacher: the privileged teacher, `robolearn train`.
        student: the student that it is distilled into, `robolearn distill`.
        pretrain: learning from datasets, `robolearn pretrain`.
        sb3: Stable-Baselines3's own PPO, only read with `algorithm: sb3`.
    """

    RENAMED: ClassVar[dict[str, str]] = RENAMED
    EMPTIED: ClassVar[tuple[str, ...]] = ("env.events",)

    task: str
    robot: str
    algorithm: Literal["ppo", "sb3"] = "ppo"
    seed: int = 0
    threads: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint_every: int = 20
    env: EnvCfg
    teacher: TeacherCfg = field(default_factory=TeacherCfg)
    student: StudentCfg = field(default_factory=StudentCfg)
    pretrain: PretrainCfg = field(default_factory=PretrainCfg)
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
    """Raises `ValueError` if an integer is larger than torch's."""
    for item in dataclasses.fields(cfg):
        value = getattr(cfg, item.name)
        if dataclasses.is_dataclass(value):
            _check_sizes(value)
        elif isinstance(value, int) and item.name != "seed" and not -(2**63) <= value < 2**63:
            raise ValueError(f"{item.name} must be an integer that fits into 64 bits, not {value}")


def _check_learner(cfg: TeacherCfg | StudentCfg) -> None:
    """Raises `ValueError` if a teacher or a student could not learn."""
    if cfg.iterations < 1:
        raise ValueError(f"iterations must be at least 1, not {cfg.iterations}")
    if not cfg.initial_std > 0:
        raise ValueError(f"initial_std must be positive, not {cfg.initial_std}")


def _check_layers(sizes: tuple[int, ...]) -> None:
    """Raises `ValueError` if a hidden layer has no units."""
    if any(size < 1 for size in sizes):
        raise ValueError(f"hidden layers must have at least 1 unit each, not {list(sizes)}")


def schema_of(task: str, robot: str | Robot) -> type[TrainCfg]:
    """`TrainCfg` whose `env` is the task's own config for the robot.

    Raises:
        UnknownTaskError: no such task; names the existing ones.
        UnknownRobotError: no such robot; names the existing ones.
        ConfigError: the robot cannot do the task.
    """
    made = robot if isinstance(robot, Robot) else get_robot(robot)
    known = get_task(task)
    try:
        env = known.make(made)
    except RobotError:
        raise
    except ValueError as error:
        raise ConfigError(f"task {task}: {error}") from error
    name = robot if isinstance(robot, str) else str(made.source or made.name)
    fields: list[Any] = [("task", str, task), ("robot", str, name), ("env", type(env), field(default_factory=lambda: env))]
    schema = dataclasses.make_dataclass("TrainCfg", fields, bases=(TrainCfg,), frozen=True, kw_only=True)
    schema.__doc__ = TrainCfg.__doc__
    return schema


def load(preset: str | Path, overrides: Sequence[str] = ()) -> TrainCfg:
    """Read a preset: the name of a YAML in `configs/`, a path, or a task's bare name.

    A preset that names no robot needs the override `robot=...` (on the command line `--robot`); for a kind of robot that needs other
    settings to learn, the preset `NAME-KIND` is read in place of `NAME`, see `envs.tasks.registry.Task.variant`.

    Raises:
        ConfigError: unknown key, wrong type, missing file; the message names the place.
    """
    return config.load(*_chosen(preset, overrides))


def sources(preset: str | Path, overrides: Sequence[str] = ()) -> dict[str, str]:
    """Dotted name of each setting that a preset or an override gives -> where it is given: `file:line`, or the override. Errors as in
    `load`.
    """
    _, chosen, given = _chosen(preset, overrides)
    return config.sources(chosen, given)


def _chosen(preset: str | Path, overrides: Sequence[str]) -> tuple[type[TrainCfg], str | Path | None, list[str]]:
    """The schema, the preset to read (None for a bare task) and the overrides, from the user's input."""
    given = [_as_path(override) for override in _exactly(overrides)]
    name = _name_of(preset)
    bare = name in TASKS and name not in config.preset_names()
    with _placed(preset, "task", given):
        task = name if bare else task_name(config.peek(preset, "task", given), config.peek(preset, "robot", given, default=""))
        get_task(task)
    robot = _value_of(given, "robot") if bare else config.peek(preset, "robot", given, default="")
    if not robot:
        raise ConfigError(f"{name} is for any robot; choose one with --robot NAME or --robot PATH of a robot.yaml")
    if not bare and (found := _beside(config.preset_path(preset), robot)) is not None:
        robot, given = str(found), [*given, f"--robot={found}"]
    with _placed(preset, "robot", given):
        made = get_robot(robot)
    variant = f"{name}-{get_task(task).variant(made)}"
    if not bare and not config.peek(preset, "robot", default=""):
        _check_kind(name, get_task(task), made)
    return schema_of(task, robot), None if bare else variant if variant in config.preset_names() else preset, given


@contextlib.contextmanager
def _placed(preset: str | Path, key: str, given: Sequence[str]) -> Generator[None]:
    """Add to an error about an unknown name the file and line of that name, unless it comes from the command line.

    Raises:
        ConfigError: the body's error, with the place before it.
    """
    try:
        yield
    except (UnknownNameError, RobotError, ConfigError) as error:
        place = "" if str(preset) in TASKS else config.place(preset, key, given)
        told = str(error)
        if not place or place.startswith("--") or place in told or "\n" in told:
            raise
        raise ConfigError(f"{place}: {told}") from error


def _name_of(preset: str | Path) -> str:
    """The name of a preset, also if it is given by its path."""
    path = Path(preset)
    ours = path.suffix in (".yaml", ".yml") and path.stem in config.preset_names() and path.exists()
    return path.stem if ours and path.samefile(config.preset_path(path.stem)) else str(preset)


def _check_kind(name: str, task: Task, robot: Robot) -> None:
    """Refuse a preset for one kind of robot with a robot of another kind.

    Raises:
        ConfigError: names the preset that selects the settings for the robot's kind.
    """
    general, _, kind = name.rpartition("-")
    if kind == task.variant(robot) or general not in config.preset_names():
        return
    if kind in {task.variant(ROBOTS.get(other)) for other in ROBOTS}:
        raise ConfigError(
            f"{name} has the settings of a {kind}, which {robot.name} is not: give {general}, which selects those for its kind"
        )


def name_of_runs(preset: str | Path, overrides: Sequence[str] = ()) -> str:
    """The name of a preset's trainings: the preset's, and the robot's if the preset does not name it."""
    given = [_as_path(override) for override in overrides]
    robot, name = _value_of(given, "robot"), Path(preset).stem
    its = "" if str(preset) in TASKS and name not in config.preset_names() else config.peek(preset, "robot", default="")
    return f"{name}-{get_robot(robot).name}" if robot and robot != its else name


def _beside(preset: Path, robot: str) -> Path | None:
    """The absolute path of a `robot.yaml` that a preset names relative to its own folder; None for other robots."""
    path = preset.parent / robot
    return path.resolve() if robot.endswith((".yaml", ".yml")) and path.is_file() else None


def defaults(task: str, robot: str) -> TrainCfg:
    """The default config of a task with a robot."""
    return config.load(schema_of(task, robot))


def loads(text: str, source: str, overrides: Sequence[str] = ()) -> TrainCfg:
    """Read the config that a checkpoint holds. Errors as in `load`.

    Raises:
        ConfigError: the text names no task or robot, or does not fit them.
    """
    given = [_as_path(override) for override in _exactly(overrides)]
    told = config.loads_any(text, source)
    for key in ("task", "robot"):
        if key not in told:
            raise ConfigError(f"{source}: {key} is missing; it was written by an earlier version, or by another program")
    robot = _value_of(given, "robot") or str(told["robot"])
    return config.loads(schema_of(task_name(str(told["task"]), robot), robot), text, source, given)


def task_name(task: str, robot: str) -> str:
    """The name of a task, after a check that it exists.

    Raises:
        ConfigError: the name is of an earlier version, in which a task named its robot.
    """
    if task not in TASKS:
        for name in TASKS:
            for old in ROBOT_TASKS.get(name, ()):
                if task == old:
                    its = old.partition("-")[0]
                    more = "" if robot else f" and `robot: {its}`"
                    raise ConfigError(f"task {task} is now the task {name} of any robot: write `task: {name}`{more}")
    return task


ROBOT_TASKS = {
    "velocity-flat": ("go1-velocity-flat", "g1-velocity-flat"),
    "velocity-rough": ("go1-velocity-rough", "g1-velocity-rough"),
    "reach": ("panda-reach",),
}
"""Names of tasks in earlier versions, when each named its robot."""


def _value_of(overrides: Sequence[str], key: str) -> str:
    """The value in the last override of a key; empty if there is none."""
    found = [text.partition("=")[2] for text in (o.removeprefix("--") for o in overrides) if text.startswith(f"{key}=")]
    return found[-1] if found else ""


def _as_path(override: str) -> str:
    """An override of the robot by a path, made absolute, since a training may be resumed from another folder."""
    key, equals, value = override.removeprefix("--").partition("=")
    is_path = key == "robot" and (value.endswith((".yaml", ".yml")) or "/" in value)
    return f"--{key}{equals}{Path(value).expanduser().resolve()}" if is_path else override


def _exactly(overrides: Sequence[str]) -> list[str]:
    """The overrides; a given number of iterations is exact (`until` off), unless `until` is given too."""
    given = [override.removeprefix("--") for override in overrides]

    def exactly(stage: str) -> bool:
        return any(text.startswith(f"{stage}.iterations=") for text in given) and not any(
            text.startswith(f"{stage}.until") for text in given
        )

    return [*(f"--{stage}.until=null" for stage in ("teacher", "student") if exactly(stage)), *overrides]
