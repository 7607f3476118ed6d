"""Training: a whole iteration against raw stepping, the PPO update against rsl_rl's, and the rate against Stable-Baselines3's PPO."""

from __future__ import annotations

import dataclasses
import importlib.util
import time

import torch

from benchmarks.common import Entry, interleaved, seconds_of
from policies.networks import TeacherPolicy
from robolearn import schema
from robolearn.ppo import Ppo, PpoCfg, Rollout
from robolearn.teacher import TeacherTrainer

PRESET = "go1-velocity-flat"
OBSERVATION, ACTION, HIDDEN, STEPS = 48, 12, (512, 256, 128), 24


def run(quick: bool = False) -> list[Entry]:
    """All of it."""
    return [*_iteration(quick), *[entry for worlds in ((16,) if quick else (256, 1024)) for entry in _update(worlds, quick)], *_sb3(quick)]


def _iteration(quick: bool) -> list[Entry]:
    cfg = schema.load(PRESET, [f"--env.num_worlds={32 if quick else 1024}"])
    trainer = TeacherTrainer(cfg)
    trainer.iterate()
    env = trainer.env

    def raw() -> None:
        batch = env.engine._batch  # type: ignore[attr-defined]
        for _ in range(cfg.teacher.ppo.rollout_steps):
            batch.step(nstep=cfg.env.decimation)

    seconds, raw_seconds = interleaved(trainer.iterate, raw, 2 if quick else 5)
    rate, raw_rate = trainer.steps_per_iteration / seconds, trainer.steps_per_iteration / raw_seconds
    return [Entry(name="teacher iteration", value=rate, unit="control steps/s", against="raw mujoco.batch", ratio=rate / raw_rate)]


def _update(worlds: int, quick: bool) -> list[Entry]:
    torch.set_num_threads(torch.get_num_threads() if quick else 2)
    generator = torch.Generator().manual_seed(0)
    policy = TeacherPolicy(OBSERVATION, ACTION, HIDDEN, 1.0)
    rollout = Rollout(STEPS, worlds, OBSERVATION, ACTION, torch.device("cpu"))
    for tensor in (rollout.observation, rollout.action, rollout.reward):
        tensor.normal_(generator=generator)
    rollout.log_prob[:] = policy.distribution.log_prob(rollout.mean, rollout.action).detach()
    rollout.finish(torch.zeros(worlds), PpoCfg())
    ours = Ppo(PpoCfg(epochs=5, minibatches=4, mirror=False, target_kl=0.0, learning_rate=1e-4), policy, generator)
    peer = _rsl_rl(worlds) if importlib.util.find_spec("rsl_rl") else None
    name, repeats = f"PPO update, {worlds} worlds x {STEPS}, {'-'.join(map(str, HIDDEN))}, 5 epochs x 4", 1 if quick else 3
    parameters = sum(p.numel() for p in policy.parameters())
    flops = 6 * parameters * worlds * STEPS * 5
    limit = flops / _matrix_rate()
    if peer is None:
        seconds = seconds_of(lambda: ours.update(rollout), repeats)
        entries = [Entry(name=name, value=seconds, unit="s", against="rsl_rl (not installed: pip install rsl-rl-lib)")]
    else:
        seconds, peer_seconds = interleaved(lambda: ours.update(rollout), peer, repeats)
        entries = [
            Entry(name=name, value=seconds, unit="s", against="rsl_rl", ratio=seconds / peer_seconds),
            Entry(name=f"rsl_rl: {name}", value=peer_seconds, unit="s"),
        ]
    against = "its matrix products at the measured matrix rate"
    return [*entries, Entry(name=f"{name}, over its limit", value=seconds, unit="s", against=against, ratio=seconds / limit)]


def _matrix_rate() -> float:
    """fp32 FLOP/s of this machine's matrix products at the update's middle shape."""
    a, b = torch.randn(6144, 512), torch.randn(256, 512)
    seconds = seconds_of(lambda: torch.nn.functional.linear(a, b), 20)
    return 2 * 6144 * 512 * 256 / seconds


