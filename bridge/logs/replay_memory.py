"""The policy of a log by itself, on the logged observations: for a part of a run, before which its memory is unknown."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.logs.reader import Log
from policies.contract.file import FloatArray, PolicyFile


class PolicyAlone:
    """Runs a policy on logged observations and says from where on its memory is that of the robot's run."""

    def __init__(self, policy: PolicyFile, log: Log) -> None:
        """Prepare; a policy that observes otherwise than the logged one, or whose observations were left out, is never run."""
        same = _seen(policy) == _seen(log.policy)
        left_out = any(topic.startswith("/policy/observation/") for topic in log.lacks)
        self._policy = policy.fork() if same and not left_out else None
        self._reach = None if self._policy is None else _reach(self._policy)
        self._seen, self._known = 0, False

    def forget(self) -> None:
        """What comes next does not follow on what came before."""
        self._seen, self._known = 0, False

    def act(self, observation: FloatArray, entered: bool) -> FloatArray | None:
        """The action (J,) for the next observation (O,); None while the memory is unknown.

        Args:
            observation: as it was logged.
            entered: whether the policy started in this tick, with an empty memory.
        """
        if self._policy is None:
            return None
        if entered or not self._seen:
            self._policy.reset()
            self._known = entered
        self._seen += 1
        action: Any = self._policy.act(observation).copy()
        return action if self._known or (self._reach is not None and self._seen >= self._reach) else None


def _seen(policy: PolicyFile) -> tuple[object, ...]:
    """What decides a policy's observations."""
    spec = policy.spec
    return spec.observation, spec.clock_hz, spec.clock_still_below


def _reach(policy: PolicyFile) -> int | None:
    """After how many observations the memory holds nothing older: `history_steps`, if the golden run bears it out; else None."""
    reach, observations = policy.spec.history_steps, policy.golden.observation
    begin = len(observations) - reach - 1
    if begin < 1:
        return None
    policy.reset()
    whole = [policy.act(row).copy() for row in observations][begin + reach - 1 :]
    policy.reset()
    part = [policy.act(row).copy() for row in observations[begin:]][reach - 1 :]
    return reach if np.array_equal(whole, part) else None
