"""Control steps a second of every task, all included, against the same engine stepped bare; and memory a world.

Bare means `mujoco.batch.Batch` of the same model with the same per-world fields: controls are written once and D physics steps are
asked for in one call. It starts each repetition from the environment's own states and gets targets of the same distribution; only the
environment observes, rewards, randomizes and resets. Actions are random, which makes humanoids fall all the time, or those of a policy file
(`--policy`), recorded beforehand from one state of the environment and played again from it.
"""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mujoco.batch import Batch, SimulationError

from benchmarks.common import Entry, Options, alternate, entry, median, rate_ratio, resident_mib, say
from envs.env_cfg import EnvCfg
from envs.robots.registry import get_robot
from envs.snapshot import restore, snapshot
from envs.tasks.registry import get_task, make_env
from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from policies.contract.observation import joint_targets
from robolearn.config import loading as config
from robolearn.config import schema
from robolearn.errors import UsageError
from robolearn.evaluation.actors import FileActor
from robolearn.evaluation.rollout import Rollout

ACTION_STD = 0.5
SETTLED = 100  # control steps until a policy walks
BARE = "mujoco.batch raw stepping"
PAIRS = {
    "go1-velocity-flat": ("velocity-flat", "go1"),
    "g1-velocity-flat": ("velocity-flat", "g1"),
    "go1-velocity-rough": ("velocity-rough", "go1"),
    "g1-velocity-rough": ("velocity-rough", "g1"),
    "panda-reach": ("reach", "panda"),
}
"""The tasks with our robots: preset -> task and robot."""
Pair = tuple[str, str]


class BareBatch:
    """The environment's physics without the environment."""

    STATE = ("qpos", "qvel", "qacc_warmstart", "time")

    def __init__(self, env: VecEnv) -> None:
        self._env, self._engine = env, env.engine
        engine: Any = env.engine
        self._fields = engine._expanded
        self._theirs = engine._live
        self._batch = Batch(engine.model, env.num_worlds, env.cfg.num_threads)
        self._own = {name: self._batch.expand(name) for name in self._fields}
        self._live = {name: self._batch.bind(name) for name in (*self.STATE, "ctrl")}

    def follow(self) -> None:
        """Take over the environment's states and fields."""
        for name, values in self._fields.items():
            self._own[name][:] = values
        self._batch.set_const()
        for name in self.STATE:
            self._live[name][:] = self._theirs[name]

    def run(self, controls: np.ndarray) -> None:
        """Controls (T, N, J), each held for a control step."""
        for control in controls:
            self._live["ctrl"][:] = control
            with contextlib.suppress(SimulationError):
                self._batch.step(nstep=self._env.cfg.decimation)

    def targets(self, actions: torch.Tensor) -> np.ndarray:
        """The joint targets (T, N, J) that actions (T, N, J) ask for from the present ones."""
        env, target, targets = self._env, self._env.target, []
        for action in actions:
            target = joint_targets(action, target, env.spec, env._constants)
            targets.append(target.numpy())
        return np.stack(targets)


def run(options: Options) -> list[Entry]:
    """All tasks, or the one that is asked for."""
    entries: list[Entry] = []
    for name, pair in chosen(options).items():
        default = get_task(pair[0]).make(get_robot(pair[1]))
        cfgs = {name: default}
        if name in config.preset_names():
            preset = schema.load(name).env
            if preset.decimation != default.decimation:
                cfgs[f"{name}, {preset.decimation} substeps as in its preset"] = preset
        for title, cfg in cfgs.items():
            entries += measure(f"sim: {title}", pair, cfg, options)
        worlds = options.worlds or (64 if options.quick else 1024)
        entries.append(entry(f"sim: {name}, memory a world of {worlds}", memory_mib(pair, worlds), "MiB"))
    return entries


def chosen(options: Options) -> dict[str, Pair]:
    """Name -> task and robot of what is to be simulated.

    Raises:
        UsageError: the task names no robot, and none is given; or the other way round.
    """
    if options.task is None:
        return PAIRS
    if options.task in PAIRS:
        if options.robot is not None:
            raise UsageError(f"{options.task} names its robot: leave --robot out, or give --task {PAIRS[options.task][0]}")
        return {options.task: PAIRS[options.task]}
    task = get_task(options.task).name
    if options.robot is None:
        raise UsageError(f"{task} is for any robot: add --robot NAME or --robot PATH of a robot.yaml")
    return {f"{task}, {get_robot(options.robot).name}": (task, options.robot)}


def measure(name: str, pair: Pair, cfg: EnvCfg, options: Options) -> list[Entry]:
    """One task with one config."""
    worlds = options.worlds or (16 if options.quick else 1024)
    steps = 3 if options.quick else 24
    say(f"{name}: {worlds} worlds, {cfg.decimation} substeps")
    torch.set_num_threads(1)  # as in training: no OpenMP pool spins beside the simulation's threads
    env = make_env(*pair, cfg, num_worlds=worlds)
    env.reset()
    generator = torch.Generator().manual_seed(0)
    actions = ACTION_STD * torch.randn(steps, worlds, env.spec.action_dim, generator=generator)
    env.episode_steps[:] = torch.randint(0, env.max_steps, (worlds,), generator=generator)  # ends are spread, as in training
    for action in actions:
        env.step(action)
    state = None
    if options.policy is not None:
        state, actions = policy_actions(env, Path(options.policy), steps)
    bare = BareBatch(env)
    controls: list[np.ndarray] = []

    def before() -> None:
        if state is not None:
            restore(env, state)
        bare.follow()
        controls[:] = [bare.targets(actions)]

    def step_env() -> None:
        for action in actions:
            env.step(action)

    times = alternate(
        {"env": step_env, BARE: lambda: bare.run(controls[0])}, quick=options.quick, seconds=options.seconds or 30.0, before=before
    )
    count = steps * worlds
    return [
        entry(name, count / median(times["env"]), "control steps/s", BARE, rate_ratio(times, "env", BARE)),
        entry(f"{name}, {BARE}", count / median(times[BARE]), "control steps/s"),
    ]


def policy_actions(env: VecEnv, path: Path, steps: int) -> tuple[dict[str, Any], torch.Tensor]:
    """A state in which a policy file has taken over the robots, and its actions (T, N, J) from there."""
    rollout = Rollout(env, FileActor(PolicyFile(path), env.num_worlds), go_on=True)
    rollout.start()
    state: dict[str, Any] = {}
    actions: list[torch.Tensor] = []

    def keep(action: torch.Tensor) -> torch.Tensor:
        actions.append(action)
        return action

    for index in range(SETTLED + steps):
        if index == SETTLED:
            state = snapshot(env)
        rollout.step(keep if index >= SETTLED else None)
    return state, torch.stack(actions)


def memory_mib(pair: Pair, worlds: int) -> float:
    """What a world of a task adds to the memory of a fresh process that has two of them and has stepped [MiB]."""
    code = f"from benchmarks.sim import grown; print(grown({pair!r}, {worlds}))"
    root = Path(__file__).resolve().parent.parent
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return float(result.stdout.splitlines()[-1])


def grown(pair: Pair, worlds: int) -> float:
    """For `memory_mib`, in its process."""
    kept, memory = [], []
    for count in (2, worlds):
        env = make_env(*pair, num_worlds=count)
        env.reset()
        for _ in range(3):
            env.step(torch.zeros(count, env.spec.action_dim))
        gc.collect()
        kept.append(env)
        memory.append(resident_mib())
    return (memory[1] - memory[0]) / worlds
