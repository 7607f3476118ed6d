"""Runs a log's policy alone on the logged observations, for a part of a run, before which its memory is unknown."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.control.sight import Fresh, Sights
from bridge.logs.reader import Log
from policies.contract.file import FloatArray, PolicyFile
from policies.contract.spec import STATE


class PolicyAlone:
    """Runs a policy on logged observations and knows when its memory equals that of the robot's run."""

    def __init__(self, policy: PolicyFile, log: Log) -> None:
        """Prepare; a policy with other observations than the logged one, or without logged observations, is never run."""
        same = _seen(policy) == _seen(log.policy)
        left_out = any(topic.startswith("/policy/observation/") for topic in log.lacks)
        unlogged = [group for group in policy.spec.observation if group.name != STATE and group.image is None]
        self._policy = policy.fork() if same and not left_out and not unlogged else None
        self._reach = None if self._policy is None else _reach(self._policy)
        self._seen, self._known = 0, False
        self._fresh = Fresh()

    def forget(self) -> None:
        """Mark a break: the next observation does not follow the last one."""
        self._seen, self._known = 0, False

    def act(self, observation: FloatArray, entered: bool, sights: Sights) -> FloatArray | None:
        """The action (J,) for the next observation (O,); None while the memory is unknown.

        Args:
            observation: as logged.
            sights: the pictures at that tick.
            entered: whether the policy started in this tick, with an empty memory.
        """
        if self._policy is None:
            return None
        if entered or not self._seen:
            self._policy.reset()
            self._fresh.forget()
            self._known = entered
        self._seen += 1
        action: Any = self._policy.act(observation, *(self._fresh(sights) if sights else ())).copy()
        return action if self._known or (self._reach is not None and self._seen >= self._reach) else None


def _seen(policy: PolicyFile) -> tuple[object, ...]:
    """The parts of a contract that determine the observations."""
    spec = policy.spec
    return spec.observation, spec.clock_hz, spec.clock_still_below


def _reach(policy: PolicyFile) -> int | None:
    """Number of observations after which the memory holds nothing older: `history_steps`, if the golden run confirms it; otherwise None."""
    reach, observations = policy.spec.history_steps, policy.golden.observation
    begin = len(observations) - reach - 1
    if begin < 1:
        return None
    policy.reset()
    whole = [policy.act(row).copy() for row in observations][begin + reach - 1 :]
    policy.reset()
    part = [policy.act(row).copy() for row in observations[begin:]][reach - 1 :]
    return reach if np.array_equal(whole, part) else None
