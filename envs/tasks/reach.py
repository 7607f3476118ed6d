"""Reaching: bring the end effector to goal positions in the workspace and hold it there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Self

import torch

from envs.engines.face import sensor_slice
from envs.robots.robot import Robot
from envs.terms.joint_range import soft_range
from envs.terms.randomization import RandomizationCfg, Range
from envs.vec_env import EnvCfg, VecEnv, uniform
from policies.contract.spec import ActionSpec, CommandSpec, ObservationTerm, PolicySpec

SUCCESS_DISTANCE = 0.02  # m


@dataclass(frozen=True, kw_only=True)
class ReachCommandCfg:
    """Goals are drawn uniformly from a box in the base frame and held.

    Attributes:
        x, y, z: ranges of the goal [m].
        hold_s: range of the time that a goal is held [s].
    """

    x: tuple[float, float] = (0.3, 0.65)
    y: tuple[float, float] = (-0.4, 0.4)
    z: tuple[float, float] = (0.15, 0.7)
    hold_s: tuple[float, float] = (2.0, 3.0)


@dataclass(frozen=True, kw_only=True)
class ReachRewardCfg:
    """Weights of the reward terms, a second; d is the distance to the goal.

    Attributes:
        distance: d.
        near: exp(-d^2 / near_sigma^2).
        near_sigma: [m].
        at: exp(-d^2 / at_sigma^2).
        at_sigma: [m].
        joint_velocity: sum of squared joint velocities.
        action_rate: |a_t - a_{t-1}|^2.
        joint_limit: how far joints are beyond 95 % of their range.
    """

    distance: float = -2.0
    near: float = 1.0
    near_sigma: float = 0.15
    at: float = 2.0
    at_sigma: float = 0.02
    joint_velocity: float = -0.02
    action_rate: float = -0.01
    joint_limit: float = -2.0


def reach_randomization() -> RandomizationCfg:
    """The table for arms: encoders are good, gravity is compensated by the maker's controller for the nominal hand."""
    return RandomizationCfg(
        friction=Range(low=0.5, high=1.5),
        mass=Range(low=0.9, high=1.1, when="startup"),
        payload=Range(low=0.0, high=0.5, operation="add", when="startup"),
        center_of_mass=Range(low=-0.02, high=0.02, operation="add", when="startup"),
        motor_strength=Range(low=0.9, high=1.1),
        kp=Range(low=0.9, high=1.1),
        kd=Range(low=0.9, high=1.1),
        joint_damping=Range(low=0.5, high=2.0, distribution="log_uniform"),
        joint_armature=Range(low=0.9, high=1.1, when="startup"),
        joint_offset=Range(low=-0.002, high=0.002, operation="set"),
        observation_delay_s=Range(low=0.0, high=0.01, operation="set"),
        action_delay_s=Range(low=0.0, high=0.01, operation="set"),
    )


@dataclass(frozen=True, kw_only=True)
class ReachCfg(EnvCfg):
    """Config of a reaching task; see the parts.

    Attributes:
        command: where goals are.
        reward: what is rewarded.
        action_scale: change of the joint targets that a unit of action asks for in a control step [rad].
    """

    command: ReachCommandCfg = field(default_factory=ReachCommandCfg)
    reward: ReachRewardCfg = field(default_factory=ReachRewardCfg)
    randomization: RandomizationCfg = field(default_factory=reach_randomization)
    episode_s: float = 10.0
    action_scale: float = 0.05

    def at_rates_of(self, spec: PolicySpec) -> Self:
        return dataclasses.replace(super().at_rates_of(spec), action_scale=spec.action.scale[0])


