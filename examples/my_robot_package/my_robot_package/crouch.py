"""The task `crouch`: a legged robot holds its base at the commanded height."""

from __future__ import annotations

from typing import ClassVar

import torch

from envs.env_cfg import ActionCfg, EnvCfg
from envs.robots.robot import Robot
from envs.tasks.evaluation import Evaluation, Measure
from envs.tasks.registry import Task
from envs.terms import observations, resets, rewards, terminations
from envs.terms.commands import Command, Worlds
from envs.terms.face import Env
from envs.terms.fields import nominal
from envs.terms.randomization import RandomizationCfg, Range
from envs.terms.term import CommandTerm, EventTerm, MetricTerm, PrivilegedTerm, ResetTerm, RewardTerm, SensedTerm, TerminationTerm
from policies.contract.spec import CommandSpec


class Height(Command):
    """A height of the base above the ground [m]."""

    kind: ClassVar[str] = "motion"  # stays valid until the next one
    labels: ClassVar[tuple[str, ...]] = ("height",)
    units: ClassVar[str] = "m"
    mirror: ClassVar[tuple[float, ...] | None] = (1.0,)

    def __init__(self, env: Worlds, height: tuple[float, float], hold_s: tuple[float, float] = (2.0, 4.0)) -> None:
        super().__init__(env, height[:1], height[1:], hold_s)


def height_error(env: Env) -> torch.Tensor:
    """|height - command| [m], (N,)."""
    return (env.base.height - env.command[:, 0]).abs()


def at_height(env: Env, sigma: float) -> torch.Tensor:
    """exp(-error^2 / sigma^2), sigma in [m]."""
    return torch.exp(-height_error(env).square() / sigma**2)


def weak_motor(env: Env, ids: torch.Tensor, share: Range) -> None:
    """In each episode one motor of each world gives only a `share` of its torque."""
    limits = nominal(env.engine, "actuator_forcerange", len(ids))
    which = torch.randint(limits.shape[1], (len(ids),), generator=env.generator, device=env.device)
    limits[torch.arange(len(ids)), which] *= share.sample((len(ids), 1), env.generator)
    env.engine.set_field("actuator_forcerange", ids, limits)


def crouch(robot: Robot) -> EnvCfg:
    """The task for a robot; lengths scale with its legs."""
    if robot.stand_height is None or not robot.feet:
        raise ValueError(f"crouching is for legged robots; {robot.name} has no legs")
    high = robot.stand_height
    return EnvCfg(
        episode_s=10.0,
        action=ActionCfg(mode="position_offset", clip=3.0),
        command=CommandTerm(Height, height=(0.7 * high, high)),
        observations={
            "base_angular_velocity": SensedTerm(noise=0.1, delayed=True),
            "projected_gravity": SensedTerm(noise=0.03, delayed=True),
            "command": SensedTerm(scale=1.0 / high),
            "joint_position": SensedTerm(noise=0.01, delayed=True),
            "joint_error": SensedTerm(noise=0.01, delayed=True),
            "last_action": SensedTerm(clip=3.0),
        },
        privileged={
            "base_velocity": PrivilegedTerm(observations.base_velocity),
            "base_height": PrivilegedTerm(observations.base_height),
        },
        rewards={
            "at_height": RewardTerm(at_height, weight=2.0, sigma=0.15 * high),
            "tilt": RewardTerm(rewards.tilt, weight=-2.0),
            "action_rate": RewardTerm(rewards.action_rate, weight=-0.02),
            "fall": RewardTerm(rewards.fall, weight=-4.0),
        },
        terminations={
            "tilt": TerminationTerm(terminations.tilted, max_tilt=0.8),
            "time": TerminationTerm(terminations.time_up, time_out=True),
        },
        reset=ResetTerm(resets.standing, drop=0.02, joint_spread=0.1, velocity=0.1, angular_velocity=0.1),
        metrics={"height_error": MetricTerm(height_error)},
        randomization=RandomizationCfg(
            friction=Range(low=0.5, high=1.2),
            mass=Range(low=0.9, high=1.1, when="startup"),
            weak_motor=EventTerm(weak_motor, share=Range(low=0.5, high=1.0)),
        ),
    )


def heights(command: CommandSpec) -> list[tuple[float, ...]]:
    """Five heights over the range."""
    low, high = command.lower[0], command.upper[0]
    return [(low + share * (high - low),) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]


CROUCH = Task(
    name="crouch",
    description="hold the base at the commanded height",
    make=crouch,
    evaluation=Evaluation(
        measures={
            "survival": Measure(label="survival", kind="share", goal=0.95),
            "height_error": Measure(label="height error", kind="mean", signal=height_error, unit="m", goal=0.02, dimension="length"),
        },
        score="survival",
        worlds=5,
        commands=heights,
        curves={"height_error": "height error [m]"},
    ),
)
