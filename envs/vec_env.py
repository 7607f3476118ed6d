"""The batched environment: what all tasks share, from action to observation.

One control step: action -> joint targets (`policies.contract.observation.joint_targets`, the same arithmetic as on the robot) -> delay and
encoder offset -> D physics steps -> terminations and rewards of the task -> reset of the worlds that ended -> observation.

A world that ends is reset within the same step (Gymnasium's SAME_STEP autoreset). `Step.final_privileged` and `Step.final_policy` are
the observations before that reset, so that a truncated episode bootstraps from the state it was truncated in.
"""

from __future__ import annotations

import dataclasses
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

import mujoco
import numpy as np
import torch

from envs import screening
from envs.engines.face import Engine
from envs.engines.registry import make_engine
from envs.robots.robot import Robot
from envs.screening import Step
from envs.terms.disturbance import BALL, Disturbances, add_ball
from envs.terms.randomization import FieldRandomizer, RandomizationCfg, Range
from envs.terms.symmetry import Mirror
from policies.contract.observation import ActionConstants, Sensors, clock_phase, joint_targets, observe
from policies.contract.spec import ActionSpec, CommandSpec, ObservationTerm, PolicySpec

log = logging.getLogger(__name__)

MOST = 2**31 - 1
"""Of worlds and the like: what the physics counts with."""
MOST_THREADS = 4096
Rows = torch.Tensor | slice
"""Some worlds by their ids, or all of them."""


def torch_seed(seed: int) -> int:
    """A seed for torch's generators of any whole number from zero up: itself, or drawn from it where it has more than 63 bits.

    Raises:
        ValueError: it is negative.
    """
    seed = int(seed)
    if seed < 0:
        raise ValueError(f"seed must not be negative, is {seed}")
    return seed if seed < 2**63 else int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(1))


