"""Changes that depend on success: functions of the environment, the worlds whose episode ended (n,), and their success (n,) bool."""

from __future__ import annotations

import torch

from envs.terms.about import about
from envs.terms.face import Env


@about(needs="terrain")
def terrain_levels(env: Env, ids: torch.Tensor, succeeded: torch.Tensor) -> None:
    """Worlds start on easy ground and move to harder ground after a successful episode (Rudin et al. 2021, arXiv 2109.11978)."""
    assert env.places is not None
    walked = (env.base.position_w[ids, :2] - env.places.start[ids]).norm(dim=1)
    env.places.update(ids, walked, succeeded, env.terminated[ids])
