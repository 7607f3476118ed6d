"""The config of an environment: tables of terms, and what the worlds are made of. One class for all tasks."""

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
"""Of worlds and the like: what the physics counts with."""
MOST_THREADS = 4096
MOST_LATE = 8
"""Control steps by which an action may come late."""


@dataclass(frozen=True, kw_only=True)
class ActionCfg:
    """How an action becomes joint targets, see `policies.contract.spec.ActionSpec`.

    Attributes:
        mode: `position_offset` from the default pose, or `position_delta` from the last target.
        scale: what a unit of action asks of every joint [rad]; null takes the robot's own scale of each joint.
        clip: limit of the raw action's magnitude.
    """

    mode: Literal["position_offset", "position_delta"] = "position_offset"
    scale: float | None = None
    clip: float = 5.0

    def __post_init__(self) -> None:
        if not self.clip > 0:
            raise ValueError(f"action.clip must be positive, not {self.clip:g}")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(f"action.scale must be positive, not {self.scale:g}")


@dataclass(frozen=True, kw_only=True)
class EnvCfg:
    """What an environment is made of. Entries of a table are removed by `null` and may be added, with a `func` of their own.

    Attributes:
        num_worlds: worlds stepped together, N.
        engine: physics engine, by its name in `envs.engines.registry`.
        device: `cpu`, or `cuda` with the warp engine.
        num_threads: simulation threads, 0 for all cores.
        seed: of everything random in the environment.
        control_dt: time between actions [s].
        decimation: physics steps per control step.
        episode_s: length after which an episode is truncated [s].
        clock_hz: rate of the gait's clock, in cycles; 0 for none.
        clock_still_below: norm of a command below which the policy's clock stands still (zeros): who stands has no gait. 0: it always runs.
        contact_force: a foot that is loaded more than this is on the ground [N].
        terrain: what to walk on; a plane where null.
        scene: what stands there beside robot and ground.
        action: how an action becomes joint targets.
        command: what is asked; null for a task of which nothing is asked.
        observations: what the policy sees of its sensors, in order, and what cameras show it.
        privileged: what only the simulator knows, which the teacher sees beside it, in order.
        rewards: what is rewarded (weights above zero) and penalised (below zero).
        terminations: when an episode ends.
        metrics: figures for the log.
        reset: how an episode begins.
        success: what counts as a good episode, for curricula; null for one that lasts until its time is up.
        curriculum: what changes with success.
        randomization: what varies from world to world, and what happens to them, see `envs.terms.randomization`.
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
            raise ValueError(f"episode_s must be one control_dt ({self.control_dt:g} s) or more, and countable, not {self.episode_s:g}")
        for name, steps in (("observation_delay_s", 1), ("action_delay_s", MOST_LATE)):
            delay = self.randomization.range(name)
            most = steps * self.control_dt
            if delay is not None and not 0 <= delay.low <= delay.high <= most:
                what = "control_dt" if steps == 1 else f"{steps} control steps"
                raise ValueError(f"randomization.{name} must lie between 0 and {what} ({most:g} s), not up to {delay.high:g}")
        if self.most_action_delay_s() > MOST_LATE * self.control_dt:
            raise ValueError(f"actions may come at most {MOST_LATE} control steps late, not {self.most_action_delay_s():g} s")
        if not self.sensed():
            raise ValueError("observations is empty: a policy must see something" + (" beside pictures" if self.observations else ""))

    def sensed(self) -> dict[str, SensedTerm]:
        """The entries of `observations` that make up the vector `state`, in order."""
        return {name: term for name, term in self.observations.items() if isinstance(term, SensedTerm)}

    def blind(self) -> Self:
        """This config without cameras."""
        return dataclasses.replace(self, observations=self.sensed()) if len(self.sensed()) < len(self.observations) else self

    def most_action_delay_s(self) -> float:
        """The longest delay of actions that a world may have [s]: of the table's range, or of a change (`envs.terms.changes`)."""
        table = self.randomization.range("action_delay_s")
        changes = (term.params for term in self.randomization.terms().values() if term.params.get("quantity") == "action_delay_s")
        return max(0.0 if table is None else table.high, *(float(params["high"]) for params in changes), 0.0)

    def at_full_strength(self) -> Self:
        """This config without the ramp of disturbances: what is not a first training meets all of them at once."""
        return dataclasses.replace(self, randomization=dataclasses.replace(self.randomization, disturbance_ramp=False))

    def at_rates_of(self, spec: PolicySpec) -> Self:
        """This config with what a training chooses freely and its policy depends on: rates, and the scale of actions."""
        action = self.action if self.action.scale is None else dataclasses.replace(self.action, scale=spec.action.scale[0])
        clock = {"clock_hz": spec.clock_hz, "clock_still_below": spec.clock_still_below}
        return dataclasses.replace(self, control_dt=spec.control_dt, decimation=spec.decimation, action=action, **clock)
