"""The tasks with a robot each, as the presets pair them, for tests that go through all of them."""

from __future__ import annotations

from typing import Any

from envs.env_cfg import EnvCfg
from envs.robots.registry import get_robot
from envs.tasks import registry
from envs.vec_env import VecEnv

PAIRS = {
    "go1-velocity-flat": ("velocity-flat", "go1"),
    "g1-velocity-flat": ("velocity-flat", "g1"),
    "go1-velocity-rough": ("velocity-rough", "go1"),
    "g1-velocity-rough": ("velocity-rough", "g1"),
    "panda-reach": ("reach", "panda"),
}
"""Name of a preset -> its task and its robot. Tasks with objects have tests of their own (tests/envs/test_manipulation.py)."""
TASKS = tuple(PAIRS)


def any_robot(preset: str) -> list[str]:
    """Overrides that give a preset of any robot one that it is for; none for a preset that names its own."""
    robots = {"velocity-flat": "go1", "velocity-rough": "go1", "velocity-flat-biped": "g1", "velocity-rough-biped": "g1", "reach": "panda"}
    robots |= dict.fromkeys(("pick", "move", "push", "open-drawer"), "panda-gripper")
    return [f"--robot={robots[preset]}"] if preset in robots else []


def cfg_of(name: str) -> EnvCfg:
    """The config of a pair of which nobody has said anything."""
    task, robot = PAIRS[name]
    return registry.get_task(task).make(get_robot(robot))


def make_env(name: str, cfg: EnvCfg | None = None, **changes: Any) -> VecEnv:
    """The environment of a pair."""
    return registry.make_env(*PAIRS[name], cfg, **changes)
