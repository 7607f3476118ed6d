"""The result of a control step, and the detection of failed worlds: those with a number that is not finite.

One such number would enter the statistics of a normaliser, where it stays for ever, and every mean over the worlds. So a world with one is
treated as failed, like one whose physics failed: counted, reset, and left out of learning.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from policies.contract.spec import PolicySpec


@dataclass(slots=True)
class Step:
    """The result of one control step; (N, ...) each.

    Attributes:
        policy: the robot's sensor readings, with noise and delay, (N, O).
        privileged: clean observation and the simulator's knowledge, (N, P).
        reward: the reward, (N,).
        terminated: whether the task ended, by a fall or because the world failed, (N,) bool.
        truncated: whether time was up, (N,) bool.
        final_policy, final_privileged: observations before the reset of ended worlds; for others equal to the above.
        failed: whether the world's numbers are invalid, since physics failed or one of them was not finite, (N,) bool. Such a world is also
            `terminated`, with reward zero; learning must leave it out.
    """

    policy: torch.Tensor
    privileged: torch.Tensor
    reward: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor
    final_policy: torch.Tensor
    final_privileged: torch.Tensor
    failed: torch.Tensor


LARGEST = 1e6
"""Largest valid number of a world, in any unit: larger ones come from exploded physics and are treated like infinity."""


def is_sound(step: Step) -> bool:
    """Whether every number of a step is finite and no larger than `LARGEST`.

    The norm of a vector is at least as large as each of its entries, and torch computes it twenty times faster than their maximum.
    """
    lengths = torch.stack([torch.linalg.vector_norm(values) for values in _given(step)])
    if bool(lengths.max() <= LARGEST):  # false for NaN
        return True
    largest = torch.stack([torch.linalg.vector_norm(values, math.inf) for values in _given(step)]).max()
    return bool(largest <= LARGEST)


def unsound_worlds(step: Step) -> torch.Tensor:
    """Worlds (N,) bool with a number that is not finite, or larger than `LARGEST`."""
    return ~torch.stack([sound(values).all(1) for values in _given(step)]).all(0)


def sound(x: torch.Tensor) -> torch.Tensor:
    """The numbers that are finite and no larger than `LARGEST`, as a mask."""
    return x.abs() <= LARGEST  # false for NaN


def failed(step: Step, bad: torch.Tensor) -> Step:
    """The step with the worlds `bad` (N,) bool marked as failed; their present observations are not changed."""
    return dataclasses.replace(
        step,
        reward=step.reward.masked_fill(bad, 0.0),
        terminated=step.terminated | bad,
        truncated=step.truncated & ~bad,
        final_policy=torch.where(bad[:, None], zeroed(step.final_policy), step.final_policy),
        final_privileged=torch.where(bad[:, None], zeroed(step.final_privileged), step.final_privileged),
        failed=step.failed | bad,
    )


def describe(
    step: Step, bad: torch.Tensor, spec: PolicySpec, rewards: Mapping[str, torch.Tensor], extras: Sequence[tuple[str, int]]
) -> str:
    """The number of worlds that are `bad` (N,) bool, and the names of the invalid numbers of the first one, as text.

    Args:
        step: the step.
        bad: worlds, (N,) bool.
        spec: the contract.
        rewards: rewards of the step, by name.
        extras: name and size of each term that the privileged observation has after the policy's.
    """
    first = int(bad.nonzero()[0])
    found = [f"reward {name!r}" for name, value in rewards.items() if not sound(value[first])]
    observed = torch.stack([step.policy[first], step.final_policy[first], step.final_privileged[first, : step.policy.shape[1]]])
    at = 0
    for term in spec.terms:
        if not sound(observed[:, at : at + term.dim]).all():
            found.append(f"observation {term.name!r}")
        at += term.dim
    privileged = torch.stack([step.privileged[first], step.final_privileged[first]])
    for name, dim in extras:
        if not sound(privileged[:, at : at + dim]).all():
            found.append(f"privileged {name!r}")
        at += dim
    where = ", ".join(found) or "the reward"
    count = f"{int(bad.sum())} of {len(bad)} worlds"
    return f"{count} have a number that is not finite, or beyond {LARGEST:g} (the first: world {first}, {where})"


def zeroed(x: torch.Tensor) -> torch.Tensor:
    """The tensor with zeros in place of invalid numbers."""
    return torch.where(sound(x), x, torch.zeros((), device=x.device))


def _given(step: Step) -> tuple[torch.Tensor, ...]:
    """All numbers of a step, (N, k) each."""
    return step.policy, step.privileged, step.final_policy, step.final_privileged, step.reward[:, None]
