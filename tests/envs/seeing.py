"""Worlds with cameras, small enough for tests. Either renderer is left out where it is not there."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from envs.robots.registry import get_robot
from envs.robots.robot import Robot
from envs.sensing.camera import CameraTerm
from envs.sensing.face import RenderError
from envs.tasks.registry import get_task, make_env
from envs.terms.randomization import RandomizationCfg
from envs.terms.term import EventTerm
from envs.vec_env import VecEnv

SIDE = 24
RENDERERS = ("raytracer", "opengl")


@functools.cache
def there(kind: str) -> str:
    """Why a renderer cannot draw here; empty where it can."""
    if kind == "raytracer":
        return "" if importlib.util.find_spec("mujoco_warp") else "needs the extra warp"
    try:
        from envs.sensing.opengl import _context

        _context(16, 16).free()
    except RenderError as error:
        return str(error)
    return ""


def any_renderer() -> str:
    """One that can draw here, OpenGL before the other: it starts at once."""
    for kind in ("opengl", "raytracer"):
        if not there(kind):
            return kind
    pytest.skip(f"{there('opengl')}; {there('raytracer')}")


def needs(kind: str) -> str:
    """A renderer by name; skips the test where it is not there."""
    if there(kind):
        pytest.skip(there(kind))
    return kind


def view(camera: str = "outside", **values: Any) -> CameraTerm:
    """A small picture of Panda's camera, by whichever renderer is there."""
    return CameraTerm(camera=camera, **{"height": SIDE, "width": SIDE, "renderer": any_renderer(), **values})


def seeing(
    *terms: EventTerm,
    worlds: int = 2,
    task: str = "reach",
    robot: str | Robot = "panda",
    nominal: bool = True,
    seed: int = 0,
    **views: CameraTerm,
) -> VecEnv:
    """Worlds whose observations have `views`, and whose table of randomization has `terms` alone, or its own beside them."""
    found = robot if isinstance(robot, Robot) else get_robot(robot)
    cfg = get_task(task).make(found)
    own = {} if nominal else dict(cfg.randomization.entries)
    table = RandomizationCfg({**own, **{f"seen_{i}": term for i, term in enumerate(terms)}}, noise=0.0 if nominal else 1.0)
    cfg = dataclasses.replace(cfg, observations={**cfg.observations, **views}, randomization=table, terrain=None, curriculum={})
    env = make_env(task, found, cfg, num_worlds=worlds, num_threads=1, seed=seed)
    env.reset()
    return env


def pictures(env: VecEnv, name: str = "view") -> np.ndarray:
    """What a camera shows now, (N, height, width, channels)."""
    return env.images[name].cpu().numpy()


def at_rest(env: VecEnv) -> None:
    """Pose all worlds alike, in the default pose, and look."""
    ids = torch.arange(env.num_worlds)
    qpos = env.rest.expand(env.num_worlds, -1).clone()
    env.engine.write_state(ids, qpos, torch.zeros(env.num_worlds, env.engine.model.nv))
    env.moved()
    env.episode_steps[:] = 0
    assert env.cameras is not None
    env.cameras.look(ids, env.episode_steps)
