"""Stable-Baselines3's own PPO on robolearn's tasks: a baseline, and a door for its users."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from envs.sb3 import Sb3VecEnv
from robolearn.run import Run
from robolearn.schema import TrainCfg

MODEL = "model.zip"


class LogRollouts(BaseCallback):
    """Writes a line of metrics after each rollout."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run, self._started, self._count = run, time.monotonic(), 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._count += 1
        env: Any = self.training_env
        minutes = (time.monotonic() - self._started) / 60
        metrics = {"steps": float(self.num_timesteps), "minutes": minutes, **env.env.task_metrics()}
        self._run.log(self._count, {**metrics, "reward": float(sum(env.env.reward_means().values()))})


def make_ppo(cfg: TrainCfg) -> PPO:
    """Stable-Baselines3's PPO with the settings under `sb3`."""
    fields = {field.name: getattr(cfg.env, field.name) for field in dataclasses.fields(cfg.env)}
    worlds = fields.pop("num_worlds")
    fields["seed"] = cfg.seed
    sb3 = cfg.sb3
    env = Sb3VecEnv(cfg.task, worlds, "privileged" if sb3.privileged else "policy", **fields)
    return PPO(
        "MlpPolicy",
        env,
        n_steps=sb3.steps,
        batch_size=sb3.batch_size,
        n_epochs=sb3.epochs,
        learning_rate=sb3.learning_rate,
        gamma=0.97,
        policy_kwargs={"net_arch": list(sb3.hidden)},
        seed=cfg.seed,
        device="cpu",
    )


def train_sb3(cfg: TrainCfg, run: Run) -> None:
    """Train and save `model.zip` into the run's folder."""
    model = make_ppo(cfg)
    model.learn(cfg.sb3.timesteps, callback=LogRollouts(run), progress_bar=False)
    model.save(run.folder / MODEL)
