"""Evaluation of a frozen policy over a fixed grid of commands and seeds, on any engine, with 95 % intervals.

Velocity tasks: on flat ground, whatever the task walks on, each world holds one command of the grid for the whole episode.
Survival is the share of episodes without a fall;
velocity errors are means over time of |v_xy - command| [m/s] and |w_z - command| [rad/s], without the first second; cost of transport is
sum |torque * joint velocity| over weight times distance, over worlds that are commanded to move. Reaching: `GOALS` goals follow each other,
each held for its share of the time (2.5 s by default); one succeeds if the end effector stays within 2 cm during the last half second.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from envs.scene.terrain import TerrainCfg
from envs.tasks.reach import SUCCESS_DISTANCE, ReachCfg, ReachEnv
from envs.tasks.registry import get_task, make_env
from envs.tasks.velocity import VelocityCfg, VelocityEnv
from envs.vec_env import EnvCfg, VecEnv
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from policies.networks.teacher import TeacherPolicy
from robolearn.errors import UserError
from robolearn.evaluation.statistics import bootstrap_mean, wilson

GRID_SHARE = 0.8  # of the command ranges
SETTLE_S = 1.0
TAIL_S = 0.5  # of each goal, in which the tool must stay there
GOALS = 4
ARMS = 50  # for each seed
FOREVER_S = 1e9
MAX_VELOCITY_ERROR = 0.3  # m/s, mean planar error on the precise engine
FLAT = TerrainCfg(kinds=("flat",), levels=1, tile=20.0, cell=0.5, border=20.0)  # a plane
"""Flat ground for a teacher that looks at the ground."""
MIN_SCORE = 0.9  # survival or success on the training engine
GATE = 0.95  # share of the training engine's survival or success that the precise engine must keep


class Actor(Protocol):
    """A policy for N worlds."""

    def reset(self, ids: torch.Tensor) -> None:
        """Forget the past of worlds `ids`."""
        ...

    def act(self, policy: torch.Tensor, privileged: torch.Tensor) -> torch.Tensor:
        """Actions (N, J) from the robot's observation (N, O) or the privileged one (N, P)."""
        ...


class FileActor:
    """A policy file, one memory a world, each stepped as on the robot."""

    def __init__(self, file: PolicyFile, worlds: int) -> None:
        self._robots = [file.fork() for _ in range(worlds)]

    def reset(self, ids: torch.Tensor) -> None:
        for index in ids.tolist():
            self._robots[index].reset()

    def act(self, policy: torch.Tensor, privileged: torch.Tensor) -> torch.Tensor:
        rows = policy.cpu().numpy()
        return torch.from_numpy(np.stack([robot.act(row).copy() for robot, row in zip(self._robots, rows, strict=True)]))


class TeacherActor:
    """The teacher's mean action."""

    def __init__(self, teacher: TeacherPolicy) -> None:
        self._teacher = teacher

    def reset(self, ids: torch.Tensor) -> None:
        del ids  # nothing is remembered

    @torch.no_grad()
    def act(self, policy: torch.Tensor, privileged: torch.Tensor) -> torch.Tensor:
        return self._teacher.act(privileged)