def _rsl_rl(worlds: int):
    """A function that does rsl_rl's PPO update on the same shapes and batches."""
    from rsl_rl.algorithms import PPO
    from rsl_rl.models import MLPModel
    from rsl_rl.storage import RolloutStorage
    from tensordict import TensorDict

    observations = TensorDict({"policy": torch.randn(worlds, OBSERVATION)}, batch_size=[worlds])
    groups = {"actor": ["policy"], "critic": ["policy"]}
    gaussian = {"class_name": "GaussianDistribution", "init_std": 1.0, "std_type": "scalar"}
    actor = MLPModel(observations, groups, "actor", ACTION, hidden_dims=list(HIDDEN), activation="elu", distribution_cfg=gaussian)
    critic = MLPModel(observations, groups, "critic", 1, hidden_dims=list(HIDDEN), activation="elu")
    storage = RolloutStorage("rl", worlds, STEPS, observations, [ACTION], "cpu")
    ppo = PPO(actor, critic, storage, num_learning_epochs=5, num_mini_batches=4, schedule="fixed", learning_rate=1e-4)

    def fill() -> None:
        for _ in range(STEPS):
            ppo.act(observations)
            ppo.process_env_step(observations, torch.randn(worlds), torch.zeros(worlds, dtype=torch.bool), {})
        ppo.compute_returns(observations)

    fill()
    update = ppo.update

    def once() -> None:
        storage.step = STEPS
        update()

    return once


def _sb3(quick: bool) -> list[Entry]:
    """Control steps a second with learning: ours against Stable-Baselines3's PPO at its best width, same task and network."""
    if importlib.util.find_spec("stable_baselines3") is None:
        return [Entry(name="Stable-Baselines3", value=0.0, unit="control steps/s", against="not installed: pip install 'robolearn[sb3]'")]
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    from envs.gym import TaskEnv
    from robolearn.sb3 import make_ppo

    cfg = schema.load(PRESET, [f"--env.num_worlds={32 if quick else 1024}"])
    trainer = TeacherTrainer(cfg)
    ours = trainer.steps_per_iteration / seconds_of(trainer.iterate, 2 if quick else 4)
    rates = {}
    for worlds in (16,) if quick else (64, 256, 1024):
        setting = dataclasses.replace(cfg.sb3, hidden=cfg.teacher.hidden, batch_size=worlds * 24 // 4, epochs=cfg.teacher.ppo.epochs)
        model = make_ppo(dataclasses.replace(cfg, env=dataclasses.replace(cfg.env, num_worlds=worlds), sb3=setting))
        rates[f"robolearn's adapter, {worlds} worlds"] = _learning_rate(model, worlds * 24 * (1 if quick else 4))
    single = DummyVecEnv([lambda: TaskEnv(PRESET, "privileged", decimation=cfg.env.decimation) for _ in range(8)])
    size = {"n_steps": 24 if quick else 256, "batch_size": 48 if quick else 512, "n_epochs": cfg.teacher.ppo.epochs}
    model = PPO("MlpPolicy", single, **size, policy_kwargs={"net_arch": list(cfg.teacher.hidden)}, device="cpu")
    rates["DummyVecEnv of 8"] = _learning_rate(model, size["n_steps"] * 8)
    entries = [Entry(name=f"Stable-Baselines3 PPO, {name}", value=rate, unit="control steps/s") for name, rate in rates.items()]
    own = {name: rate for name, rate in rates.items() if name.startswith("Dummy")}
    best = max(rates.values())
    return [
        *entries,
        Entry(name="training", value=ours, unit="control steps/s", against="Stable-Baselines3 PPO in its own vectorization",
              ratio=ours / max(own.values())),
        Entry(name="training", value=ours, unit="control steps/s", against="Stable-Baselines3 PPO on robolearn's adapter, best",
              ratio=ours / best),
    ]  # fmt: skip


def _learning_rate(model, steps: int) -> float:
    begin = time.perf_counter()
    model.learn(steps)
    return model.num_timesteps / (time.perf_counter() - begin)
