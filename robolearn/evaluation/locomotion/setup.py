"""What all items of the suite share: the policy, its task without disturbances, and how much to run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.scene.terrain import TerrainCfg
from envs.tasks.registry import make_env
from envs.tasks.scaling import Dimension, factor, scale_of
from envs.tasks.velocity import terrain
from envs.terms.fields import WRITES
from envs.terms.randomization import RandomizationCfg
from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from robolearn.errors import UserError
from robolearn.evaluation.actors import Actor, FileActor
from robolearn.evaluation.contract import check_contract
from robolearn.evaluation.worlds import FOREVER_S, device_of, trained_as
from robolearn.policy_robot import robot_of


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What to evaluate and how much of it.

    Attributes:
        name: name of the policy.
        told: its description in the JSON.
        spec: its contract.
        make_actor: makes the actor for a number of worlds.
        file: its file; None for a training's teacher or student.
        robot: the robot.
        cfg: its task with the randomization of bodies and sensors, on a plane, without disturbances; commands are held, and episodes have
            no time limit.
        table: the whole table of its training, disturbances included.
        trained: the task as in its training; None if a file does not state it.
        terrain: the ground of training, or that of the rough tasks if it was a plane.
        engine: physics engine.
        seeds: episodes per cell.
        quick: whether to run a smaller suite, to try it out.
        seed: of everything random.
        folder: folder for clips; None for no clips.
        own_fields: fields of the model that terms of the table of randomization set, by term.
    """

    name: str
    told: Mapping[str, Any]
    spec: PolicySpec
    make_actor: Callable[[int], Actor]
    file: PolicyFile | None
    robot: Robot
    cfg: EnvCfg
    table: RandomizationCfg
    trained: EnvCfg | None
    terrain: TerrainCfg = field(default_factory=TerrainCfg)
    engine: str = "mujoco"
    seeds: int = 8
    quick: bool = False
    seed: int = 1000
    folder: Path | None = None
    own_fields: Mapping[str, Collection[str]] = field(default_factory=dict)

    @property
    def cruise(self) -> float:
        """Half the highest commanded forward velocity [m/s], at which the robot walks while something else is tested."""
        return 0.5 * self.ranges[0][1]

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """Range of the policy's commands: vx, vy [m/s], yaw rate [rad/s]."""
        command = self.spec.command
        return list(zip(command.lower, command.upper, strict=True))

    def scaled(self, value: Any, dimension: Dimension) -> Any:
        """A number of this suite, scaled from Go1 (G1 for bipeds) to this robot."""
        return value * factor(self.robot, dimension)

    def disturbed(self) -> Setup:
        """This setup with all disturbances of the robot's training, at full strength."""
        return dataclasses.replace(self, cfg=dataclasses.replace(self.cfg, randomization=self.table))

    def env(self, worlds: int, **randomization: Any) -> VecEnv:
        """Worlds of the policy's task.

        Args:
            worlds: N.
            randomization: entries of the table to replace; existing terms that set the same fields of the model are removed.

        Raises:
            UserError: the task's contract is not the file's.
        """
        set_here = {name for quantity in randomization for name in WRITES.get(quantity, ())}
        replaced = dict.fromkeys(term for term, fields in self.own_fields.items() if set_here & set(fields))
        table = dataclasses.replace(self.cfg.randomization, **replaced, **randomization)
        device = device_of(self.cfg, self.engine)
        cfg = dataclasses.replace(self.cfg, num_worlds=worlds, engine=self.engine, device=device, seed=self.seed, randomization=table)
        env = make_env(self.spec.task, self.robot, cfg)
        if self.file is not None:
            check_contract(self.file, env)
        return env


def make_setup(file: PolicyFile, cfg: EnvCfg, robot: str | Robot | None = None, **settings: Any) -> Setup:
    """A setup for a file in a task's config.

    Args:
        file: the frozen policy.
        cfg: of its task.
        robot: the value of `--robot`, or the robot that `robot_of` returned for it; None for the file's own.
        settings: fields of `Setup`.

    Raises:
        UserError: the policy does not walk, or its contract is not the task's.
    """
    spec = file.spec
    if spec.command.kind != "velocity" or not spec.robot.floating_base:
        raise UserError(f"the suite locomotion is for velocity policies; {file.path} is for {spec.task}: use evaluate without --suite")
    who = robot_of(file, robot)
    told = trained_as(file, who)
    path = Path(os.path.abspath(file.path))  # a bare `policy.onnx` has no folder name
    return ready(
        Setup(
            name=path.parent.name if path.name == "policy.onnx" else path.stem,
            told={"policy": str(file.path), "policy_sha256": file.sha256, "robot": spec.robot.name, "task": spec.task},
            spec=spec,
            make_actor=lambda worlds: FileActor(file, worlds),
            file=file,
            robot=who,
            cfg=calm(cfg),
            table=cfg.randomization,
            trained=None if told is None else told.env,
            terrain=cfg.terrain or terrain(scale_of(who)),
            **settings,
        )
    )


def ready(setup: Setup) -> Setup:
    """The setup, after making one world with it, so that a misfit is refused before anything runs."""
    env = setup.env(1)
    if not env.events.fields:
        return setup
    env.reset()
    return dataclasses.replace(setup, own_fields=env.events.fields)


def calm(cfg: EnvCfg) -> EnvCfg:
    """The config on a plane and without disturbances; no episode times out."""
    return dataclasses.replace(cfg, randomization=cfg.randomization.undisturbed(), episode_s=FOREVER_S, terrain=None, curriculum={})
