"""Builds the parts of an environment."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import mujoco
import torch

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.scene.terrain import Terrain
from envs.terms.commands import Command
from envs.terms.disturbance import add_ball
from envs.terms.term import SensedTerm, resolve
from policies.contract.observation import ABOUT, TERMS, Sensors, register_term
from policies.contract.spec import STATE, ActionSpec, ObservationGroup, ObservationTerm, PolicySpec, RobotSpec

NEEDS_FREE_BASE = ("push_velocity", "external_force", "thrown_mass")


def check_base(cfg: EnvCfg, robot: Robot) -> None:
    """Raises `ValueError` if the config would push a robot on a fixed base."""
    if not robot.floating_base:
        for name in NEEDS_FREE_BASE:
            if cfg.randomization.range(name) is not None:
                raise ValueError(f"randomization.{name} is for walking robots; {robot.name} has a fixed base")


def build_scene(cfg: EnvCfg, robot: Robot, terrain: Terrain | None) -> mujoco.MjSpec:
    """A fresh copy of the robot, with its ground and the task's objects."""
    spec = robot.scene()
    if terrain is not None:
        terrain.add_to(spec)
    for term in cfg.scene.values():
        term.func(spec, **term.params)
    return spec


def whole_scene(cfg: EnvCfg, robot: Robot, terrain: Terrain | None) -> mujoco.MjSpec:
    """The same with a ball, if balls are thrown."""
    spec = build_scene(cfg, robot, terrain)
    if cfg.randomization.range("thrown_mass") is not None:
        add_ball(spec)
    return spec


def rest_state(model: mujoco.MjModel, device: torch.device) -> torch.Tensor:
    """The keyframe `stand`, or the model's own pose if there is none, (nq,)."""
    key = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_KEY, "stand")
    return torch.tensor(model.qpos0 if key < 0 else model.key_qpos[key], dtype=torch.float32, device=device)


def action_spec(cfg: EnvCfg, robot: Robot) -> ActionSpec:
    """The action law."""
    delay = cfg.randomization.range("action_delay_s")
    scales = robot.action_scale if cfg.action.scale is None else (cfg.action.scale,) * len(robot.joints)
    scale = tuple(scale * cfg.action.share for scale in scales)
    return ActionSpec(mode=cfg.action.mode, scale=scale, clip=cfg.action.clip, delay_s=0.0 if delay is None else delay.high)


def policy_spec(cfg: EnvCfg, robot: Robot, task: str, command: Command) -> PolicySpec:
    """The contract of a task with this configuration, but for what cameras show."""
    known = robot.spec()
    return PolicySpec(
        task=task,
        robot=known,
        observation=(ObservationGroup(name=STATE, terms=observation_terms(cfg, known, command)),),
        action=action_spec(cfg, robot),
        command=command.spec(),
        control_dt=cfg.control_dt,
        decimation=cfg.decimation,
        clock_hz=cfg.clock_hz,
        clock_still_below=cfg.clock_still_below,
    )


def observation_terms(cfg: EnvCfg, robot: RobotSpec, command: Command) -> tuple[ObservationTerm, ...]:
    """The terms of the policy's observation, in order.

    Raises:
        ValueError: the contract has no term of that name, or the robot has no sensor for it.
    """
    delay = cfg.randomization.range("observation_delay_s")
    delay_s = 0.0 if delay is None else delay.high
    readings, pose = _readings(cfg, robot, command), torch.tensor(robot.default_pose)
    return tuple(
        ObservationTerm(
            name=name,
            dim=_dim(name, readings, pose),
            unit=command.units if name == "command" else ABOUT[name].unit,
            frame=ABOUT[name].frame,
            scale=term.scale,
            clip=term.clip,
            noise=term.noise,
            delay_s=delay_s if term.delayed else 0.0,
        )
        for name, term in register_foreign(cfg.sensed()).items()
    )


def register_foreign(table: Mapping[str, SensedTerm]) -> Mapping[str, SensedTerm]:
    """Register terms that have their own function with the contract.

    Raises:
        ValueError: a term is unknown and has no function, or has another function under an existing name.
    """
    for name, term in table.items():
        if term.func:
            register_once(name, resolve(term.func))
        elif name not in TERMS:
            near = difflib.get_close_matches(name, TERMS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"observations.{name}: there is no such term{hint}; valid: {', '.join(TERMS)}, or one with its own func")
    return table


def register_once(name: str, func: Callable[..., Any]) -> None:
    """Register a term with the contract, unless it is known already with its unit and its mirror image."""
    if TERMS.get(name) is not func:
        register_term(name, func)


def _readings(cfg: EnvCfg, robot: RobotSpec, command: Command) -> Sensors:
    """Readings of one world, all zero, to find the sizes of terms."""
    joints = torch.zeros(1, robot.num_joints)
    return Sensors(
        joint_position=joints,
        joint_velocity=joints,
        command=torch.zeros(1, len(command.labels)),
        last_action=joints,
        imu_quat_wxyz=torch.tensor([[1.0, 0.0, 0.0, 0.0]]) if robot.floating_base else None,
        imu_angular_velocity_b=torch.zeros(1, 3) if robot.floating_base else None,
        joint_target=joints,
        clock=torch.zeros(1, 2) if cfg.clock_hz else None,
    )


def _dim(name: str, readings: Sensors, pose: torch.Tensor) -> int:
    value = TERMS[name](readings, pose)
    if value is None:
        why = "clock_hz is 0" if name == "clock" else "a robot on a fixed base has no IMU"
        raise ValueError(f"observations.{name} cannot be sensed here: {why}")
    return int(value.shape[-1])
