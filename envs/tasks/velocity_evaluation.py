"""How walking policies are evaluated: each world holds one command of a grid for a whole episode, on a plane, whatever the training's
ground.

Velocity errors are means over time of |v_xy - command| [m/s] and |w_z - command| [rad/s]; the cost of transport is
sum |torque * joint velocity| over weight times distance, for worlds with a command to move.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import torch

from envs.tasks.evaluation import Evaluation, Measure, Play
from envs.terms.metrics import planar_error, yaw_error
from policies.contract.spec import CommandSpec

if TYPE_CHECKING:
    from envs.vec_env import VecEnv

GRID_SHARE = 0.8  # share of the command ranges
MOVING = 0.1  # share of the greatest planar command above which a command means to move
GRAVITY = 9.81  # m/s2


def joint_power(env: VecEnv) -> torch.Tensor:
    """Sum of |torque * joint velocity| [W], (N,)."""
    return (env.joints.torque * env.joints.velocity).abs().sum(1)


def weight_times_speed(env: VecEnv) -> torch.Tensor:
    """Weight with its payload times planar speed [W], (N,)."""
    return env.robot_mass() * GRAVITY * env.base.velocity_b[:, :2].norm(dim=1)


def asked_to_move(env: VecEnv) -> torch.Tensor:
    """Worlds (N,) bool whose command is to move."""
    command = env.spec.command
    fastest = max(abs(value) for value in (command.lower[0], command.upper[0]))
    return env.command[:, :2].norm(dim=1) > MOVING * fastest


def measured_velocity(env: VecEnv) -> torch.Tensor:
    """vx, vy [m/s] and yaw rate [rad/s] in the base frame, (N, 3)."""
    return torch.cat([env.base.velocity_b[:, :2], env.base.angular_velocity_b[:, 2:]], dim=1)


def command_grid(command: CommandSpec) -> list[tuple[float, ...]]:
    """The 45 commands of an evaluation, vx [m/s], vy [m/s], yaw rate [rad/s]: all directions, turning, and all at once.

    Forward speeds are 0.8 and 0.4 of both ends of the task's range and zero; sideways and turning 0.8 of both ends and zero.
    """
    (back, right, clockwise), (forward, left, counter) = command.lower, command.upper
    vx = [GRID_SHARE * back, GRID_SHARE / 2 * back, 0.0, GRID_SHARE / 2 * forward, GRID_SHARE * forward]
    vy, yaw_rate = ([GRID_SHARE * low, 0.0, GRID_SHARE * high] for low, high in ((right, left), (clockwise, counter)))
    return list(itertools.product(vx, vy, yaw_rate))


def show_walking(command: CommandSpec) -> list[tuple[float, ...]]:
    """Stand, walk each way, turn, and stand again."""
    lower, upper = np.array(command.lower), np.array(command.upper)
    shares = ((0, 0, 0), (0.6, 0, 0), (0.9, 0, 0), (0.6, 0, 0.8), (0, 0.7, 0), (0, 0, -0.9), (-0.6, 0, 0), (0, 0, 0))
    return [tuple(np.where(np.array(s) >= 0, np.array(s) * upper, -np.array(s) * lower).tolist()) for s in shares]


VELOCITY_EVALUATION = Evaluation(
    measures={
        "survival": Measure(label="survival", kind="share", goal=0.95),
        "velocity_error_xy": Measure(
            label="planar velocity error", kind="mean", signal=planar_error, unit="m/s", goal=0.2, limit=0.3, dimension="speed"
        ),
        "velocity_error_yaw": Measure(label="yaw rate error", kind="mean", signal=yaw_error, unit="rad/s", dimension="rate"),
        "cost_of_transport": Measure(
            label="cost of transport", kind="mean", signal=joint_power, per=weight_times_speed, about=asked_to_move
        ),
    },
    score="survival",
    worlds=45,
    commands=command_grid,
    terrain=True,
    curves={"velocity_error_xy": "planar velocity error [m/s]"},
    play=Play(measured=measured_velocity, commands=show_walking, units=("m/s", "m/s", "rad/s")),
)
"""A policy that only stands survives everything, so a deployable policy must also follow its commands."""
