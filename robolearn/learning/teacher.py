"""Training of the teacher: PPO on privileged state."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import torch

from envs.snapshot import restore, restore_progress, snapshot
from envs.tasks.registry import make_env
from policies.networks.fold import Fold
from policies.networks.teacher import TeacherPolicy
from robolearn.config.schema import TrainCfg
from robolearn.config.settings import changes_worlds
from robolearn.errors import UserError
from robolearn.learning import distributed, precision
from robolearn.learning.ppo import Ppo, Rollout
from robolearn.learning.precision import Products
from robolearn.learning.symmetry import make_fold, mirror_of
from robolearn.learning.threads import Threads

log = logging.getLogger(__name__)

INHERITED_SAMPLES = 1e6
UNSEEN_VARIANCE = 0.01  # variance of an observation that is new to a teacher, in its unit squared


class TeacherTrainer:
    """One rollout and one update at a time.

    Attributes:
        env: the environment.
        policy: actor and critic.
        iteration: iterations done.
        iterations: total iterations.
        history: trainings that this one started from, oldest first: config, iterations, minutes.
    """

    kind = "teacher"

    def __init__(self, cfg: TrainCfg) -> None:
        import dataclasses

        torch.manual_seed(cfg.seed)
        self.cfg = cfg
        where = distributed.start(cfg.env.device)
        apart = distributed.SEEDS_APART * distributed.rank()
        blind = cfg.env.blind()  # a teacher reads vectors, and drawing images for nobody takes most of the time
        self.env = make_env(cfg.task, cfg.robot, dataclasses.replace(blind, seed=cfg.seed + apart, device=where))
        teacher = cfg.teacher
        device = self.env.device
        self.generator = torch.Generator(device=device)
        self.generator.manual_seed(cfg.seed + apart)
        _, self._privileged = self.env.start_spread()
        size, joints = self._privileged.shape[1], self.env.spec.action_dim
        mirror = mirror_of(self.env) if teacher.ppo.symmetry == "samples" else None
        fold = make_fold(self.env, "privileged", "teacher") if teacher.ppo.symmetry == "fold" else None
        if cfg.student.ppo.symmetry == "fold":
            make_fold(self.env, "policy", "student")  # fails now, not after hours
        self.policy = TeacherPolicy(size, joints, teacher.hidden, teacher.initial_std, fold).to(device)
        self._mirror = None if mirror is None else mirror["privileged"]
        self._threads = Threads(cfg.threads)
        self.ppo = Ppo(teacher.ppo, self.policy, self.generator, mirror, self._choose_products())
        self._rollout = Rollout(teacher.ppo.rollout_steps, self.env.num_worlds, size, joints, device)
        self._raw = torch.zeros_like(self._rollout.observation)
        self.iteration, self.iterations = 0, teacher.iterations
        self.minutes = 0.0  # of training so far
        self.missed: list[str] | None = None  # of the targets, see `robolearn.learning.goal`
        self.history: list[dict[str, Any]] = []

    def start_from(self, source: dict[str, Any]) -> None:
        """Load the teacher of another training's checkpoint, which may have observed less.

        New entries of the privileged observation must be at its end (as the height scan is): their weights begin at zero, so that the
        teacher acts as before. Statistics of the old entries are kept as if from `INHERITED_SAMPLES`, so that they adapt to the new task.

        Raises:
            ValueError: the teacher observed more than there is here, or only one of the two has a fold.
            RuntimeError: layers have other sizes.
        """
        weights = {name: value.clone() for name, value in source["policy"].items()}
        known, here = len(weights["normalizer.mean"]), self._privileged.shape[1]
        if known > here:
            raise ValueError(f"it observed {known} numbers, and there are {here} here")
        for name in ("actor.0.weight", "critic.0.weight"):
            weights[name] = torch.nn.functional.pad(weights[name], (0, here - known))
        weights["normalizer.mean"] = torch.nn.functional.pad(weights["normalizer.mean"], (0, here - known))
        weights["normalizer.var"] = torch.nn.functional.pad(weights["normalizer.var"], (0, here - known), value=UNSEEN_VARIANCE)
        weights["normalizer.count"] = weights["normalizer.count"].clamp(max=INHERITED_SAMPLES)
        if ("fold.permutation" in weights) != (self.policy.fold is not None):
            raise ValueError("one of them has a fold (teacher.ppo.symmetry) and the other does not")
        fresh = self.policy.state_dict()
        weights = {name: value for name, value in weights.items() if not name.startswith("fold.")}
        self.policy.load_state_dict(weights | {name: value for name, value in fresh.items() if name.startswith("fold.")})
        stage = {"config": source["config"], "iterations": source["iteration"], "minutes": source.get("minutes", 0.0)}
        self.history = [*source.get("history", []), stage]

    @property
    def steps_per_iteration(self) -> int:
        """Control steps of one iteration, over all worlds."""
        return self.cfg.teacher.ppo.rollout_steps * self.env.num_worlds * distributed.processes()

    @property
    def products(self) -> Products:
        """The precision of its updates."""
        return self.ppo.products

    def _choose_products(self, before: str | None = None) -> Products:
        ppo, env = self.cfg.teacher.ppo, self.env
        rows = ppo.rollout_steps * env.num_worlds // ppo.minibatches
        return precision.choose(self.cfg.precision, self.policy, rows, env.device, before=before)

    def iterate(self) -> dict[str, float]:
        """Collect a rollout and learn from it. Returns metrics."""
        metrics = self._collect()
        metrics |= self.ppo.update(self._rollout)
        raw = self._raw.flatten(0, 1) if self._rollout.kept is None else self._raw[self._rollout.kept]
        if self._mirror is not None:
            raw = torch.cat([raw, raw[:, self._mirror[0]] * self._mirror[1]])
        self.policy.normalizer.update(distributed.gather(raw))
        self.iteration += 1
        return metrics

    @torch.no_grad()
    def _collect(self) -> dict[str, float]:
        env, policy, rollout = self.env, self.policy, self._rollout
        falls = 0
        self._threads.simulating()
        for t in range(len(rollout.reward)):
            seen, mirrored = (self._privileged, None) if policy.fold is None else policy.fold(self._privileged)
            self._raw[t] = seen
            x = policy.normalizer(seen)
            mean = self.ppo.means(x)
            action = policy.distribution.sample(mean, self.generator)
            rollout.observation[t], rollout.mean[t], rollout.action[t] = x, mean, action
            step = env.screened(env.step(action if mirrored is None else policy.fold.unfold(action, mirrored)))  # pyright: ignore
            self._privileged = step.privileged
            rollout.reward[t], rollout.terminated[t], rollout.truncated[t] = step.reward, step.terminated, step.truncated
            rollout.failed[t] = step.failed
            ids = step.truncated.nonzero()[:, 0]
            if len(ids):
                rollout.final_value[t, ids] = policy.value(step.final_privileged[ids])
            falls += int(step.terminated.sum())
        self._threads.learning()
        rollout.log_prob = policy.distribution.log_prob(rollout.mean, rollout.action)
        rollout.value = policy.critic(rollout.observation).squeeze(-1)
        rollout.finish(policy.value(self._privileged), self.cfg.teacher.ppo)
        seconds = rollout.reward.numel() * env.cfg.control_dt
        return {
            "reward": float(rollout.reward.mean()) / env.cfg.control_dt,
            "falls_a_minute": 60 * falls / seconds,
            "failed_worlds": float(rollout.failed.sum()),
            **env.task_metrics(),
            **{f"reward/{name}": value for name, value in env.reward_means().items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to continue bit for bit."""
        return {
            "kind": self.kind,
            "iteration": self.iteration,
            "history": self.history,
            "policy": self.policy.state_dict(),
            "optimizer": self.ppo.optimizer.state_dict(),
            "learning_rate": self.ppo.learning_rate,
            "products": self.products.name,
            "generator": self.generator.get_state(),
            "privileged": self._privileged,
            "env": snapshot(self.env),
        }

    def load_state_dict(self, state: dict[str, Any], changed: Collection[str] = ()) -> None:
        """Continue from a checkpoint: bit for bit, except for settings that were `changed` since. Changes of `env` reset its worlds."""
        self.iteration, self.history = state["iteration"], state.get("history", [])
        self.policy.load_state_dict(state["policy"])
        self.ppo.optimizer.load_state_dict(state["optimizer"])
        rate = self.cfg.teacher.ppo.learning_rate if "teacher.ppo.learning_rate" in changed else state["learning_rate"]
        self.ppo.use_learning_rate(rate)
        if "precision" not in changed:
            self.ppo.products = self._choose_products(state.get("products", "fp32"))
        self.generator.set_state(state["generator"])
        if changes_worlds(changed):
            restore_progress(self.env, state["env"])
            self._privileged = self.env.start_spread()[1]
        else:
            self._privileged = state["privileged"].to(self.env.device)
            restore(self.env, state["env"])
        if distributed.rank():  # the checkpoint is the first process's; the others continue with their own worlds and noise
            distributed.part(self.env, self.generator, self.iteration)
            self._privileged = self.env.reset()[1]


def load_teacher(state: dict[str, Any], cfg: TrainCfg) -> TeacherPolicy:
    """The teacher of a checkpoint, ready to act."""
    weights = state["policy"]
    size, joints = len(weights["normalizer.mean"]), len(weights["distribution.log_std"])
    fold = Fold.placeholder(size, joints) if "fold.permutation" in weights else None
    policy = TeacherPolicy(size, joints, cfg.teacher.hidden, cfg.teacher.initial_std, fold)
    try:
        policy.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"the checkpoint's teacher has another size than the config's, hidden {list(cfg.teacher.hidden)}") from error
    return policy.requires_grad_(False)
