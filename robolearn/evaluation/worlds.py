"""The worlds of an evaluation, of a suite's item and of playback: a task's own config, without what only training has."""

from __future__ import annotations

import dataclasses

from envs.env_cfg import EnvCfg
from envs.scene.terrain import TerrainCfg

FLAT = TerrainCfg(kinds=("flat",), levels=1, tile=20.0, cell=0.5, border=20.0)  # a plane
"""Flat ground for a teacher that looks at the ground."""
FOREVER_S = 1e9
"""Longer than any rollout, and still countable in control steps."""


def device_of(cfg: EnvCfg, engine: str) -> str:
    """Where worlds of a config lie when another engine steps them: its device is that of its own engine."""
    return cfg.device if engine == cfg.engine else "cpu"


def judged(cfg: EnvCfg, sees_ground: bool, terrain: bool) -> EnvCfg:
    """A config as evaluations have it: all disturbances at their full strength, the ground a plane where there could be another.

    Args:
        cfg: the task's.
        sees_ground: whether who acts observes the ground under it, as a teacher does.
        terrain: whether the task walks on ground that may be rough.
    """
    cfg = cfg.at_full_strength()
    if not terrain:
        return cfg
    return dataclasses.replace(cfg, terrain=FLAT if sees_ground and cfg.terrain is not None else None, curriculum={})
