"""The config of an environment: tables of terms, and the settings of its worlds. One class for all tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from envs.engines.registry import ENGINES
from envs.scene.terrain import TerrainCfg
from envs.seeds import torch_seed
from envs.terms.randomization import RandomizationCfg
from envs.terms.term import (
    CommandTerm,
    CurriculumTerm,
    MetricTerm,
    ObservationEntry,
    PrivilegedTerm,
    ResetTerm,
    RewardTerm,
    SceneTerm,
    SensedTerm,
    SuccessTerm,
    TerminationTerm,
)
from policies.contract.spec import PolicySpec

MOST = 2**31 - 1
"""Largest number of worlds and the like that the physics can count."""
MOST_THREADS = 4096
MOST_LATE = 8
"""Largest delay of an action in control steps."""


@dataclass(frozen=True, kw_only=True)
class ActionCfg:
    """The conversion of actions to joint targets, see `policies.contract.spec.ActionSpec`.

    Attributes:
        mode: `position_offset` from the default pose, or `position_delta` from the last target.
        scale: change of every joint's target per unit of action [rad]; null takes the robot's own scale of each joint.
        share: factor on the scales: with the robot's own, joints that move angles and lengths keep their proportion.
        clip: largest magnitude of the raw action.
    """

    mode: Literal["position_offset", "position_delta"] = "position_offset"
    scale: float | None = None
    share: float = 1.0
    clip: float = 5.0

    def __post_init__(self) -> None:
        if not self.clip > 0:
            raise ValueError(f"action.clip must be positive, not {self.clip:g}")
        if not self.share > 0:
            raise ValueError(f"action.share must be positive, not {self.share:g}")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(f"action.scale must be positive, not {self.scale:g}")


@dataclass(frozen=True, kw_only=True)
class EnvCfg:
    """An environment. `null` removes an entry of a table; new entries are added with their own `func`.

    Attributes:
        num_worlds: worlds stepped together, N.
        engine: physics engine, by its name in `envs.engines.registry`.
        device: `cpu`, or `cuda` for the warp engine.
        num_threads: simulation threads; 0 uses all cores.
        seed: seed of everything random in the environment.
        control_dt: time between actions [s].
        decimation: physics steps per control step.
        episode_s: length after which an episode is truncated [s].
        clock_hz: rate of the gait's clock, in cycles per second; 0 for none.
        clock_still_below: norm of a command below which the policy's clock stops (zeros), since a standing robot has no gait. 0: it always
            runs.
        contact_force: force above which a foot counts as on the ground [N].
        terrain: the terrain; null for a plane.
        scene: objects besides robot and ground.
        action: conversion of actions to joint targets.
        command: the commands; null for a task without commands.
        observations: the policy's observation of its sensors, in order, and its cameras.
        privileged: further observations of the teacher, which only the simulator knows, in order.
        rewards: rewards (positive weights) and penalties (negative weights).
        terminations: conditions that end an episode.
        metrics: figures for the training's log.
        reset: the start of an episode.
        success: what counts as a successful episode, for curricula; null: lasting until its time is up.
        curriculum: changes that depend on success.
        randomization: variations between worlds, and disturbances, see `envs.terms.randomization`.
    """

    num_worlds: int = 1024
    engine: str = "mujoco"
    device: str = "cpu"
    num_threads: int = 0
    seed: int = 0
    control_dt: float = 0.02
    decimation: int = 4
    episode_s: float = 20.0
    clock_hz: float = 0.0
    clock_still_below: float = 0.0
    contact_force: float = 1.0
    terrain: TerrainCfg | None = None
    scene: Mapping[str, SceneTerm] = field(default_factory=dict)
    action: ActionCfg = field(default_factory=ActionCfg)
    command: CommandTerm | None = None
    observations: Mapping[str, ObservationEntry] = field(default_factory=dict)
    privileged: Mapping[str, PrivilegedTerm] = field(default_factory=dict)
    rewards: Mapping[str, RewardTerm] = field(default_factory=dict)
    terminations: Mapping[str, TerminationTerm] = field(default_factory=dict)
    reset: ResetTerm
    success: SuccessTerm | None = None
    curriculum: Mapping[str, CurriculumTerm] = field(default_factory=dict)
    metrics: Mapping[str, MetricTerm] = field(default_factory=dict)
    randomization: RandomizationCfg = field(default_factory=RandomizationCfg)

    def __post_init__(self) -> None:
        for name, least, most in (("num_worlds", 1, MOST), ("decimation", 1, MOST), ("num_threads", 0, MOST_THREADS)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {most}, not {getattr(self, name)}")
        ENGINES.get(self.engine)  # raises where there is none
        torch_seed(self.seed)
        for name in ("control_dt", "episode_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("clock_hz", "clock_still_below"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, is {getattr(self, name):g}")
        if not 1 <= self.episode_s / self.control_dt < 2**53:
            raise ValueError(
                f"episode_s must be at least one control_dt ({self.control_dt:g} s), and countable in steps, not {self.episode_s:g}"
            )
        for name, steps in (("observation_delay_s", 1), ("action_delay_s", MOST_LATE)):
            delay = self.randomization.range(name)
            most = steps * self.control_dt
            if delay is not None and not 0 <= delay.low <= delay.high <= most:
                what = "control_dt" if steps == 1 else f"{steps} control steps"
                raise ValueError(f"randomization.{name} must lie between 0 and {what} ({most:g} s), not up to {delay.high:g}")
        if self.most_action_delay_s() > MOST_LATE * self.control_dt:
            raise ValueError(f"actions may come at most {MOST_LATE} control steps late, not {self.most_action_delay_s():g} s")
        if not self.sensed():
            raise ValueError("observations is empty: a policy needs at least one" + (" beside its cameras" if self.observations else ""))

    def sensed(self) -> dict[str, SensedTerm]:
        """The entries of `observations` that make up the vector `state`, in order."""
        return {name: term for name, term in self.observations.items() if isinstance(term, SensedTerm)}

    def blind(self) -> Self:
        """This config without cameras."""
        return dataclasses.replace(self, observations=self.sensed()) if len(self.sensed()) < len(self.observations) else self

    def most_action_delay_s(self) -> float:
        """The longest delay of actions that a world may have [s]: from the table's range, or from a change (`envs.terms.changes`)."""
        table = self.randomization.range("action_delay_s")
        changes = (term.params for term in self.randomization.terms().values() if term.params.get("quantity") == "action_delay_s")
        return max(0.0 if table is None else table.high, *(float(params["high"]) for params in changes), 0.0)

    def at_full_strength(self) -> Self:
        """This config without the ramp of disturbances: only a first training increases them gradually."""
        return dataclasses.replace(self, randomization=dataclasses.replace(self.randomization, disturbance_ramp=False))

    def at_rates_of(self, spec: PolicySpec) -> Self:
        """This config with those free settings of a training that its policy depends on: rates, and the scale of actions."""
        action = self.action if self.action.scale is None else dataclasses.replace(self.action, scale=spec.action.scale[0])
        clock = {"clock_hz": spec.clock_hz, "clock_still_below": spec.clock_still_below}
        return dataclasses.replace(self, control_dt=spec.control_dt, decimation=spec.decimation, action=action, **clock)
