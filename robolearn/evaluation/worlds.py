"""The worlds of evaluations, the gate, suites and playback: as in a file's training, without settings that only matter for learning."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Sequence

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.scene.terrain import TerrainCfg
from policies.contract.file import PolicyFile
from robolearn.config import loading as config
from robolearn.config import schema
from robolearn.config.schema import TrainCfg
from robolearn.errors import UserError

FLAT = TerrainCfg(kinds=("flat",), levels=1, tile=20.0, cell=0.5, border=20.0)  # a plane
"""Flat ground for a teacher that observes the ground."""
FOREVER_S = 1e9
"""Longer than any rollout, but still countable in control steps."""
HOW_IT_RAN = ("num_worlds", "engine", "device", "num_threads", "seed")
"""Settings of a training's execution, which evaluations do not take over."""


def trained_as(file: PolicyFile, robot: Robot, overrides: Sequence[str] = ()) -> TrainCfg | None:
    """The config of a file's training, without settings of its execution, for the robot to evaluate; None if the file has no readable one.

    Args:
        file: the frozen policy.
        robot: the robot.
        overrides: `--section.key=value`, applied to it.

    Raises:
        ConfigError: an override is wrong.
    """
    text = file.provenance.get("config")
    if not text:
        return None
    made, source = schema.schema_of(file.spec.task, robot), f"the config in {file.path}"
    plain = {field.name: field.default for field in dataclasses.fields(EnvCfg) if field.name in HOW_IT_RAN}
    here = [f"--robot={robot.source or robot.name}", *(f"--env.{name}={value}" for name, value in plain.items())]
    try:
        found = config.loads(made, str(text), source, here)
    except UserError as error:
        _note(f"{error}; the task's own settings are used in place of its training's")
        return None
    return config.loads(made, str(text), source, [*here, *overrides]) if overrides else found


def config_of(file: PolicyFile, robot: Robot, overrides: Sequence[str] = ()) -> TrainCfg:
    """The config of the worlds in which a file is evaluated and shown: its training's, or else its task's. Arguments as in `trained_as`."""
    found = trained_as(file, robot, overrides)
    return found or config.loads(schema.schema_of(file.spec.task, robot), "{}", "the task's defaults", overrides)


def env_of(file: PolicyFile, robot: Robot) -> EnvCfg:
    """The environment of `config_of`, at the file's rates and scale and with all disturbances at their full strength.

    Its cameras are those of the training that the policy sees.
    """
    cfg = config_of(file, robot).env.at_rates_of(file.spec).at_full_strength()
    seen = {name: term for name, term in cfg.observations.items() if name in file.images}
    return dataclasses.replace(cfg, observations=cfg.sensed() | seen)


@functools.cache
def _note(text: str) -> None:
    """Print a note, once."""
    print(f"note: {text}", file=sys.stderr)


def device_of(cfg: EnvCfg, engine: str) -> str:
    """The device of a config's worlds when another engine steps them, since the config's device is for its own engine."""
    return cfg.device if engine == cfg.engine else "cpu"


def judged(cfg: EnvCfg, sees_ground: bool, terrain: bool) -> EnvCfg:
    """A config for evaluations: all disturbances at their full strength, and a plane in place of terrain.

    Args:
        cfg: the task's.
        sees_ground: whether the actor observes the ground, as a teacher does.
        terrain: whether the task's ground may be rough.
    """
    cfg = cfg.at_full_strength()
    if not terrain:
        return cfg
    return dataclasses.replace(cfg, terrain=FLAT if sees_ground and cfg.terrain is not None else None, curriculum={})