@dataclass(frozen=True, kw_only=True)
class EnvCfg:
    """What every task has.

    Attributes:
        num_worlds: worlds stepped together, N.
        engine: physics engine.
        device: `cpu`, or `cuda` with the warp engine.
        num_threads: simulation threads, 0 for all cores.
        seed: of everything random in the environment.
        control_dt: time between actions [s].
        decimation: physics steps a control step.
        episode_s: length after which an episode is truncated [s].
        randomization: see `envs.terms.randomization`.
    """

    num_worlds: int = 1024
    engine: Literal["mujoco", "warp", "precise", "drake"] = "mujoco"
    device: str = "cpu"
    num_threads: int = 0
    seed: int = 0
    control_dt: float = 0.02
    decimation: int = 4
    episode_s: float = 20.0
    randomization: RandomizationCfg = field(default_factory=RandomizationCfg)

    def __post_init__(self) -> None:
        for name, least, most in (("num_worlds", 1, MOST), ("decimation", 1, MOST), ("num_threads", 0, MOST_THREADS)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {most}, not {getattr(self, name)}")
        torch_seed(self.seed)
        for name in ("control_dt", "episode_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if not 1 <= self.episode_s / self.control_dt < 2**53:
            raise ValueError(f"episode_s must be one control_dt ({self.control_dt:g} s) or more, and countable, not {self.episode_s:g}")
        for name in ("observation_delay_s", "action_delay_s"):
            delay: Range | None = getattr(self.randomization, name)
            if delay is not None and not 0 <= delay.low <= delay.high <= self.control_dt:
                raise ValueError(
                    f"randomization.{name} must lie between 0 and control_dt ({self.control_dt:g} s), not up to {delay.high:g}"
                )

    def at_full_strength(self) -> Self:
        """This config without the ramp of disturbances: what is not a first training meets all of them at once."""
        return dataclasses.replace(self, randomization=dataclasses.replace(self.randomization, disturbance_ramp=False))

    def at_rates_of(self, spec: PolicySpec) -> Self:
        """This config with what a training chooses freely and its policy depends on: rates, and the scale of actions."""
        return dataclasses.replace(self, control_dt=spec.control_dt, decimation=spec.decimation)


class Stateful(Protocol):
    """A part of an environment whose state goes into a checkpoint."""

    def restart(self) -> None:
        """Begin anew, with fresh draws, as after construction."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """What its future depends on, on the CPU."""
        ...

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go back to what `state` gave."""
        ...


class VecEnv(ABC):
    """N worlds of a task. Tasks implement the abstract methods; everything is a batched tensor on `device`.

    Attributes:
        cfg: the task's config.
        robot: the robot.
        engine: the physics.
        spec: the contract that policies trained here carry.
        command: (N, C).
        failure_counts: how often each world failed since the environment was made, (N,).
        action: the last action of each world (raw network output), (N, J).
    """

    clock_hz: float = 0.0

    def __init__(self, cfg: EnvCfg, robot: Robot, task_name: str) -> None:
        self.cfg, self.robot, self.task_name = cfg, robot, task_name
        if not robot.floating_base:
            for name in ("push_velocity", "external_force", "thrown_mass"):
                if getattr(cfg.randomization, name) is not None:
                    raise ValueError(f"randomization.{name} is for robots that walk; {robot.name} stands on a fixed base")
        model = self.scene().compile()
        model.opt.timestep = cfg.control_dt / cfg.decimation
        self.engine: Engine = make_engine(cfg.engine, model, cfg.num_worlds, cfg.device, cfg.num_threads)
        self.device = self.engine.device
        self.num_worlds = cfg.num_worlds
        self.generator = torch.Generator(device=self.device)
        self.generator.manual_seed(torch_seed(cfg.seed))
        self._reward_terms: dict[str, torch.Tensor] = {}

        joints = len(robot.joints)
        self.qpos_ids = torch.tensor([int(model.joint(name).qposadr[0]) for name in robot.joints], device=self.device)
        self.dof_ids = torch.tensor([int(model.joint(name).dofadr[0]) for name in robot.joints], device=self.device)
        self._joint_slice = _contiguous(self.qpos_ids), _contiguous(self.dof_ids)
        self.spec = self.make_spec()
        self._constants = ActionConstants.of(self.spec, self.tensor)
        self.default_pose = self._constants.default_pose
        self._noise = torch.cat([torch.full((t.dim,), t.noise * t.scale, device=self.device) for t in self.spec.observation])
        self._noise *= cfg.randomization.noise

        n = self.num_worlds
        self.action = torch.zeros(n, joints, device=self.device)
        self.previous_action = torch.zeros_like(self.action)
        self.target = torch.zeros_like(self.action)
        self._substeps = torch.arange(cfg.decimation, device=self.device)
        self.command = torch.zeros(n, self.num_commands, device=self.device)
        self.episode_steps = torch.zeros(n, dtype=torch.long, device=self.device)
        self.max_steps = round(cfg.episode_s / cfg.control_dt)
        self.joint_offset = torch.zeros(n, joints, device=self.device)
        self._observation_age = torch.zeros(n, 1, device=self.device)
        self._action_delay = torch.zeros(n, 1, device=self.device)
        self.randomizer = FieldRandomizer(cfg.randomization, robot, self.engine, self.generator)
        self._everywhere = torch.arange(n, device=self.device)
        self.failure_counts = torch.zeros(n, dtype=torch.long, device=self.device)
        self._unsound = 0  # worlds that `screened` found
        self._lost = torch.zeros(n, dtype=torch.bool, device=self.device)  # whose present observation is worth nothing
        self.disturbances = Disturbances(self)
        self._draw_startup()
        self._previous: torch.Tensor | None = None  # the clean observation of the step before, (N, O)
        self._aging = torch.cat([torch.full((t.dim,), float(t.delay_s > 0), device=self.device) for t in self.spec.observation])

    # what a task says ------------------------------------------------------------------------------------------------

    def scene(self) -> mujoco.MjSpec:
        """A fresh copy of the scene: the robot, what it stands on, and a ball if one is thrown."""
        spec = self.build_scene()
        if self.cfg.randomization.thrown_mass is not None:
            add_ball(spec)
        return spec

    def build_scene(self) -> mujoco.MjSpec:
        """The robot and what it stands on: by default a floor."""
        return self.robot.scene()

    @property
    @abstractmethod
    def num_commands(self) -> int:
        """C."""

    @abstractmethod
    def observation_terms(self) -> tuple[ObservationTerm, ...]:
        """The terms of the policy's observation, in order."""

    @abstractmethod
    def action_spec(self) -> ActionSpec:
        """The action law."""

    @abstractmethod
    def command_spec(self) -> CommandSpec:
        """The command's meaning and range."""

    @abstractmethod
    def reset_worlds(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Initial qpos (n, nq), qvel (n, nv) of worlds `ids`; also clears the task's own per-world buffers."""

    @abstractmethod
    def resample_commands(self, ids: torch.Tensor) -> None:
        """Draw new commands for worlds `ids`."""

    @abstractmethod
    def update_state(self) -> None:
        """Derive what rewards and observations share from qpos, qvel, sensordata; called after physics and after resets."""

    @abstractmethod
    def rewards(self, terminated: torch.Tensor) -> dict[str, torch.Tensor]:
        """Weighted reward terms (N,) a second, of a step that ended the task in the worlds `terminated` (N,)."""

    @abstractmethod
    def terminations(self) -> torch.Tensor:
        """Worlds (N,) bool whose task has ended."""

    def truncations(self) -> torch.Tensor:
        """Worlds (N,) bool whose episode is over without the task having ended: by default those whose time is up."""
        return self.episode_steps >= self.max_steps

    def succeeded(self) -> torch.Tensor:
        """Worlds (N,) bool whose episode, if it ended now, would have gone well; what makes the next one harder."""
        return self.episode_steps >= self.max_steps

    @abstractmethod
    def privileged_extras(self) -> torch.Tensor:
        """What only the simulator knows (N, E), beside the clean observation."""

    def task_metrics(self) -> dict[str, float]:
        """Figures of the present step that people read, means over worlds."""
        return {}

    def mirror(self) -> dict[str, Mirror] | None:
        """Left-right reflection of `policy`, `privileged` and `action` vectors; None for a task without that symmetry."""
        return None

    def update_timers(self) -> None:  # noqa: B027 (a hook that some tasks leave empty)
        """Called each step before the rewards, for what the task counts."""

    @abstractmethod
    def advance_commands(self) -> None:
        """Called each step after the rewards: draw new commands for worlds whose time has come."""

    def parts(self) -> dict[str, Stateful]:
        """What has a state of its own, for `envs.snapshot`."""
        return {"disturbances": self.disturbances}

    # the contract ----------------------------------------------------------------------------------------------------

    def make_spec(self) -> PolicySpec:
        """The contract of this task with this configuration."""
        return PolicySpec(
            task=self.task_name,
            robot=self.robot.spec(),
            observation=self.observation_terms(),
            action=self.action_spec(),
            command=self.command_spec(),
            control_dt=self.cfg.control_dt,
            decimation=self.cfg.decimation,
            clock_hz=self.clock_hz,
        )

    def tensor(self, values: tuple[float, ...] | list[float] | list[list[float]]) -> torch.Tensor:
        """A float32 tensor on the environment's device."""
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    # sensing ---------------------------------------------------------------------------------------------------------

    @property
    def joint_position(self) -> torch.Tensor:
        """True joint positions [rad], (N, J)."""
        return self.engine.qpos[:, self._joint_slice[0]]

    @property
    def joint_velocity(self) -> torch.Tensor:
        """True joint velocities [rad/s], (N, J)."""
        return self.engine.qvel[:, self._joint_slice[1]]

    def sensors(self) -> Sensors:
        """What the robot senses now: encoder offsets on, noise and delay off. In part views of the present state."""
        floating = self.robot.floating_base
        return Sensors(
            joint_position=self.joint_position + self.joint_offset,
            joint_velocity=self.joint_velocity,
            command=self.command,
            last_action=self.action,
            imu_quat_wxyz=self.engine.qpos[:, 3:7] if floating else None,
            imu_angular_velocity_b=self.engine.qvel[:, 3:6] if floating else None,
            joint_target=self.target,
            clock=self._clock() if self.spec.clock_hz else None,
        )

    def robot_mass(self) -> torch.Tensor:
        """Mass of each world's robot with its payload, without an object that is thrown [kg], (N,)."""
        mass = self.engine.field("body_mass")
        ball = mujoco.mj_name2id(self.engine.model, mujoco.mjtObj.mjOBJ_BODY, BALL)
        return mass.sum(1) if ball < 0 else mass.sum(1) - mass[:, ball]

    def _clock(self) -> torch.Tensor:
        self.phase = clock_phase(self.episode_steps, self.spec)
        return torch.stack([torch.sin(self.phase), torch.cos(self.phase)], dim=1)

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The policy's observation (N, O), with fresh noise, and the privileged one (N, P) of the present state."""
        return self._observe(self.sensors(), slice(None))

    def _observe(self, now: Sensors, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Both observations of the worlds `rows`, whose readings are `now`."""
        clean = observe(now, self.spec, self.default_pose)
        privileged = torch.cat([clean, self.privileged_extras()[rows]], dim=1)
        given = clean
        if self._previous is not None:
            given = torch.addcmul(clean, (self._previous[rows] - clean) * self._aging, self._observation_age[rows])
        if self.cfg.randomization.noise > 0:
            unit = torch.rand(given.shape, generator=self.generator, device=self.device)
            given = torch.addcmul(given, unit.mul_(2).sub_(1), self._noise)
        return given, privileged

    # stepping --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def reset(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Start all worlds anew. Returns the policy's observation (N, O) and the privileged one (N, P)."""
        self._reset_worlds(self._everywhere)
        self.update_state()
        self._previous = None
        policy, privileged = self._usable(self._everywhere, *self.observe())
        self._previous = privileged[:, : self.spec.observation_dim].clone()
        return policy, privileged

    def start_spread(self) -> tuple[torch.Tensor, torch.Tensor]:
        """As `reset`, with episodes spread over their length, so that worlds do not end together."""
        first = self.reset()
        self.episode_steps[:] = torch.randint(0, self.max_steps, (self.num_worlds,), generator=self.generator, device=self.device)
        return first

    def reseed(self, seed: int) -> None:
        """Make all that follows the next `reset` a function of the seed, what is drawn once a world included, whatever was before."""
        self.generator.manual_seed(torch_seed(seed))
        self.randomizer.startup()
        self._draw_startup()
        self.episode_steps[:] = 0
        for part in self.parts().values():
            part.restart()

    @torch.no_grad()
    def step(self, action: torch.Tensor) -> Step:
        """Advance one control step with raw actions (N, J)."""
        self.previous_action, self.action = self.action, action
        self._act(action)
        self.episode_steps += 1
        self.update_state()
        failed = self.engine.failures()
        some_failed = bool(failed.any())
        if some_failed:  # where a policy's NaN made it fail, it must not live on in the last action and the target
            self.action, self.target = screening.zeroed(self.action), screening.zeroed(self.target)
        terminated = self.terminations() | failed
        truncated = self.truncations() & ~terminated
        self.update_timers()
        self._reward_terms = self.rewards(terminated)
        reward = torch.stack(list(self._reward_terms.values())).sum(0) * self.cfg.control_dt
        if some_failed:
            reward = torch.where(failed, torch.zeros_like(reward), reward)
        self.advance_commands()
        final_policy, final_privileged = self.observe()
        policy, privileged = final_policy, final_privileged
        ids = (terminated | truncated).nonzero()[:, 0]
        if len(ids):
            policy, privileged = final_policy.clone(), final_privileged.clone()
            policy[ids], privileged[ids] = self._start_anew(ids)
        self._previous = privileged[:, : self.spec.observation_dim]
        self.disturbances.advance(self.cfg.control_dt)
        self.failure_counts += failed
        return self.screened(Step(policy, privileged, reward, terminated, truncated, final_policy, final_privileged, failed))

    @torch.no_grad()
    def screened(self, step: Step) -> Step:
        """A step in which every number is finite: a world that has one that is not has failed, and is counted and reset.

        `step` does this with what it returns; who changes a step before learning from it does it again.
        """
        if screening.is_sound(step) and not bool(self._lost.any()):
            return step
        bad = screening.unsound_worlds(step)
        fresh = bad & ~step.failed
        before, count = self._unsound, int(fresh.sum())
        self._unsound += count
        if count and (not before or len(str(before)) < len(str(self._unsound))):  # the more there were, the less often it is said
            log.warning("%s; they are reset", screening.describe(step, fresh, self.spec, self._reward_terms))
        bad |= self._lost
        self.failure_counts += bad & ~step.failed
        ids = bad.nonzero()[:, 0]
        policy, privileged = step.policy.clone(), step.privileged.clone()
        policy[ids], privileged[ids] = self._start_anew(ids)
        self._previous = privileged[:, : self.spec.observation_dim]
        self._reward_terms = {name: value.masked_fill(bad, 0.0) for name, value in self._reward_terms.items()}
        return dataclasses.replace(screening.failed(step, bad), policy=policy, privileged=privileged)

    @property
    def failure_count(self) -> int:
        """How often a world failed since the environment was made: its physics, or a number that was not finite."""
        return int(self.failure_counts.sum())

    def _usable(self, ids: torch.Tensor, policy: torch.Tensor, privileged: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """First observations of worlds `ids`. Where one is not finite there are zeros, and the world is lost until it starts anew."""
        self._lost[ids] = ~(screening.sound(policy).all(1) & screening.sound(privileged).all(1))
        return (screening.zeroed(policy), screening.zeroed(privileged)) if bool(self._lost[ids].any()) else (policy, privileged)

    def _start_anew(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Reset worlds `ids`. Returns their first observations, which have no past."""
        self._reset_worlds(ids)
        self.update_state()
        sensors = self.sensors()
        readings = {f.name: getattr(sensors, f.name) for f in dataclasses.fields(Sensors)}
        self._previous = None
        now = Sensors(**{name: None if value is None else value[ids] for name, value in readings.items()})
        return self._usable(ids, *self._observe(now, ids))

    def reward_means(self) -> dict[str, float]:
        """Mean over worlds of each reward term of the last step, a second."""
        return {name: float(value.mean()) for name, value in self._reward_terms.items()}

    def _act(self, action: torch.Tensor) -> None:
        """Advance the physics with targets that take effect after each world's delay.

        In training the two targets are mixed by their shares of the step, a fractional delay like that of the readings: one call of
        the engine, whose every call copies all worlds in and out. The precise engines switch between them, at the nearest substep.
        """
        new = joint_targets(action, self.target, self.spec, self._constants)
        if self.engine.switches_controls:
            late = (self._substeps + 0.5 < self._action_delay * self.cfg.decimation)[..., None]  # (N, D, 1)
            ctrl = torch.where(late, self.target[:, None], new[:, None])
        else:
            ctrl = torch.lerp(new, self.target, self._action_delay)[:, None]
        self.engine.step(ctrl - self.joint_offset[:, None], substeps=self.cfg.decimation // ctrl.shape[1])
        self.target = new

    def _reset_worlds(self, ids: torch.Tensor) -> None:
        known = ids[self.episode_steps[ids] > 0]
        self.disturbances.ramp(known, self.succeeded()[known])
        self.randomizer.reset(ids)
        self._draw(ids, "reset")
        self.disturbances.reset(ids)
        qpos, qvel = self.reset_worlds(ids)
        self.engine.write_state(ids, qpos, qvel)
        self.episode_steps[ids] = 0
        self.action = self.action.clone()
        self.action[ids] = 0.0
        self.previous_action = self.previous_action.clone()  # it may be the caller's tensor
        self.previous_action[ids] = 0.0
        self.target = self.target.clone()
        self.target[ids] = qpos[:, self._joint_slice[0]] + self.joint_offset[ids]
        self.resample_commands(ids)

    def _draw_startup(self) -> None:
        self._draw(self._everywhere, "startup")

    def _draw(self, ids: torch.Tensor, when: str) -> None:
        """Entries of the randomization table that are no model field."""
        table = self.cfg.randomization
        step = self.cfg.control_dt
        for entry, buffer, unit in (
            (table.joint_offset, self.joint_offset, 1.0),
            (table.observation_delay_s, self._observation_age, step),
            (table.action_delay_s, self._action_delay, step),
        ):
            if entry is not None and entry.when == when:
                buffer[ids] = entry.sample((len(ids), buffer.shape[1]), self.generator) / unit


def uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Draw uniformly from [low, high]."""
    return Range(low=low, high=high).sample(shape, generator)


def _contiguous(ids: torch.Tensor) -> slice | torch.Tensor:
    """The ids as a slice where they are one run: a view instead of a copy."""
    first = int(ids[0])
    run = torch.arange(first, first + len(ids), device=ids.device)
    return slice(first, first + len(ids)) if torch.equal(ids, run) else ids
