"""Whole training iterations against the engine stepped bare and against Stable-Baselines3's PPO; the PPO update against rsl_rl's.

An iteration is a rollout and its update, on go1-velocity-flat as its preset has it. Stable-Baselines3 gets the same task, observation,
network and number of epochs and minibatches, the same threads by phase, and several ways to vectorize, of which its best counts.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.common import Entry, Options, Times, alternate, entry, median, rate_ratio, say
from benchmarks.sim import ACTION_STD, BARE, BareBatch
from benchmarks.update import update_entries
from policies.install import install_command
from robolearn.config import schema
from robolearn.config.schema import TrainCfg
from robolearn.learning.teacher import TeacherTrainer

TASK = "go1-velocity-flat"
DUMMY = 8
SB3_MISSING = f"Stable-Baselines3 is not installed: {install_command('sb3')}"


def run(options: Options) -> list[Entry]:
    """All of it."""
    return [*iterations(options), *update_entries(options)]


def small(cfg: TrainCfg, worlds: int) -> TrainCfg:
    """For --quick: the same with tiny sizes."""
    ppo = dataclasses.replace(cfg.teacher.ppo, rollout_steps=4, epochs=1, minibatches=2)
    teacher = dataclasses.replace(cfg.teacher, hidden=(16, 16), ppo=ppo)
    return dataclasses.replace(cfg, teacher=teacher, env=dataclasses.replace(cfg.env, num_worlds=worlds))


def iterations(options: Options) -> list[Entry]:
    """Iterations of robolearn's teacher, bare stepping, and Stable-Baselines3."""
    cfg = schema.load(TASK)
    cfg = dataclasses.replace(cfg, env=dataclasses.replace(cfg.env, num_worlds=options.worlds or 1024))
    if options.quick:
        cfg = small(cfg, options.worlds or 8)
    trainer = TeacherTrainer(cfg)
    env, steps = trainer.env, cfg.teacher.ppo.rollout_steps
    say(f"train: {env.num_worlds} worlds x {steps} steps, hidden {cfg.teacher.hidden}, {os.cpu_count()} cores")
    bare = BareBatch(env)
    actions = ACTION_STD * torch.randn(steps, env.num_worlds, env.spec.action_dim, generator=torch.Generator().manual_seed(0))
    controls: list[Any] = [None]

    def before() -> None:
        bare.follow()
        controls[0] = bare.targets(actions)

    functions: dict[str, Callable[[], object]] = {"robolearn": trainer.iterate, BARE: lambda: bare.run(controls[0])}
    counts = dict.fromkeys(functions, trainer.steps_per_iteration)
    rivals, missing = sb3_rivals(cfg, options)
    for name, (function, count) in rivals.items():
        functions[name], counts[name] = function, count
    times = alternate(functions, quick=options.quick, seconds=options.seconds or 150.0, least=3, before=before)
    rates = {name: counts[name] / median(values) for name, values in times.items()}
    own = "train: whole teacher iterations"
    entries = [
        entry(own, rates["robolearn"], "control steps/s", BARE, rate_ratio(times, "robolearn", BARE)),
        entry(f"train: {BARE}", rates[BARE], "control steps/s"),
    ]
    if missing:
        return [*entries, entry(f"{own} (2)", rates["robolearn"], "control steps/s", missing)]
    return entries + against_sb3(own, times, rates, counts, list(rivals))


def against_sb3(own: str, times: Times, rates: dict[str, float], counts: dict[str, int], rivals: list[str]) -> list[Entry]:
    """One entry a rival, and robolearn against the best of them."""
    best = max(rivals, key=lambda name: rates[name])
    entries = [entry(f"train: {name}", rates[name], "control steps/s") for name in rivals]
    theirs = [name for name in rivals if "Dummy" in name]
    for name in dict.fromkeys([best, *theirs]):
        what = f"{name}, its best" if name == best else name
        ratio = rate_ratio(times, "robolearn", name, counts["robolearn"] / counts[name])
        entries.append(entry(f"{own}, against SB3", rates["robolearn"], "control steps/s", what, ratio))
    return entries


def sb3_rivals(cfg: TrainCfg, options: Options) -> tuple[dict[str, tuple[Callable[[], object], int]], str | None]:
    """Name -> one iteration of Stable-Baselines3's PPO and its control steps; and what to say where it is missing."""
    try:
        from stable_baselines3.common.vec_env import DummyVecEnv
    except ModuleNotFoundError:
        return {}, SB3_MISSING
    from envs.adapters.gymnasium import TaskEnv

    fields = {field.name: getattr(cfg.env, field.name) for field in dataclasses.fields(cfg.env)}
    fields = {name: value for name, value in fields.items() if name not in ("num_worlds", "seed", "num_threads")}
    dummy: Any = DummyVecEnv([lambda: TaskEnv(cfg.task, cfg.robot, "privileged", **fields)] * DUMMY)
    rivals = {f"SB3 PPO, DummyVecEnv of {DUMMY} gymnasium environments": sb3_iteration(cfg, 16 if options.quick else 192, DUMMY, dummy)}
    for worlds in (4,) if options.quick else (DUMMY, 64, 256, 1024):
        rivals[f"SB3 PPO, batched adapter of {worlds} worlds"] = sb3_iteration(cfg, cfg.teacher.ppo.rollout_steps, worlds, None)
    return rivals, None


def sb3_iteration(cfg: TrainCfg, steps: int, worlds: int, env: Any) -> tuple[Callable[[], object], int]:
    """One rollout and update of Stable-Baselines3's PPO, unchanged, and its control steps."""
    from robolearn.learning.sb3 import Watch, make_ppo

    ppo, count = cfg.teacher.ppo, steps * worlds
    sb3 = dataclasses.replace(
        cfg.sb3, steps=steps, batch_size=count // ppo.minibatches, epochs=ppo.epochs, hidden=cfg.teacher.hidden, learning_rate=3e-4
    )
    sized = dataclasses.replace(cfg, sb3=sb3, env=dataclasses.replace(cfg.env, num_worlds=worlds))
    model = make_ppo(sized, env)
    return lambda: model.learn(count, callback=Watch(None, sized), reset_num_timesteps=False), count
