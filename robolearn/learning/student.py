"""Training of the student: a network that sees what the robot senses, by imitation and reinforcement learning together.

loss = rl_weight * L_RL + lambda(t) * KL(student || teacher), both on the student's own rollouts, lambda annealed (Radosavovic et al.
2024, arXiv 2303.03381). The critic sees privileged state and starts as the teacher's. Rollouts advance step by step; an update processes
the whole chunk, given the memory from before it. A student may start from a pretrained network (`robolearn.pretraining`) and be kept near
it by another KL term. One with eyes (`student.vision`) sees images beside its state; teacher and critic stay on privileged state.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from envs.snapshot import restore, restore_progress, snapshot
from envs.tasks.registry import make_env
from policies.networks.fold import Fold, Folded
from policies.networks.gaussian import Gaussian
from policies.networks.protocol import Memory, Network, select, to_device
from policies.networks.teacher import TeacherPolicy
from policies.networks.vision import Seeing
from robolearn.config.schema import ImitationCfg, TrainCfg
from robolearn.config.settings import changes_worlds
from robolearn.errors import UserError
from robolearn.evaluation.sight import make_student, worlds_of
from robolearn.learning import distributed, precision
from robolearn.learning.pictures import Pictures
from robolearn.learning.ppo import Rollout, Updates, clipped_surrogate, gaussian_kl, minibatches
from robolearn.learning.symmetry import make_fold
from robolearn.learning.threads import Threads

PROLONGED_RATE = 0.3
"""Share of the learning rate used after the schedule's end, while targets are missed."""


class StudentPolicy(nn.Module):
    """Actor that sees what the robot senses; critic on privileged state.

    Attributes:
        actor: observation sequence -> action means.
        distribution: over actions.
        critic: the teacher's critic with its normaliser, trained further.
    """

    def __init__(self, actor: Network, action_dim: int, initial_std: float, teacher: TeacherPolicy) -> None:
        super().__init__()
        self.actor = actor
        self.distribution = Gaussian(action_dim, initial_std)
        self.critic = copy.deepcopy(teacher.critic).requires_grad_(True)
        self.critic_normalizer = copy.deepcopy(teacher.normalizer)
        self.critic_fold = copy.deepcopy(teacher.fold)

    def value(self, privileged: torch.Tensor) -> torch.Tensor:
        """Value (...) of privileged observations (..., P)."""
        folded = privileged if self.critic_fold is None else self.critic_fold(privileged)[0]
        return self.critic(self.critic_normalizer(folded)).squeeze(-1)


def imitation_weight(cfg: ImitationCfg, progress: float) -> float:
    """lambda at a share `progress` in [0, 1) of the training."""
    if cfg.annealed_at <= 0:
        return cfg.weight
    done = min(1.0, progress / cfg.annealed_at)
    return cfg.weight + (cfg.final_weight - cfg.weight) * done


