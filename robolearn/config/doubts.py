"""Warnings about settings that are accepted and can hardly be meant: signs, sizes that do not fit the robot, another robot's preset."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from envs.robots.registry import get_robot
from envs.robots.robot import Robot
from envs.tasks.registry import get_task
from envs.terms.commands import VelocityCommand
from robolearn.config import loading, signs
from robolearn.config.schema import TrainCfg

GRAVITY = 9.81
FACTOR = 20.0
"""Factors on nominal values beyond this one are doubted."""
FASTEST = 6.0
"""Speeds are doubted beyond this multiple of sqrt(g l); animals gallop at about 4."""
PUSH = 3.0
"""Speeds of pushes are doubted beyond this multiple of sqrt(g l)."""
THROW = 50.0
"""Speeds of thrown balls are doubted beyond this [m/s]."""
FRICTION = 5.0
"""Friction coefficients are doubted beyond this one; rubber on concrete has about 1."""
FORCE = 3.0
"""Forces are doubted beyond this multiple of the robot's weight."""
FACTORS = ("mass", "motor_strength", "kp", "kd", "link_size")
"""Entries of the table of randomization that are always factors."""


def doubts(cfg: TrainCfg) -> list[str]:
    """Warnings about a configuration, one sentence each: weights of the wrong sign, sizes that do not fit the robot."""
    robot = get_robot(cfg.robot)
    return [*signs.doubtful(cfg), *_sizes(cfg, robot), *_speeds(cfg, robot)]


def other_kind(preset: str | Path, cfg: TrainCfg) -> list[str]:
    """A warning if the preset names a robot of another kind than the one to train, such as a quadruped's preset for a biped.

    Args:
        preset: name or path, as the user gave it.
        cfg: what it became, with the user's `--robot`.
    """
    if str(preset) not in loading.preset_names() and not str(preset).endswith((".yaml", ".yml")):
        return []  # the bare name of a task
    its = loading.peek(preset, "robot", default="")
    beside = Path(preset).parent / its
    task = get_task(cfg.task)
    own, robot = get_robot(str(beside) if its and beside.is_file() else its) if its else None, get_robot(cfg.robot)
    if own is None or task.variant(own) == task.variant(robot):
        return []
    name = f"{cfg.task}-{task.variant(robot)}"
    right = name if name in loading.preset_names() else cfg.task
    message = (
        f"{preset} has the settings of {own.name}, and {robot.name} is of another kind, which learns with others: "
        f"robolearn train {cfg.task} --robot {cfg.robot}, or a preset of yours with `extends: {right}`"
    )
    return [message]


def _sizes(cfg: TrainCfg, robot: Robot) -> Iterator[str]:
    weight, speed = robot.mass * GRAVITY, math.sqrt(GRAVITY * robot.leg_length) if robot.floating_base else math.inf
    of = f"{robot.name} has {robot.mass:.3g} kg"
    most = {
        "payload": (robot.mass, "kg", of),
        "thrown_mass": (robot.mass, "kg", of),
        "thrown_speed": (THROW, "m/s", f"more than {THROW:g} m/s is hardly a throw"),
        "external_force": (FORCE * weight, "N", f"{robot.name} weighs {weight:.3g} N"),
        "push_velocity": (PUSH * speed, "m/s", f"{robot.name} walks at about {speed / 2:.2g} m/s"),
    }
    table = cfg.env.randomization
    for name, entry in table.entries.items():
        if name in table.terms():
            continue
        bounds = table.range(name)
        if bounds is None:
            continue
        size = max(abs(bounds.low), abs(bounds.high))
        which = "high" if size == abs(bounds.high) else "low"
        key = f"env.randomization.{name}.{which}={getattr(bounds, which):g}"
        if name in most and size > most[name][0]:
            yield f"{key} [{most[name][1]}]: {most[name][2]}; is the number meant?"
        elif (name in FACTORS or (bounds.operation == "scale" and entry is not None)) and size > FACTOR:
            yield f"{key} is a factor on the robot's own value; is the number meant?"
        elif name == "friction" and bounds.operation != "scale" and size > FRICTION:
            yield f"{key}: rubber on concrete has a coefficient of about 1; is the number meant?"


def _speeds(cfg: TrainCfg, robot: Robot) -> Iterator[str]:
    command = cfg.env.command
    if command is None or command.func is not VelocityCommand or not robot.floating_base:
        return
    most = FASTEST * math.sqrt(GRAVITY * robot.leg_length)
    for name in ("vx", "vy"):
        values = command.values().get(name)
        if values is not None and max(abs(value) for value in values) > most:
            yield (
                f"env.command.{name}={list(values)} [m/s]: with legs of {robot.leg_length:.2g} m no {robot.name} runs faster than about "
                f"{most:.2g} m/s; is the number meant?"
            )