class ReachEnv(VecEnv):
    """A fixed arm reaches goal positions.

    Attributes:
        end_effector: position of the tool in the base frame [m], (N, 3).
        distance: to the goal [m], (N,).
    """

    cfg: ReachCfg

    def __init__(self, cfg: ReachCfg, robot: Robot, task_name: str) -> None:
        super().__init__(cfg, robot, task_name)
        model = self.engine.model
        self._position = sensor_slice(model, "end_effector_position")
        self._velocity = sensor_slice(model, "end_effector_velocity")
        names = [f"{name}_torque" for name in robot.joints]
        self._torque = slice(sensor_slice(model, names[0]).start, sensor_slice(model, names[-1]).stop)
        self._goal_left_s = torch.zeros(self.num_worlds, device=self.device)
        self._soft_lower, self._soft_upper = soft_range(self._constants.lower, self._constants.upper)

    @property
    def num_commands(self) -> int:
        return 3

    def observation_terms(self) -> tuple[ObservationTerm, ...]:
        joints = len(self.robot.joints)
        delay = self.cfg.randomization.observation_delay_s
        delay_s = 0.0 if delay is None else delay.high
        return (
            ObservationTerm(name="command", dim=3, unit="m", frame="command"),
            ObservationTerm(name="joint_position", dim=joints, unit="rad", frame="joint", noise=0.001, delay_s=delay_s),
            ObservationTerm(name="joint_velocity", dim=joints, unit="rad/s", frame="joint", noise=0.02, delay_s=delay_s),
            ObservationTerm(name="joint_target", dim=joints, unit="rad", frame="joint"),
            ObservationTerm(name="last_action", dim=joints, unit="1", frame="action", clip=3.0),
        )

    def action_spec(self) -> ActionSpec:
        delay = self.cfg.randomization.action_delay_s
        scale = (self.cfg.action_scale,) * len(self.robot.joints)
        return ActionSpec(mode="position_delta", scale=scale, clip=1.0, delay_s=0.0 if delay is None else delay.high)

    def command_spec(self) -> CommandSpec:
        ranges = (self.cfg.command.x, self.cfg.command.y, self.cfg.command.z)
        lower, upper = tuple(r[0] for r in ranges), tuple(r[1] for r in ranges)
        return CommandSpec(name="goal_position", labels=("x", "y", "z"), lower=lower, upper=upper)

    def reset_worlds(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        n, joints = len(ids), len(self.robot.joints)
        qpos = self.default_pose + uniform(-0.3, 0.3, (n, joints), self.generator)
        qpos = torch.minimum(torch.maximum(qpos, self._soft_lower), self._soft_upper)
        return qpos, torch.zeros(n, self.engine.model.nv, device=self.device)

    def resample_commands(self, ids: torch.Tensor) -> None:
        cfg, n = self.cfg.command, len(ids)
        self.command = self.command.clone()
        self.command[ids] = torch.stack([uniform(*r, (n,), self.generator) for r in (cfg.x, cfg.y, cfg.z)], dim=1)
        self._goal_left_s[ids] = uniform(*cfg.hold_s, (n,), self.generator)

    def update_state(self) -> None:
        data = self.engine.sensordata
        self.end_effector, self.end_effector_velocity = data[:, self._position], data[:, self._velocity]
        self.error = self.command - self.end_effector
        self.distance = self.error.norm(dim=1)
        self.torque = data[:, self._torque]

    def advance_commands(self) -> None:
        self._goal_left_s -= self.cfg.control_dt
        ids = (self._goal_left_s <= 0).nonzero()[:, 0]
        if len(ids):
            self.resample_commands(ids)
            self.update_state()

    def rewards(self, terminated: torch.Tensor) -> dict[str, torch.Tensor]:
        w = self.cfg.reward
        d, d2 = self.distance, self.distance.square()
        joints = self.joint_position
        beyond = (joints - self._soft_upper).relu() + (self._soft_lower - joints).relu()
        return {
            "distance": w.distance * d,
            "near": w.near * torch.exp(-d2 / w.near_sigma**2),
            "at": w.at * torch.exp(-d2 / w.at_sigma**2),
            "joint_velocity": w.joint_velocity * self.joint_velocity.square().sum(1),
            "action_rate": w.action_rate * (self.action - self.previous_action).square().sum(1),
            "joint_limit": w.joint_limit * beyond.sum(1),
        }

    def task_metrics(self) -> dict[str, float]:
        settled = self._goal_left_s < 1.0  # the goal has been there for a second at least
        close = (self.distance < SUCCESS_DISTANCE) & settled
        return {"distance": float(self.distance.mean()), "at_goal": float(close.sum() / settled.sum().clamp(min=1))}

    def terminations(self) -> torch.Tensor:
        return torch.zeros(self.num_worlds, dtype=torch.bool, device=self.device)

    def privileged_extras(self) -> torch.Tensor:
        return torch.cat([self.error, self.end_effector, self.end_effector_velocity, self.randomizer.privileged()], dim=1)