class StudentTrainer:
    """One rollout and one update at a time; the same interface as `TeacherTrainer`."""

    kind = "student"

    def __init__(self, cfg: TrainCfg, teacher: TeacherPolicy, start: Network | None = None) -> None:
        """Make worlds and networks.

        Args:
            cfg: the training's config; with a `start`, `student.network` is that one's.
            teacher: the teacher to imitate, whose critic is trained further.
            start: a pretrained network with the same observations to start from; it keeps its own normaliser.

        Raises:
            UserError: it cannot see what it should, see `robolearn.evaluation.sight`.
        """
        torch.manual_seed(cfg.seed)
        self.cfg = cfg
        student = cfg.student
        where = distributed.start(cfg.env.device)
        rank = distributed.rank()
        env = dataclasses.replace(cfg.env.at_full_strength(), seed=cfg.seed + 1 + distributed.SEEDS_APART * rank, device=where)
        self.env = make_env(cfg.task, cfg.robot, worlds_of(env, student))
        device = self.env.device
        self.generator = torch.Generator(device=device)
        self.generator.manual_seed(cfg.seed + distributed.SEEDS_APART * rank)
        self.teacher = teacher.to(device)
        first = self._policy_obs, self._privileged = self.env.start_spread()
        spec = self.env.spec
        inner = make_student(spec.observation_dim, spec.action_dim, cfg.env, student)
        if isinstance(inner, Seeing) and (start is not None or student.ppo.symmetry == "fold"):
            what = "start from a pretrained network that has none" if start is not None else "have student.ppo.symmetry=fold"
            raise UserError(f"a student with eyes (student.vision) cannot {what}; leave one of them out")
        fold = make_fold(self.env, "policy", "student") if student.ppo.symmetry == "fold" else None
        actor = inner if fold is None else Folded(inner, fold)
        # the privileged observation begins with the clean one, so its statistics are known; they stay fixed from here on, so that
        # the content of the memory stays valid
        if start is not None:  # its weights were trained with its own statistics
            actor.load_state_dict(start.state_dict())
        elif actor.normalizer is not None:
            actor.normalizer.copy_head(teacher.world_statistics() if fold is None else teacher.normalizer)
        self.policy = StudentPolicy(actor, spec.action_dim, student.initial_std, teacher).to(device)
        held = student.imitation.pretrained_weight > 0
        self.reference = copy.deepcopy(self.policy.actor).requires_grad_(False) if held else None  # a checkpoint has its own
        self._parameters = [p for p in self.policy.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self._parameters, lr=student.ppo.learning_rate, fused=True)
        steps, worlds = student.ppo.rollout_steps, self.env.num_worlds
        self._rollout = Rollout(steps, worlds, spec.observation_dim, spec.action_dim, device)
        self._pictures = Pictures(inner, self.env, steps) if isinstance(inner, Seeing) else None
        self._privileged_steps = torch.zeros(steps, worlds, self._privileged.shape[1], device=device)
        self._teacher_mean, self._reference_mean = (torch.zeros_like(self._rollout.mean) for _ in range(2))
        self._first = torch.zeros(steps, worlds, dtype=torch.bool, device=device)
        self._begin(*first)
        self._threads = Threads(cfg.threads)
        self.products = self._choose_products()
        self.iteration, self.iterations = 0, student.iterations
        self.minutes = 0.0  # of training so far
        self.missed: list[str] | None = None  # of the targets, see `robolearn.learning.goal`
        self.history: list[dict[str, Any]] = []  # the earlier trainings, oldest first
        self.pretrained: dict[str, Any] | None = None  # the pretraining it started from: config, iterations, datasets

    @property
    def _reference_log_std(self) -> torch.Tensor:
        """The distribution for the pretrained network, which has none: the student's initial one."""
        return torch.full_like(self.policy.distribution.log_std, math.log(self.cfg.student.initial_std)).detach()

    @property
    def steps_per_iteration(self) -> int:
        """Control steps of one iteration, over all worlds."""
        return self.cfg.student.ppo.rollout_steps * self.env.num_worlds * distributed.processes()

    def _seen(self) -> torch.Tensor:
        """What the student observes now: its sensors, (N, O), and the features of what it sees, (N, O + F)."""
        return self._policy_obs if self._pictures is None else torch.cat([self._policy_obs, self._pictures.features], dim=-1)

    def _choose_products(self, before: str | None = None) -> precision.Products:
        ppo, few = self.cfg.student.ppo, min(8, self.env.num_worlds)
        actor, seen, first = self.policy.actor, self._seen()[:few, None], torch.ones(few, 1, dtype=torch.bool, device=self.env.device)

        def trial() -> torch.Tensor:
            if not isinstance(actor, Seeing):
                return actor(seen, actor.start(few), first)[0]
            features = [actor.read(name, actor.encode(name, self.env.images[name][:few])) for name in actor.views]
            return actor(actor.observed(self._policy_obs[:few], torch.cat(features, dim=-1))[:, None], actor.start(few), first)[0]

        rows = ppo.rollout_steps * self.env.num_worlds // ppo.minibatches
        return precision.choose(self.cfg.precision, self.policy, rows, self.env.device, trial, before)

    def iterate(self) -> dict[str, float]:
        """Collect a rollout and learn from it. Returns metrics."""
        start = self._memory
        metrics = self._collect()
        metrics |= self._update(start)
        self.iteration += 1
        return metrics

    @torch.no_grad()
    def _collect(self) -> dict[str, float]:
        env, policy, rollout = self.env, self.policy, self._rollout
        falls = 0
        self._threads.simulating()
        if self._pictures is not None:
            self._pictures.begin()
        stream = policy.actor.stream(self._memory)
        beside = None if self.reference is None else self.reference.stream(self._reference_memory)
        for t in range(len(rollout.reward)):
            rollout.observation[t], self._privileged_steps[t], self._first[t] = self._policy_obs, self._privileged, self._is_first
            if self._pictures is not None:
                self._pictures.note(t)
            mean = stream.step(self._seen(), self._is_first)
            if beside is not None:
                self._reference_mean[t] = beside.step(self._policy_obs, self._is_first)
            action = policy.distribution.sample(mean, self.generator)
            rollout.mean[t], rollout.action[t] = mean, action
            step = env.screened(env.step(action))
            self._policy_obs, self._privileged = step.policy, step.privileged
            if self._pictures is not None:
                self._pictures.look()
            forgets = step.failed if self.cfg.student.memory == "life" else step.terminated
            self._is_first = forgets | step.truncated
            rollout.reward[t], rollout.terminated[t], rollout.truncated[t] = step.reward, step.terminated, step.truncated
            rollout.failed[t] = step.failed
            ids = step.truncated.nonzero()[:, 0]
            if len(ids):
                rollout.final_value[t, ids] = policy.value(step.final_privileged[ids])
            falls += int(step.terminated.sum())
        self._memory = stream.memory()
        if beside is not None:
            self._reference_memory = beside.memory()
        self._threads.learning()
        self._teacher_mean = self.teacher.act(self._privileged_steps)
        if self.cfg.student.imitation.clipped:
            self._teacher_mean.clip_(-env.spec.action.clip, env.spec.action.clip)
        rollout.log_prob = policy.distribution.log_prob(rollout.mean, rollout.action)
        rollout.value = policy.value(self._privileged_steps)
        rollout.finish(policy.value(self._privileged), self.cfg.student.ppo)
        seconds = rollout.reward.numel() * env.cfg.control_dt
        return {
            "reward": float(rollout.reward.mean()) / env.cfg.control_dt,
            "falls_a_minute": 60 * falls / seconds,
            "teacher_distance": float((rollout.mean - self._teacher_mean).square().mean().sqrt()),
            "failed_worlds": float(rollout.failed.sum()),
            **env.task_metrics(),
        }

    def _update(self, start: Memory) -> dict[str, float]:
        cfg, imitation, policy, rollout = self.cfg.student.ppo, self.cfg.student.imitation, self.policy, self._rollout
        progress = min(1.0, self.iteration / self.iterations)
        weight = imitation_weight(imitation, progress)
        rl_weight = imitation.rl_weight if progress >= imitation.rl_from else 0.0
        teacher_log_std = self.teacher.distribution.log_std
        # the learning rate falls with a cosine, as in the paper; a training past the schedule needs some of it back
        share = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)) if progress < 1 else PROLONGED_RATE
        rate = cfg.learning_rate * share
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        sums = {"imitation_kl": 0.0, "policy_loss": 0.0, "value_loss": 0.0}
        if self.reference is not None:
            sums["pretrained_kl"] = 0.0
        updates = Updates(self.optimizer, self._parameters, cfg.max_grad_norm)
        for _ in range(cfg.epochs):
            order = torch.randperm(self.env.num_worlds, generator=self.generator, device=self.env.device)
            for ids in minibatches(order, cfg.minibatches):
                kept = None if rollout.kept is None else rollout.kept[:, ids]
                observation = rollout.observation[:, ids].transpose(0, 1)  # (n, T, O)
                with self.products.passes():
                    if self._pictures is not None:
                        observation = torch.cat([observation, self._pictures.chunk(ids)], dim=-1)
                    mean, _ = policy.actor(observation, select(start, ids), self._first[:, ids].T)
                    value = policy.value(self._privileged_steps[:, ids]).float()
                mean = mean.float().transpose(0, 1)  # (T, n, A)
                kl = _mean(gaussian_kl(mean, policy.distribution.log_std, self._teacher_mean[:, ids], teacher_log_std), kept)
                value_loss = _mean((value - rollout.target[:, ids]).square(), kept)
                losses = {"imitation_kl": kl, "value_loss": value_loss}
                loss = weight * kl + cfg.value_weight * value_loss
                if self.reference is not None:
                    near = gaussian_kl(mean, policy.distribution.log_std, self._reference_mean[:, ids], self._reference_log_std)
                    losses["pretrained_kl"] = _mean(near, kept)
                    loss = loss + imitation.pretrained_weight * losses["pretrained_kl"]
                if rl_weight > 0:
                    log_ratio = policy.distribution.log_prob(mean, rollout.action[:, ids]) - rollout.log_prob[:, ids]
                    policy_loss = -_mean(clipped_surrogate(log_ratio, rollout.advantage[:, ids], cfg.clip), kept)
                    loss = loss + rl_weight * (policy_loss - cfg.entropy * policy.distribution.entropy())
                    losses["policy_loss"] = policy_loss
                updates.differentiate(loss)
                if updates.step():
                    for name, term in losses.items():
                        sums[name] += float(term.detach())
        return updates.means(sums) | {
            "imitation_weight": weight,
            "learning_rate": rate,
            "action_std": float(policy.distribution.log_std.detach().exp().mean()),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to continue bit for bit, including the teacher."""
        return {
            "kind": self.kind,
            "iteration": self.iteration,
            "history": self.history,
            "policy": self.policy.state_dict(),
            "teacher": self.teacher.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "products": self.products.name,
            "generator": self.generator.get_state(),
            "observation": (self._policy_obs, self._privileged, self._is_first),
            "memory": self._memory,
            "latents": None if self._pictures is None else self._pictures.sight.latents,
            "env": snapshot(self.env),
            "pretrained": self.pretrained,
            "reference": None if self.reference is None else {"weights": self.reference.state_dict(), "memory": self._reference_memory},
        }

    def load_state_dict(self, state: dict[str, Any], changed: Collection[str] = ()) -> None:
        """As in `TeacherTrainer`."""
        device = self.env.device
        self.iteration, self.history, self.pretrained = state["iteration"], state.get("history", []), state.get("pretrained")
        self.policy.load_state_dict(state["policy"])
        self.teacher.load_state_dict(state["teacher"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        if self.reference is not None:
            self.reference.load_state_dict(state["reference"]["weights"])
        if "precision" not in changed:
            self.products = self._choose_products(state.get("products", "fp32"))
        if changes_worlds(changed):
            restore_progress(self.env, state["env"])
            self._begin(*self.env.start_spread())
        else:
            self._policy_obs, self._privileged, self._is_first = (x.to(device) for x in state["observation"])
            self._memory = to_device(state["memory"], device)
            if self.reference is not None:
                self._reference_memory = to_device(state["reference"]["memory"], device)
            restore(self.env, state["env"])
            if self._pictures is not None:
                self._pictures.sight.restore(state["latents"])
        if distributed.rank():  # the checkpoint is the first process's; the others continue with their own worlds and noise
            distributed.part(self.env, self.generator, self.iteration)
            self._begin(*self.env.reset())

    def begin_anew(self) -> None:
        """Reset all worlds, spread over their episodes, as after construction; for callers that have changed their conditions."""
        self._begin(*self.env.start_spread())

    def _begin(self, policy_obs: torch.Tensor, privileged: torch.Tensor) -> None:
        """Begin an episode in every world."""
        self._policy_obs, self._privileged = policy_obs, privileged
        if self._pictures is not None:
            self._pictures.sight.forget()
            self._pictures.sight.look()
        self._memory = self.policy.actor.start(self.env.num_worlds)
        self._reference_memory: Memory = {} if self.reference is None else self.reference.start(self.env.num_worlds)
        self._is_first = torch.ones(self.env.num_worlds, dtype=torch.bool, device=self.env.device)


def _mean(x: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
    """Mean over the steps (T, n) that are kept; None for all."""
    if kept is None:
        return x.mean()
    return (x * kept).sum() / kept.sum().clamp(min=1)


def load_student(state: dict[str, Any], cfg: TrainCfg) -> Network:
    """The student of a checkpoint, or the network of a pretraining's checkpoint, ready to act."""
    weights = {name.removeprefix("actor."): value for name, value in state["policy"].items() if name.startswith("actor.")}
    if state["kind"] == "pretrain":
        seen, joints = state["sizes"]
    else:
        seen, joints = state["observation"][0].shape[1], len(state["policy"]["distribution.log_std"])
    actor = make_student(seen, joints, cfg.env, cfg.student)
    if "fold.permutation" in weights:
        actor = Folded(actor, Fold.placeholder(seen, joints))
    actor.load_state_dict(weights)
    return actor.requires_grad_(False)
