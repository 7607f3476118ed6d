"""The worlds of an evaluation, of the gate, of a suite's item and of playback: as a file's training had them, without what only it has."""

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
"""Flat ground for a teacher that looks at the ground."""
FOREVER_S = 1e9
"""Longer than any rollout, and still countable in control steps."""
HOW_IT_RAN = ("num_worlds", "engine", "device", "num_threads", "seed")
"""Settings of a training that say nothing of what was learned: not its judge's."""


def trained_as(file: PolicyFile, robot: Robot, overrides: Sequence[str] = ()) -> TrainCfg | None:
    """The config of a file's training with the robot that is judged, but for how it ran; None where the file tells none that reads here.

    Args:
        file: the frozen policy.
        robot: whose policy it is.
        overrides: `--section.key=value`, laid over it.

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
        _note(f"{error}; the task's own settings count in place of those of its training")
        return None
    return config.loads(made, str(text), source, [*here, *overrides]) if overrides else found


def config_of(file: PolicyFile, robot: Robot, overrides: Sequence[str] = ()) -> TrainCfg:
    """The config whose worlds a file is judged and shown in: of its training, or else of its task. As `trained_as`."""
    found = trained_as(file, robot, overrides)
    return found or config.loads(schema.schema_of(file.spec.task, robot), "{}", "the task's defaults", overrides)


def env_of(file: PolicyFile, robot: Robot) -> EnvCfg:
    """The environment of `config_of`, at the file's rates and scale and with all disturbances at their full strength.

    Its cameras are those of the training where the policy sees pictures; else there are none.
    """
    cfg = config_of(file, robot).env.at_rates_of(file.spec).at_full_strength()
    return cfg if file.images else cfg.blind()


@functools.cache
def _note(text: str) -> None:
    """Tell a person, once."""
    print(f"note: {text}", file=sys.stderr)


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
