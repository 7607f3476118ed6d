"""Environment stepping (observations, rewards, resets, randomization) against the same engine's raw stepping."""

from __future__ import annotations

import resource

import torch

from benchmarks.common import Entry, interleaved
from envs.registry import TASKS, make_env
from robolearn import config, schema

STEPS = 20


def run(quick: bool = False) -> list[Entry]:
    """Each task at its preset's width."""
    torch.set_num_threads(1)
    return [entry for task in TASKS for entry in _task(task, quick)]


def _task(task: str, quick: bool) -> list[Entry]:
    cfg = schema.load(task).env if task in config.preset_names() else TASKS[task].cfg
    worlds = 64 if quick else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    env = make_env(task, cfg, num_worlds=worlds)
    env.reset()
    generator = torch.Generator().manual_seed(0)
    shape = (STEPS, worlds, env.spec.action_dim)
    actions = 0.3 * torch.randn(shape, generator=generator)
    for action in actions:  # worlds spread out, some fall
        env.step(action)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    controls = env.default_pose + 0.3 * env._constants.scale * torch.randn(shape, generator=generator)

    def ours() -> None:
        for action in actions:
            env.step(action)

    def raw() -> None:
        """The batch alone: controls in, D substeps, nothing read; the same worlds with the same randomized fields."""
        batch = env.engine._batch  # type: ignore[attr-defined]
        live = batch.bind("ctrl")
        for control in controls:
            live[:] = control.numpy()
            batch.step(nstep=env.cfg.decimation)

    seconds, raw_seconds = interleaved(ours, raw, 2 if quick else 7)
    rate, raw_rate = worlds * STEPS / seconds, worlds * STEPS / raw_seconds
    return [
        Entry(name=f"{task}: stepping", value=rate, unit="control steps/s", against="raw mujoco.batch", ratio=rate / raw_rate),
        Entry(name=f"{task}: raw mujoco.batch", value=raw_rate, unit="control steps/s"),
        Entry(name=f"{task}: memory a world", value=memory / 1024 / worlds, unit="MiB", against="1 MiB", ratio=memory / 1024 / worlds),
    ]
