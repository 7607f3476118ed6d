"""What all items of the suite share: the policy file, its task without disturbances, and how much to run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envs.robots.registry import get_robot
from envs.scene.terrain import TerrainCfg
from envs.tasks.registry import get_task
from envs.tasks.velocity import VelocityCfg, VelocityEnv
from envs.terms.randomization import RandomizationCfg
from policies.contract.file import PolicyFile
from robolearn.config import loading as config
from robolearn.config.schema import schema_of
from robolearn.errors import UserError
from robolearn.evaluation.evaluate import FOREVER_S, check_contract

DISTURBANCES = ("push_velocity", "push_interval_s", "external_force", "external_force_interval_s")
DISTURBANCES += ("thrown_mass", "thrown_speed", "throw_interval_s")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What to evaluate and how much of it.

    Attributes:
        file: the frozen policy.
        cfg: its task with the randomization of bodies and sensors, on a plane, without disturbances; commands are held, nothing times out.
        trained: the task as the file's training had it.
        terrain: the ground of training, or what the rough tasks have where it was a plane.
        engine: physics engine.
        seeds: episodes a cell.
        quick: a smaller suite to try things.
        seed: of everything random.
        folder: where clips go; None for no clips.
    """

    file: PolicyFile
    cfg: VelocityCfg
    trained: VelocityCfg
    terrain: TerrainCfg = field(default_factory=TerrainCfg)
    engine: str = "mujoco"
    seeds: int = 8
    quick: bool = False
    seed: int = 1000
    folder: Path | None = None

    @property
    def name(self) -> str:
        """What the policy is called."""
        path = Path(os.path.abspath(self.file.path))  # `policy.onnx` alone has no folder's name
        return path.parent.name if path.name == "policy.onnx" else path.stem

    @property
    def cruise(self) -> float:
        """Half the highest commanded forward velocity [m/s]: what the robot does while something else is tested."""
        return 0.5 * self.cfg.command.vx[1]

    def env(self, worlds: int, kind: Callable[..., VelocityEnv] | None = None, **randomization: Any) -> VelocityEnv:
        """Worlds of the policy's task.

        Args:
            worlds: N.
            kind: class of the environment; the task's own where None.
            randomization: entries of the table to replace.

        Raises:
            UserError: the task's contract is not the file's.
        """
        task = get_task(self.file.spec.task)
        table = dataclasses.replace(self.cfg.randomization, **randomization)
        cfg = dataclasses.replace(self.cfg, num_worlds=worlds, engine=self.engine, device="cpu", seed=self.seed, randomization=table)
        env = (kind or task.env)(cfg, get_robot(task.robot), task.name)
        assert isinstance(env, VelocityEnv)
        check_contract(self.file, env)
        return env


def make_setup(file: PolicyFile, cfg: Any, **settings: Any) -> Setup:
    """A setup for a file in a task's config; `settings` are fields of `Setup`.

    Raises:
        UserError: the task is no velocity task, or its contract is not the file's.
    """
    if not isinstance(cfg, VelocityCfg):
        raise UserError(f"the suite locomotion is for velocity policies; {file.path} is for {file.spec.task}: use evaluate without --suite")
    told = file.provenance.get("config")
    try:
        trained = config.loads(schema_of(file.spec.task), str(told)).env if told else get_task(file.spec.task).cfg
    except UserError:  # written by another version, with other settings
        trained = get_task(file.spec.task).cfg
    assert isinstance(trained, VelocityCfg)
    setup = Setup(file=file, cfg=calm(cfg), trained=trained, terrain=cfg.terrain or TerrainCfg(), **settings)
    setup.env(1)  # a file that does not fit is refused before anything runs
    return setup


def calm(cfg: VelocityCfg) -> VelocityCfg:
    """The config on a plane and without disturbances; commands are held and no episode times out."""
    table: RandomizationCfg = dataclasses.replace(cfg.randomization, **dict.fromkeys(DISTURBANCES))
    command = dataclasses.replace(cfg.command, hold_s=(FOREVER_S, FOREVER_S))
    return dataclasses.replace(cfg, randomization=table, command=command, episode_s=FOREVER_S, terrain=None)
