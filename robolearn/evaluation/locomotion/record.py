"""Runs a policy file in all worlds of an environment under given commands, and records the result.

The episode of a world ends with a fall: its series count up to the step before. The policy runs as on the robot, with one memory per world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from robolearn.evaluation.actors import Actor, FileActor
from robolearn.evaluation.rollout import Alter, Rollout

SETTLE_S = 1.0  # at the beginning of an episode, left out of all figures
GRAVITY = 9.81  # m/s2

Ask = torch.Tensor | Callable[[VecEnv], torch.Tensor]
"""(N, 3), held; or a function that computes it from the present state."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """T control steps of N worlds with F feet.

    Attributes:
        dt: control step [s].
        command: of each step, (T, N, 3).
        alive: not fallen by the end of the step, (T, N).
        velocity: vx, vy [m/s] and yaw rate [rad/s] in the base frame, (T, N, 3).
        tilt: angle between base and vertical [rad], (T, N).
        contact: loaded feet, (T, N, F).
        foot_position: position in the world [m], (T, N, F, 3).
        foot_speed: planar speed [m/s], (T, N, F).
        power: sum of |torque * joint velocity| [W], (T, N).
        torque: of the joints [N m], (T, N, J).
        qpos: (T, N, nq).
        mass: of the robot with its payload [kg], (N,).
    """

    dt: float
    command: np.ndarray
    alive: np.ndarray
    velocity: np.ndarray
    tilt: np.ndarray
    contact: np.ndarray
    foot_position: np.ndarray
    foot_speed: np.ndarray
    power: np.ndarray
    torque: np.ndarray
    qpos: np.ndarray
    mass: np.ndarray

    @property
    def survived(self) -> np.ndarray:
        """Worlds (N,) that never fell."""
        return self.alive[-1]

    def counted(self) -> np.ndarray:
        """Steps (T, N) that figures count: alive and settled."""
        return self.alive & (np.arange(len(self.alive)) * self.dt >= SETTLE_S)[:, None]

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean planar velocity error [m/s] and yaw rate error [rad/s] of each world (N,); NaN for one that fell before it settled."""
        off = self.velocity - self.command
        counted = self.counted()
        return over_time(np.linalg.norm(off[..., :2], axis=-1), counted), over_time(np.abs(off[..., 2]), counted)

    def cost_of_transport(self) -> np.ndarray:
        """Power over weight times planar speed for each world (N,); NaN for a command of at most 0.1 m/s."""
        counted = self.counted()
        moving = np.linalg.norm(self.command[..., :2], axis=-1).mean(0) > 0.1
        speed = over_time(np.linalg.norm(self.velocity[..., :2], axis=-1), counted)
        return np.where(moving, over_time(self.power, counted) / (self.mass * GRAVITY * np.maximum(speed, 1e-3)), np.nan)


def over_time(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over the counted steps of (T, N) values, (N,); NaN if there are none."""
    steps = counted.sum(0)
    return np.where(steps > 0, (values * counted).sum(0) / np.maximum(steps, 1), np.nan)


Before = Callable[[int], None]
Watch = Callable[[int, torch.Tensor, np.ndarray, Actor], bool]


def walk(
    env: VecEnv,
    policy: PolicyFile | Actor,
    command: Ask,
    seconds: float,
    label: str,
    before: Before | None = None,
    alter: Alter | None = None,
    watch: Watch | None = None,
) -> Record:
    """Run all worlds from a reset and record them.

    Args:
        env: worlds from `Setup.env`.
        policy: a file, or another actor in these worlds.
        command: the command.
        seconds: duration [s].
        label: label of the progress bar.
        before: called with the step's index before each step, e.g. to push.
        alter: changes the actions (N, J) before they reach the robot.
        watch: called after each step with its index, the observation that the policy acted on (N, O), the worlds still alive (N,) and the
            policy's state in each world after the step; returning True ends the run, without this step.
    """
    torch.set_num_threads(1)
    dt, worlds = env.cfg.control_dt, env.num_worlds
    actor = FileActor(policy, worlds) if isinstance(policy, PolicyFile) else policy
    rollout = Rollout(env, actor)
    series: dict[str, list[np.ndarray]] = {}
    rollout.start(None if callable(command) else command)
    steps = tqdm(range(round(seconds / dt)), desc=f"{label}, {worlds} worlds", unit="step", dynamic_ncols=True, leave=False, disable=None)
    for index in steps:
        if before is not None:
            before(index)
        if callable(command):
            rollout.ask(command(env))
        seen, asked = rollout.policy, env.command
        rollout.step(alter)
        if watch is not None and watch(index, seen, rollout.alive.cpu().numpy(), actor):
            break
        for name, value in _state(env, asked, rollout.alive).items():
            series.setdefault(name, []).append(value.cpu().numpy().copy())
        if not bool(rollout.alive.any()):
            break
    return Record(dt=dt, mass=env.robot_mass().cpu().numpy(), **{name: np.stack(values) for name, values in series.items()})


def _state(env: VecEnv, asked: torch.Tensor, alive: torch.Tensor) -> dict[str, torch.Tensor]:
    """The values of a step in a record, by field."""
    return {
        "command": asked,
        "alive": alive,
        "velocity": torch.cat([env.base.velocity_b[:, :2], env.base.angular_velocity_b[:, 2:]], dim=1),
        "tilt": torch.arccos((-env.base.gravity_b[:, 2]).clamp(-1, 1)),
        "contact": env.feet.contact,
        "foot_position": env.feet.position_w,
        "foot_speed": env.feet.speed2.sqrt(),
        "power": (env.joints.torque * env.joints.velocity).abs().sum(1),
        "torque": env.joints.torque,
        "qpos": env.engine.qpos,
    }
