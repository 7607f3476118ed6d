"""The use of a task's left-right symmetry in a training."""

from __future__ import annotations

import logging
from typing import Literal

from envs.terms.symmetry import Mirror
from envs.vec_env import VecEnv
from policies.networks.fold import Fold
from robolearn.errors import UserError

log = logging.getLogger(__name__)


def mirror_of(env: VecEnv) -> dict[str, Mirror] | None:
    """The mirror for a teacher's `samples`; None, with a warning, if the task has none."""
    found = env.symmetry()
    if found.faults:
        log.warning("%s; teacher.ppo.symmetry has no effect", _lacks(env, found.faults))
    return None if found.faults else dict(found.mirrors)


def make_fold(env: VecEnv, seen: Literal["policy", "privileged"], who: Literal["teacher", "student"]) -> Fold:
    """The fold for a network's observations.

    Raises:
        UserError: the task is not symmetric (names what has no image), or its policy sees no clock.
    """
    found = env.symmetry()
    if found.faults:
        raise UserError(f"{_lacks(env, found.faults)}; so {who}.ppo.symmetry must be none, not fold")
    at = 0
    for term in env.spec.terms:
        if term.name == "clock":
            return Fold(found.mirrors[seen], found.mirrors["action"], at)
        at += term.dim
    rest = "'samples' or 'none'" if who == "teacher" else "'none'"
    raise UserError(f"task {env.task_name} has no gait clock: {who}.ppo.symmetry can be {rest}, not 'fold'")


def _lacks(env: VecEnv, faults: tuple[str, ...]) -> str:
    return f"{env.task_name} with {env.robot.name} has no left-right symmetry: {'; '.join(faults)}"
