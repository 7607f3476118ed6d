"""Uses a controller in place of a policy file: the config of its worlds, its evaluation, and its use in the suite and `--gait`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.tasks.registry import make_env
from envs.tasks.scaling import scale_of
from envs.tasks.velocity import terrain
from robolearn.config import loading as config
from robolearn.config import schema, settings
from robolearn.config.schema import TrainCfg
from robolearn.controllers.actor import ControllerActor
from robolearn.controllers.registry import ControllerKind
from robolearn.errors import UsageError
from robolearn.evaluation.evaluate import evaluate
from robolearn.evaluation.locomotion.setup import Setup, calm, ready
from robolearn.evaluation.result import EvaluationResult
from robolearn.policy_path import CONTROLLER

NOT_LEARNED = "a controller does not learn"
OWN = {
    **{name: NOT_LEARNED for name in settings.EVALUATE if not name.startswith("env.") and name != "seed"},
    "env.clock*": "a controller has its own clock",
    "env.observations*": "a controller sees the true state",
    "env.privileged*": "a controller sees the true state",
}
"""Settings that no controller reads, and why."""
FREE = ("env.control_dt", "env.decimation", "env.action.*")
"""Settings that a policy file fixes, but that can be set for a controller."""


def idle(of_policies: Mapping[str, str]) -> dict[str, str]:
    """Settings without effect on a controller in a command, and why, made from those without effect on a policy."""
    return {name: why for name, why in of_policies.items() if name not in FREE} | OWN


def config_of(
    kind: ControllerKind,
    robot: Robot,
    overrides: Sequence[str],
    without_effect: Mapping[str, str],
    where: str,
    preset: str | None = None,
) -> TrainCfg:
    """The config of a controller's worlds: a preset's or the task's own, with `--section.key=value` applied.

    Args:
        kind: the controller.
        robot: its robot.
        overrides: as typed.
        without_effect: settings that must not be given, and why, see `idle`.
        where: the command, for messages.
        preset: a preset to use in place of the task's own settings.

    Raises:
        ConfigError: an override is wrong, or would have no effect.
        UsageError: the settings are for another task.
    """

    def read(given: Sequence[str]) -> TrainCfg:
        if preset:
            return schema.load(preset, [*given, f"--robot={robot.source or robot.name}"])
        return config.loads(schema.schema_of(kind.task, robot), "{}", "the task's defaults", given)

    found = read(overrides)
    if found.task != kind.task:
        raise UsageError(f"{CONTROLLER}{kind.name} walks in task {kind.task}, but the preset is for {found.task}; leave it out")
    settings.refuse(read(()), found, without_effect, where)
    return found


def evaluate_controller(
    kind: ControllerKind,
    robot: Robot,
    engine: str = "mujoco",
    seeds: int = 2,
    seconds: float = 10.0,
    seed: int = 1000,
    env: EnvCfg | None = None,
) -> EvaluationResult:
    """Evaluate a controller as `robolearn.evaluation.evaluate.evaluate` does a policy, with the same arguments."""
    result = evaluate(lambda worlds: ControllerActor(kind.make), kind.task, robot, engine, seeds, seconds, seed, env)
    return dataclasses.replace(result, policy=f"{CONTROLLER}{kind.name}")


def setup_of_controller(kind: ControllerKind, robot: Robot, env: EnvCfg, engine: str = "mujoco", seed: int = 1000) -> Setup:
    """A controller for the suite and `--gait`; `env` as for `evaluate_controller`."""
    cfg = env.at_full_strength()
    world = calm(cfg)
    spec = make_env(kind.task, robot, world, num_worlds=1, device="cpu", engine="mujoco").spec
    return ready(
        Setup(
            name=f"{kind.name}-{robot.name}",
            told={"policy": f"{CONTROLLER}{kind.name}", "robot": robot.name, "task": kind.task},
            spec=spec,
            make_actor=lambda worlds: ControllerActor(kind.make),
            file=None,
            robot=robot,
            cfg=world,
            table=cfg.randomization,
            trained=cfg,
            terrain=cfg.terrain or terrain(scale_of(robot)),
            engine=engine,
            seed=seed,
        )
    )
