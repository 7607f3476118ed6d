"""Stable-Baselines3's own PPO on robolearn's tasks: a baseline, and an entry point for its users."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn
from tqdm import tqdm

from envs.adapters.sb3 import Sb3VecEnv
from policies.files import whole
from robolearn.config.schema import TrainCfg
from robolearn.errors import UserError
from robolearn.learning.finite import listed, not_finite
from robolearn.learning.interruption import Interrupted, Request, noted
from robolearn.learning.run import Run
from robolearn.learning.threads import Threads

MODEL = "model.zip"


class Watch(BaseCallback):
    """Called between rollouts and updates: metrics, progress bar, and torch's threads, which must not spin beside the simulation's."""

    def __init__(self, run: Run | None, cfg: TrainCfg, request: Request | None = None) -> None:
        super().__init__()
        self._request = request or Request()
        self._run, self._threads = run, Threads(cfg.threads)
        self._started, self._rollouts, self._count = time.monotonic(), 0, 0
        self._bar: Any = None
        self._total = cfg.sb3.timesteps

    def _on_training_start(self) -> None:
        self._started = time.monotonic()
        self._bar = tqdm(total=self._total, desc="sb3", unit="step", dynamic_ncols=True, mininterval=1.0, disable=self._run is None)

    def _on_rollout_start(self) -> None:
        self._threads.simulating()

    def _on_step(self) -> bool:
        return self._request.number is None

    def _on_rollout_end(self) -> None:
        self._threads.learning()
        self._rollouts += 1
        self._bar.update(self.num_timesteps - self._count)
        self._count = self.num_timesteps
        if self._run is not None:
            worlds: Any = self.training_env.get_attr("worlds", [0])[0]
            seconds = time.monotonic() - self._started
            rates = {"minutes": seconds / 60, "steps_per_s": self.num_timesteps / seconds}
            metrics = {"steps": float(self.num_timesteps), **rates, **worlds.task_metrics()}
            self._run.log(self._rollouts, {**metrics, "reward": sum(worlds.reward_means().values())})

    def close(self) -> None:
        """End the progress bar."""
        if self._bar is not None:
            self._bar.close()


def make_ppo(cfg: TrainCfg, env: Any = None) -> PPO:
    """Stable-Baselines3's PPO with the settings under `sb3`.

    Other settings are those of `teacher.ppo` (discount, lambda, clip, weights of entropy and value, gradient clipping) and the teacher's
    initial standard deviation. Networks use ELU, as in robolearn.

    Args:
        cfg: the config.
        env: an environment of Gymnasium or Stable-Baselines3 to train in; None makes the task's batched one.
    """
    sb3, ppo = cfg.sb3, cfg.teacher.ppo
    if env is None:
        fields = {field.name: getattr(cfg.env, field.name) for field in dataclasses.fields(cfg.env)} | {"seed": cfg.seed}
        env = Sb3VecEnv(cfg.task, cfg.robot, fields.pop("num_worlds"), "privileged" if sb3.privileged else "policy", **fields)
    return PPO(
        "MlpPolicy",
        env,
        n_steps=sb3.steps,
        batch_size=sb3.batch_size,
        n_epochs=sb3.epochs,
        learning_rate=sb3.learning_rate,
        gamma=ppo.discount,
        gae_lambda=ppo.gae_lambda,
        clip_range=ppo.clip,
        ent_coef=ppo.entropy,
        vf_coef=ppo.value_weight,
        max_grad_norm=ppo.max_grad_norm,
        policy_kwargs={
            "net_arch": list(sb3.hidden),
            "activation_fn": nn.ELU,
            "log_std_init": math.log(cfg.teacher.initial_std),
        },
        seed=cfg.seed % 2**32,  # the limit of NumPy's global generator, which it seeds too
        device=cfg.env.device,
    )


def train_sb3(cfg: TrainCfg, run: Run) -> None:
    """Train and save `model.zip`, which `stable_baselines3.PPO.load` reads, into the run's folder.

    Raises:
        Interrupted: a signal asked for an end; the model is saved.
        UserError: a weight or an action is not finite; nothing is saved.
    """
    model = make_ppo(cfg)
    with noted("rollout") as request:
        watch = Watch(run, cfg, request)
        try:
            model.learn(cfg.sb3.timesteps, callback=watch)
        except ValueError as error:
            if not str(error).startswith("Expected parameter"):  # torch raises this for an invalid distribution
                raise
            raise _diverged(model, "an action is") from error
        except KeyboardInterrupt:
            _save(model, run)
            raise
        finally:
            watch.close()
        _save(model, run)
    if request.number is not None:
        raise Interrupted(str(run.folder), request.number)


def _save(model: PPO, run: Run) -> None:
    if bad := not_finite(model.policy.state_dict(), "policy"):
        raise _diverged(model, f"{listed(bad)} are" if len(bad) > 1 else f"{bad[0]} is")
    with whole(run.folder / MODEL) as temporary:
        model.save(temporary)


def _diverged(model: PPO, what: str) -> UserError:
    return UserError(
        f"Stable-Baselines3's training diverged after {model.num_timesteps} steps: {what} not finite; try a smaller learning rate"
    )