class StudentActor:
    """A student in torch, many worlds at once: in training, and for networks that have no policy file."""

    def __init__(self, student: Any, worlds: int) -> None:
        self._stream = student.stream(student.start(worlds))
        self._first = torch.ones(worlds, dtype=torch.bool)

    def reset(self, ids: torch.Tensor) -> None:
        """Forget the past of worlds `ids`."""
        self._first[ids] = True

    @torch.no_grad()
    def act(self, policy: torch.Tensor, privileged: torch.Tensor) -> torch.Tensor:
        """Actions (N, J)."""
        del privileged
        action = self._stream.step(policy, self._first)
        self._first = torch.zeros_like(self._first)
        return action


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of one policy on one engine; see the module for their meaning. None where one does not apply.

    Attributes:
        policy: path or name.
        robot, task, engine: what ran.
        ground: `plane` for walking robots, whatever their task walks on.
        episodes: episodes, or goals for reaching.
        survival: share.
        velocity_error_xy: [m/s].
        velocity_error_yaw: [rad/s].
        success: share of goals.
        cost_of_transport: dimensionless.
        intervals: figure -> [low, high], 95 %.
        policy_sha256: of the file that ran, to prove that it is frozen.
        physics_failures: worlds that failed numerically.
        seconds: length of an episode [s].
        seed: first seed.
    """

    policy: str
    robot: str
    task: str
    engine: str
    ground: str | None = None
    episodes: int
    survival: float | None
    velocity_error_xy: float | None
    velocity_error_yaw: float | None
    success: float | None
    cost_of_transport: float | None
    intervals: dict[str, tuple[float, float]]
    policy_sha256: str | None
    physics_failures: int
    seconds: float
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self) | {"intervals": {name: list(pair) for name, pair in self.intervals.items()}}

    @property
    def score(self) -> float:
        """Survival of a legged robot, success of an arm."""
        value = self.success if self.survival is None else self.survival
        return 0.0 if value is None else value


def evaluate_file(
    file: PolicyFile, engine: str = "mujoco", seeds: int = 2, seconds: float = 10.0, seed: int = 1000, env: EnvCfg | None = None
) -> Evaluation:
    """Evaluate a policy file; it is only read.

    Args:
        file: the frozen policy.
        engine: physics engine.
        seeds: episodes a command.
        seconds: length of an episode; of reaching, of all goals together.
        seed: of the environment.
        env: config of the task to evaluate in (e.g. another randomization); the task's default, at the file's rates and scales, where
            None.

    Raises:
        UserError: the task's contract is not the file's.
    """
    env = env or get_task(file.spec.task).cfg.at_rates_of(file.spec)
    result = evaluate(lambda worlds: FileActor(file, worlds), file.spec.task, engine, seeds, seconds, seed, env, check=file)
    return dataclasses.replace(result, policy=str(file.path), policy_sha256=file.sha256)


def evaluate(
    make_actor: Callable[[int], Actor],
    task: str,
    engine: str = "mujoco",
    seeds: int = 2,
    seconds: float = 10.0,
    seed: int = 1000,
    env: EnvCfg | None = None,
    check: PolicyFile | None = None,
) -> Evaluation:
    """Evaluate any actor; `make_actor` is given the number of worlds. Arguments as in `evaluate_file`."""
    cfg = (env or get_task(task).cfg).at_full_strength()
    torch.set_num_threads(1)
    if isinstance(cfg, VelocityCfg):
        cfg = dataclasses.replace(
            cfg,
            command=dataclasses.replace(cfg.command, hold_s=(FOREVER_S, FOREVER_S)),
            episode_s=seconds + cfg.control_dt * 2,
            terrain=None if check is not None or cfg.terrain is None else FLAT,
        )
        worlds = episodes_a_seed(cfg) * seeds
    elif isinstance(cfg, ReachCfg):
        cfg = dataclasses.replace(cfg, command=dataclasses.replace(cfg.command, hold_s=(FOREVER_S, FOREVER_S)), episode_s=FOREVER_S)
        worlds = ARMS * seeds
    else:
        raise UserError(f"task {task} has no evaluation")
    world = make_env(task, cfg, num_worlds=worlds, engine=engine, device="cpu", seed=seed)
    if check is not None:
        check_contract(check, world)
    if isinstance(world, VelocityEnv):
        figures, intervals, episodes = _velocity(world, make_actor(worlds), seconds, seeds)
    else:
        assert isinstance(world, ReachEnv)
        figures, intervals, episodes = _reach(world, make_actor(worlds), seconds / GOALS)
    names = ("survival", "velocity_error_xy", "velocity_error_yaw", "success", "cost_of_transport")
    return Evaluation(
        policy=task,
        robot=world.robot.name,
        task=task,
        engine=engine,
        ground="plane" if isinstance(world, VelocityEnv) else None,
        episodes=episodes,
        intervals=intervals,
        policy_sha256=None,
        physics_failures=world.failure_count,
        seconds=seconds,
        seed=seed,
        **{name: figures.get(name) for name in names},  # type: ignore[arg-type]
    )


def episodes_a_seed(cfg: EnvCfg) -> int:
    """Episodes, or goals for reaching, that an evaluation has for each seed.

    Raises:
        UserError: the task has no evaluation.
    """
    if isinstance(cfg, VelocityCfg):
        return len(command_grid(cfg))
    if isinstance(cfg, ReachCfg):
        return ARMS * GOALS
    raise UserError("this task has no evaluation, so no targets (`until`) either")


def command_grid(cfg: VelocityCfg) -> list[tuple[float, float, float]]:
    """The commands of an evaluation, vx [m/s], vy [m/s], yaw rate [rad/s]: forward and back, sideways and turning, and all at once.

    Forward speeds are 0.8 and 0.4 of both ends of the task's range and zero; sideways and turning 0.8 of both ends and zero.
    """
    (back, forward), (right, left), (clockwise, counter) = cfg.command.vx, cfg.command.vy, cfg.command.yaw_rate
    vx = [GRID_SHARE * back, GRID_SHARE / 2 * back, 0.0, GRID_SHARE / 2 * forward, GRID_SHARE * forward]
    vy, yaw_rate = ([GRID_SHARE * low, 0.0, GRID_SHARE * high] for low, high in ((right, left), (clockwise, counter)))
    return list(itertools.product(vx, vy, yaw_rate))


def deployable(training: Evaluation, precise: Evaluation) -> bool:
    """The gate: the precise engine keeps at least `GATE` of the training engine's survival or success, and the policy does its task there.

    A policy that only stands survives everything, so a walking one must also follow its commands within `MAX_VELOCITY_ERROR`.
    """
    return not shortcomings(training, precise)


def shortcomings(training: Evaluation, precise: Evaluation) -> list[str]:
    """What keeps a file from being deployable, each in some words; empty where nothing does."""
    found = []
    if training.score < MIN_SCORE:
        found.append(f"only {100 * training.score:.1f} % survival or success on the training engine, {100 * MIN_SCORE:.0f} % wanted")
    if precise.score < GATE * training.score:
        found.append(f"the precise engine keeps {precise.score:.3f} of {training.score:.3f}, less than {100 * GATE:.0f} %")
    error = precise.velocity_error_xy
    if error is not None and error > MAX_VELOCITY_ERROR:
        found.append(f"a planar error of {error:.2f} m/s on the precise engine, at most {MAX_VELOCITY_ERROR:g} wanted")
    return found


def check_contract(file: PolicyFile, env: VecEnv) -> None:
    """Raises `UserError` where an environment is not what a file was trained for."""
    ours, theirs = env.spec, file.spec
    for what, a, b in (
        ("joint names", ours.robot.joint_names, theirs.robot.joint_names),
        ("observation terms", _arithmetic(ours), _arithmetic(theirs)),
        ("default pose", ours.robot.default_pose, theirs.robot.default_pose),
        ("gains", (ours.robot.kp, ours.robot.kd), (theirs.robot.kp, theirs.robot.kd)),
        ("joint range", (ours.robot.position_lower, ours.robot.position_upper), (theirs.robot.position_lower, theirs.robot.position_upper)),
        ("action law", _law(ours), _law(theirs)),
        ("control_dt", ours.control_dt, theirs.control_dt),
        ("clock_hz", ours.clock_hz, theirs.clock_hz),
    ):
        if a != b:
            raise UserError(f"{file.path} was trained with other {what} than task {theirs.task} has here: {b} against {a}")


def _arithmetic(spec: PolicySpec) -> list[tuple[str, int, float, float]]:
    return [(term.name, term.dim, term.scale, term.clip) for term in spec.terms]


def _law(spec: PolicySpec) -> tuple[str, tuple[float, ...], float]:
    return spec.action.mode, spec.action.scale, spec.action.clip


def _velocity(env: VelocityEnv, actor: Actor, seconds: float, seeds: int) -> tuple[dict[str, float], dict[str, tuple[float, float]], int]:
    worlds = env.num_worlds
    env.reset()
    env.command = torch.tensor(command_grid(env.cfg), dtype=torch.float32).repeat(seeds, 1)
    command = env.command.clone()
    policy, privileged = env.observe()
    actor.reset(torch.arange(worlds))
    alive = torch.ones(worlds, dtype=torch.bool)
    sums = {name: torch.zeros(worlds) for name in ("planar", "yaw", "count", "work", "distance")}
    mass = env.robot_mass()
    dt = env.cfg.control_dt
    for step_index in _progress(range(round(seconds / dt)), f"{worlds} episodes, {env.cfg.engine}"):
        step = env.step(actor.act(policy, privileged))
        ended = step.terminated | step.truncated
        alive &= ~ended
        live = alive.float()
        if step_index * dt >= SETTLE_S:
            sums["planar"] += live * (env.velocity_b[:, :2] - command[:, :2]).norm(dim=1)
            sums["yaw"] += live * (env.angular_velocity_b[:, 2] - command[:, 2]).abs()
            sums["count"] += live
            sums["work"] += live * (env.torque * env.joint_velocity).abs().sum(1) * dt
            sums["distance"] += live * env.velocity_b[:, :2].norm(dim=1) * dt
        env.command = command.clone()
        policy, privileged = step.policy, step.privileged
        if ended.any():
            actor.reset(ended.nonzero()[:, 0])
    seen = sums["count"] > 0
    planar = (sums["planar"] / sums["count"])[seen].numpy()
    yaw = (sums["yaw"] / sums["count"])[seen].numpy()
    moving = seen & (command[:, :2].norm(dim=1) > 0.1)
    transport = (sums["work"] / (mass * 9.81 * sums["distance"]))[moving].numpy()
    survived = int(alive.sum())
    figures = {
        "survival": survived / worlds,
        "velocity_error_xy": _mean(planar),
        "velocity_error_yaw": _mean(yaw),
        "cost_of_transport": _mean(transport),
    }
    intervals = {
        "survival": wilson(survived, worlds),
        "velocity_error_xy": bootstrap_mean(planar),
        "velocity_error_yaw": bootstrap_mean(yaw),
        "cost_of_transport": bootstrap_mean(transport),
    }
    known = {name: value for name, value in figures.items() if value is not None}
    return known, {name: intervals[name] for name in known}, worlds


def _reach(env: ReachEnv, actor: Actor, hold_s: float) -> tuple[dict[str, float], dict[str, tuple[float, float]], int]:
    policy, privileged = env.reset()
    actor.reset(torch.arange(env.num_worlds))
    steps, tail = max(1, round(hold_s / env.cfg.control_dt)), round(TAIL_S / env.cfg.control_dt)
    successes = 0
    for goal in _progress(range(GOALS), f"{env.num_worlds} arms, {env.cfg.engine}"):
        if goal:
            env.resample_commands(torch.arange(env.num_worlds))
            env.update_state()
            policy, privileged = env.observe()
        held = torch.ones(env.num_worlds, dtype=torch.bool)
        for step_index in range(steps):
            step = env.step(actor.act(policy, privileged))
            policy, privileged = step.policy, step.privileged
            held &= ~step.terminated
            if step_index >= steps - tail:
                held &= env.distance < SUCCESS_DISTANCE
            if step.terminated.any():
                actor.reset(step.terminated.nonzero()[:, 0])
        successes += int(held.sum())
    goals = GOALS * env.num_worlds
    return {"success": successes / goals}, {"success": wilson(successes, goals)}, goals


def _progress(steps: range, label: str) -> Iterable[int]:
    """A bar that vanishes when it is done; nothing where no person watches."""
    return tqdm(steps, desc=label, unit="step", dynamic_ncols=True, leave=False, disable=None)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
