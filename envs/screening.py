"""What a control step gives, and which of its worlds have failed: those with a number that is not finite.

One such number would reach the statistics of a normaliser, where it stays for ever, and every mean over the worlds. So a world that has one
is taken for failed, as one whose physics failed: counted, reset, and left out of what is learned from.
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
    """What one control step gives; (N, ...) each.

    Attributes:
        policy: what the robot can sense, with noise and delay, (N, O).
        privileged: clean observation and the simulator's knowledge, (N, P).
        reward: (N,).
        terminated: the task ended: fallen, or the world failed, (N,) bool.
        truncated: time was up, (N,) bool.
        final_policy, final_privileged: observations before the reset of ended worlds; equal to the above elsewhere.
        failed: the world's numbers were worth nothing, since physics failed or one of them was not finite, (N,) bool. It is also
            `terminated`, with reward zero; who learns from steps leaves these out.
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
"""Of a number that a world can give, in whatever unit: larger ones come from physics that has come apart, and are as bad as infinity."""


def is_sound(step: Step) -> bool:
    """Whether every number of a step is finite and no larger than `LARGEST`.

    A length is at least as large as each of its numbers, and torch finds it twenty times faster than the largest of them.
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
    """Which numbers are finite and no larger than `LARGEST`."""
    return x.abs() <= LARGEST  # false for NaN


def failed(step: Step, bad: torch.Tensor) -> Step:
    """The step in which the worlds `bad` (N,) bool have failed; their present observations stay as they are."""
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
    """How many worlds are `bad` (N,) bool, and which numbers of the first of them are unsound, by name.

    Args:
        step: the step.
        bad: worlds, (N,) bool.
        spec: the contract.
        rewards: of the step, by name.
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
    """The tensor with zeros where it is unsound."""
    return torch.where(sound(x), x, torch.zeros((), device=x.device))


def _given(step: Step) -> tuple[torch.Tensor, ...]:
    """All numbers of a step, (N, k) each."""
    return step.policy, step.privileged, step.final_policy, step.final_privileged, step.reward[:, None]
