"""What tasks with an object and a gripper have in common: how the arm moves, what the teacher is told, and how worlds differ."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from envs.env_cfg import ActionCfg, EnvCfg
from envs.robots.robot import Robot
from envs.scene.objects import add_object
from envs.terms import manipulation, objects, observations, rewards, terminations
from envs.terms.randomization import RandomizationCfg, Range
from envs.terms.shapes import ObjectShapes
from envs.terms.starts import ObjectBeforeHand
from envs.terms.term import EventTerm, PrivilegedTerm, ResetTerm, RewardTerm, SceneTerm, SensedTerm, TerminationTerm

CONTROL_DT, DECIMATION = 0.04, 4  # 25 Hz, physics at 100 Hz
EPISODE_S = 5.0
HELD_S = 10 * CONTROL_DT  # ten steps, as in PixMC
REGION = ((0.2, 0.8), (-0.5, 0.5))
"""Where the arm can still reach the object, x and y [m]."""
HELPED = 0.5
"""Share of the episodes of a training that begin with the hand at the object."""
SHARE = 0.1
"""Of a robot's own action scale: an arm's joint moves 0.05 rad a step, the fingers 2 mm."""


def needs_gripper(robot: Robot, what: str) -> None:
    """Raises `ValueError` for a robot that cannot grasp."""
    if robot.floating_base:
        raise ValueError(f"{what} is for arms on a fixed base; {robot.name} walks")
    if robot.gripper is None or robot.tool is None:
        raise ValueError(
            f"{what} needs a gripper; {robot.name} has none: use --robot panda-gripper or xarm7, or give your robot.yaml a `gripper`"
        )


def action() -> ActionCfg:
    """Steps of the joints' targets from the last ones."""
    return ActionCfg(mode="position_delta", share=SHARE, clip=1.0)


def sensed(command: bool) -> dict[str, SensedTerm]:
    """What the robot senses."""
    terms = {
        "joint_position": SensedTerm(noise=0.001, delayed=True),
        "joint_velocity": SensedTerm(noise=0.02, delayed=True),
        "joint_target": SensedTerm(),
        "last_action": SensedTerm(clip=3.0),
    }
    return {"command": SensedTerm(), **terms} if command else terms


def told() -> dict[str, PrivilegedTerm]:
    """What only the simulator knows."""
    return {
        "tool_position": PrivilegedTerm(observations.tool_position),
        "tool_velocity": PrivilegedTerm(observations.tool_velocity),
        "hand_down": PrivilegedTerm(objects.hand_down),
        "finger_turn": PrivilegedTerm(objects.finger_turn),
        "tool_to_object": PrivilegedTerm(objects.tool_to_object),
        "object_position": PrivilegedTerm(objects.object_position),
        "object_attitude": PrivilegedTerm(objects.object_attitude),
        "object_velocity": PrivilegedTerm(objects.object_velocity),
        "object_size": PrivilegedTerm(objects.object_size),
        "gripped": PrivilegedTerm(objects.holding),
        "randomization": PrivilegedTerm(observations.randomization),
    }


def scene() -> dict[str, SceneTerm]:
    """The object."""
    return {"object": SceneTerm(add_object)}


def care() -> dict[str, RewardTerm]:
    """Penalties that every task has."""
    return {
        "hand_tilt": RewardTerm(manipulation.hand_tilt, weight=-2.0),
        "strain": RewardTerm(rewards.strain, weight=-5.0),
        "joint_velocity": RewardTerm(rewards.joint_velocity, weight=-0.02),
        "action_rate": RewardTerm(rewards.action_rate, weight=-0.01),
        "joint_limit": RewardTerm(rewards.joint_limit, weight=-2.0),
    }


def ends() -> Mapping[str, TerminationTerm]:
    """An episode ends with its time, or when the object is out of reach."""
    x, y = REGION
    return {
        "time": TerminationTerm(terminations.time_up, time_out=True),
        "lost": TerminationTerm(manipulation.object_lost, x=x, y=y),
    }


def start(helped: float = HELPED) -> ResetTerm:
    """The hand above the floor, the object before it."""
    return ResetTerm(ObjectBeforeHand, turn=math.pi, helped=helped)


def unhelped(cfg: EnvCfg) -> EnvCfg:
    """A config for evaluations: no hand begins at the object."""
    return dataclasses.replace(cfg, reset=cfg.reset.changed(helped=0.0)) if "helped" in cfg.reset.params else cfg


def worlds(**more: EventTerm | None) -> RandomizationCfg:
    """The table for arms that hold something, and the object of each world; `more` adds entries, or takes one out by None."""
    table: dict[str, Range | EventTerm] = {
        "friction": Range(low=0.8, high=1.2),
        "mass": Range(low=0.9, high=1.1, when="startup"),
        "motor_strength": Range(low=0.9, high=1.1),
        "kp": Range(low=0.9, high=1.1),
        "kd": Range(low=0.9, high=1.1),
        "joint_damping": Range(low=0.5, high=2.0, distribution="log_uniform"),
        "joint_armature": Range(low=0.9, high=1.1, when="startup"),
        "joint_offset": Range(low=-0.002, high=0.002, operation="set"),
        "observation_delay_s": Range(low=0.0, high=0.01, operation="set"),
        "action_delay_s": Range(low=0.0, high=0.01, operation="set"),
        "object": EventTerm(ObjectShapes),
    }
    return RandomizationCfg({name: entry for name, entry in {**table, **more}.items() if entry is not None})
