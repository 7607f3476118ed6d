"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) for a teacher on privileged state.

Built for a CPU: observations are normalised once when they are collected (the normaliser moves only between iterations), buffers are
allocated once, and the optimiser is fused. Simulation runs with one torch thread so that no OpenMP pool spins beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from policies.networks.teacher import TeacherPolicy
from robolearn.errors import UserError
from robolearn.learning import distributed
from robolearn.learning.precision import FP32, Products


class DivergedError(UserError):
    """The training has diverged to values that are not finite."""


class FailedWorldsError(DivergedError):
    """Too many worlds failed for the rollout to be useful."""


MOST_FAILED = 0.5
"""Share of an iteration's steps that may fail; with more failures, the policy would not learn the task."""


@dataclass(frozen=True, kw_only=True)
class PpoCfg:
    """Hyperparameters.

    Attributes:
        rollout_steps: control steps between updates, T.
        epochs: passes over a rollout.
        minibatches: parts of a pass, one optimiser step each.
        learning_rate: Adam's learning rate; adapted to hold `target_kl` if that is positive.
        target_kl: KL divergence between old and new policy that an update aims at; 0 keeps the learning rate.
        discount: gamma, the weight of a reward one step later.
        gae_lambda: lambda of generalised advantage estimation (arXiv 1506.02438).
        clip: largest deviation from 1 of the ratio of new to old probability.
        entropy: weight of the entropy bonus.
        value_weight: weight of the value loss.
        max_grad_norm: the gradient is scaled down to this norm.
        symmetry: use of the task's left-right symmetry: `fold` makes a policy exactly symmetric (`policies.networks.fold`, needs a gait
            clock), `samples` trains a teacher on a random half of each minibatch as its mirror image, `none` ignores it.
    """

    rollout_steps: int = 24
    epochs: int = 5
    minibatches: int = 4
    learning_rate: float = 1e-3
    target_kl: float = 0.01
    discount: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.005
    value_weight: float = 1.0
    max_grad_norm: float = 1.0
    symmetry: Literal["none", "samples", "fold"] = "samples"

    def __post_init__(self) -> None:
        for name in ("rollout_steps", "epochs", "minibatches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("clip", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if not self.learning_rate >= 0:
            raise ValueError(f"learning_rate must not be negative, is {self.learning_rate}")
        for name in ("discount", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")


def gae(
    reward: torch.Tensor,
    value: torch.Tensor,
    last_value: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    final_value: torch.Tensor,
    discount: float,
    gae_lambda: float,
    failed: torch.Tensor | None = None,
) -> torch.Tensor:
    """Generalised advantage estimation with a bootstrap from the true final state of truncated episodes.

    delta_t = r_t + gamma V'_t - V_t, A_t = delta_t + gamma lambda A_{t+1}, where V'_t is V_{t+1} inside an episode, V of the final state if
    it was truncated and 0 if it terminated; the sum stops at every end. A step in which the world failed carries no information: its
    advantage is 0, so that the steps before it bootstrap from V of the state in which it began.

    Args:
        reward, value, final_value: (T, N); final_value is only used for truncated steps.
        terminated, truncated: (T, N) bool.
        last_value: value after the last step, (N,).
        discount: gamma.
        gae_lambda: lambda.
        failed: (T, N) bool; None if no world failed.

    Returns:
        Advantages (T, N).
    """
    advantage = torch.zeros_like(reward)
    running = torch.zeros_like(last_value)
    following = last_value
    for t in reversed(range(len(reward))):
        inside = ~(terminated[t] | truncated[t])
        bootstrap = torch.where(truncated[t], final_value[t], following * inside)
        delta = reward[t] + discount * bootstrap - value[t]
        running = delta + discount * gae_lambda * running * inside
        if failed is not None:
            running = running.masked_fill(failed[t], 0.0)
        advantage[t] = running
        following = value[t]
    return advantage


class Rollout:
    """Buffers of one rollout, (T, N, ...).

    Attributes:
        failed: steps in which a world failed, which are not learned from.
        kept: all other steps; None if no world failed.
    """

    def __init__(self, steps: int, worlds: int, observation: int, action: int, device: torch.device) -> None:
        self.observation = torch.zeros(steps, worlds, observation, device=device)
        self.action = torch.zeros(steps, worlds, action, device=device)
        self.mean = torch.zeros_like(self.action)
        self.log_prob = torch.zeros(steps, worlds, device=device)
        self.value = torch.zeros_like(self.log_prob)
        self.reward = torch.zeros_like(self.log_prob)
        self.final_value = torch.zeros_like(self.log_prob)
        self.terminated = torch.zeros(steps, worlds, dtype=torch.bool, device=device)
        self.truncated = torch.zeros_like(self.terminated)
        self.failed = torch.zeros_like(self.terminated)
        self.kept: torch.Tensor | None = None
        self.advantage = torch.zeros_like(self.log_prob)
        self.target = torch.zeros_like(self.log_prob)

    def finish(self, last_value: torch.Tensor, cfg: PpoCfg) -> None:
        """Compute advantages and value targets.

        Raises:
            FailedWorldsError: the world failed in more than `MOST_FAILED` of all steps of all processes.
        """
        self.kept = ~self.failed if bool(self.failed.any()) else None
        share = float(distributed.average(self.failed.float().mean()))
        if share > MOST_FAILED:
            raise FailedWorldsError(f"the world failed in {100 * share:.0f} % of all steps (physics, or a number that is not finite)")
        ends = (self.terminated, self.truncated, self.final_value, cfg.discount, cfg.gae_lambda)
        self.advantage = gae(self.reward, self.value, last_value, *ends, failed=None if self.kept is None else self.failed)
        self.target = self.advantage + self.value
        self.advantage = distributed.standardized(self.advantage, self.kept)


def minibatches(order: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
    """`count` parts of equal size (fewer if n is small) of a permutation (n,); the remainder of the division is left out."""
    size = max(1, len(order) // count)
    return order[: size * count].split(size)


class Updates:
    """Optimiser steps that skip gradients that are not finite: one bad minibatch must not end a training, but if all are bad, it ends."""

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], max_grad_norm: float) -> None:
        self._optimizer, self._parameters, self._max_grad_norm = optimizer, parameters, max_grad_norm
        self._done = self._skipped = 0
        self._norm = torch.zeros(())

    def differentiate(self, loss: torch.Tensor) -> None:
        """Compute the gradient over all processes, and clip it."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        distributed.average_gradients(self._parameters)
        self._norm = nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm)

    def step(self) -> bool:
        """Take a step; returns False, without one, if the gradient is not finite."""
        good = bool(torch.isfinite(self._norm))
        if good:
            self._optimizer.step()
            self._done += 1
        else:
            self._skipped += 1
        return good

    def means(self, sums: dict[str, float]) -> dict[str, float]:
        """Means over the steps taken, and the number of steps skipped.

        Raises:
            DivergedError: no step was taken.
        """
        if not self._done:
            raise DivergedError(f"none of the {self._skipped} updates had a finite gradient, so nothing was learned")
        return {name: value / self._done for name, value in sums.items()} | {"skipped_updates": float(self._skipped)}


class Ppo:
    """The update of actor and critic from a rollout.

    Attributes:
        learning_rate: the current learning rate; it adapts.
        products: the precision of its passes; rollouts must use the same, or the first ratios are not one.
    """

    def __init__(
        self,
        cfg: PpoCfg,
        policy: TeacherPolicy,
        generator: torch.Generator,
        mirror: dict[str, tuple[torch.Tensor, torch.Tensor]] | None = None,
        products: Products = FP32,
    ) -> None:
        self.cfg, self.policy, self.generator, self.products = cfg, policy, generator, products
        self._parameters = [p for p in policy.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self._parameters, lr=cfg.learning_rate, fused=True)
        self.learning_rate = cfg.learning_rate
        self._mirror = mirror if cfg.symmetry == "samples" else None

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Improve the policy on a finished rollout of normalised observations. Returns means of losses and figures.

        Raises:
            DivergedError: no update had a finite gradient.
        """
        cfg, policy = self.cfg, self.policy
        observation, action, old_mean = (x.flatten(0, 1) for x in (rollout.observation, rollout.action, rollout.mean))
        log_prob, advantage, target = (x.flatten() for x in (rollout.log_prob, rollout.advantage, rollout.target))
        if self._mirror is not None:
            observation, action = self._with_mirrored(observation, action)
            with torch.no_grad():
                old_mean = torch.cat([old_mean, self.means(observation[len(old_mean) :])])
            # a mirrored action was drawn with the probability of the original action, which is the ratio's denominator
            log_prob, advantage, target = log_prob.repeat(2), advantage.repeat(2), target.repeat(2)
        old_log_std = policy.distribution.log_std.detach().clone()
        observation, samples = self.products.narrowed(observation), rollout.reward.numel()
        kept = None if rollout.kept is None else rollout.kept.flatten().nonzero()[:, 0]
        sums, updates = {"policy_loss": 0.0, "value_loss": 0.0, "kl": 0.0}, Updates(self.optimizer, self._parameters, cfg.max_grad_norm)
        for _ in range(cfg.epochs):
            order = torch.randperm(samples if kept is None else len(kept), generator=self.generator, device=observation.device)
            if kept is not None:
                order = kept[order]
            if self._mirror is not None:
                side = torch.randint(0, 2, (len(order),), generator=self.generator, device=observation.device)
                order = order + side * samples
            for batch in minibatches(order, cfg.minibatches):
                x = observation.index_select(0, batch)
                with self.products.passes():
                    mean, value = policy.actor(x).float(), policy.critic(x).float().squeeze(-1)
                new_log_prob = policy.distribution.log_prob(mean, action[batch])
                policy_loss = -clipped_surrogate(new_log_prob - log_prob[batch], advantage[batch], cfg.clip).mean()
                value_loss = (value - target[batch]).square().mean()
                loss = policy_loss + cfg.value_weight * value_loss - cfg.entropy * policy.distribution.entropy()
                updates.differentiate(loss)
                kl = gaussian_kl(old_mean[batch], old_log_std, mean.detach(), policy.distribution.log_std.detach()).mean()
                self._adapt(float(distributed.average(kl)))
                if updates.step():
                    sums["policy_loss"] += float(policy_loss.detach())
                    sums["value_loss"] += float(value_loss.detach())
                    sums["kl"] += float(kl)
        return updates.means(sums) | {
            "learning_rate": self.learning_rate,
            "action_std": float(policy.distribution.log_std.detach().exp().mean()),
        }

    def means(self, observation: torch.Tensor) -> torch.Tensor:
        """Action means (..., J) of normalised observations (..., P), with the precision of an update."""
        with self.products.passes():
            return self.policy.actor(observation).float()

    def _with_mirrored(self, observation: torch.Tensor, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the mirror image of every sample; observations are normalised, so the mirroring is done in raw units.

        With x = (raw - shift) * inverse, the mirrored x is x[permutation] * a + b.
        """
        assert self._mirror is not None
        permutation, sign = self._mirror["privileged"]
        shift, inverse = self.policy.normalizer.shift, self.policy.normalizer.inverse
        a = sign * inverse / inverse[permutation]
        b = (shift[permutation] * sign - shift) * inverse
        joint_permutation, joint_sign = self._mirror["action"]
        mirrored = torch.addcmul(b, observation[:, permutation], a)
        return torch.cat([observation, mirrored]), torch.cat([action, action[:, joint_permutation] * joint_sign])

    def _adapt(self, kl: float) -> None:
        target = self.cfg.target_kl
        if target <= 0:
            return
        if kl > 2 * target:
            self.learning_rate = max(1e-5, self.learning_rate / 1.5)
        elif 0 < kl < target / 2:
            self.learning_rate = min(1e-2, self.learning_rate * 1.5)
        self.use_learning_rate(self.learning_rate)

    def use_learning_rate(self, rate: float) -> None:
        """Continue with this learning rate."""
        self.learning_rate = rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate


def clipped_surrogate(log_ratio: torch.Tensor, advantage: torch.Tensor, clip: float) -> torch.Tensor:
    """The objective of PPO, (...): min(r A, clip(r, 1 - c, 1 + c) A), bounded below by 3 A for negative A.

    Without that bound (dual clip, Ye et al. 2020, arXiv 1912.09729) a sample that was unlikely under the old policy, as a mirrored one
    can be, gives an unbounded ratio and makes the training diverge.
    """
    ratio = torch.exp(log_ratio.clip(-20.0, 20.0))
    surrogate = torch.min(ratio * advantage, ratio.clip(1 - clip, 1 + clip) * advantage)
    return torch.where(advantage < 0, torch.max(surrogate, 3.0 * advantage), surrogate)


def gaussian_kl(mean_p: torch.Tensor, log_std_p: torch.Tensor, mean_q: torch.Tensor, log_std_q: torch.Tensor) -> torch.Tensor:
    """KL(p || q) of diagonal Gaussians, (..., A) -> (...)."""
    variance = torch.exp(2 * (log_std_p - log_std_q)) + ((mean_p - mean_q) * torch.exp(-log_std_q)).square()
    return (log_std_q - log_std_p + 0.5 * (variance - 1)).sum(-1)
