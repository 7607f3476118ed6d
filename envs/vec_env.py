"""The batched environment: one class for all tasks, made of the tables of its config.

One control step: action -> joint targets (`policies.contract.observation.joint_targets`, the same arithmetic as on the robot) -> delay and
encoder offset -> D physics steps -> terminations and rewards -> commands -> observation -> reset of the worlds that ended.

A world that ends is reset within the same step (Gymnasium's SAME_STEP autoreset). `Step.final_privileged` and `Step.final_policy` are
the observations before that reset, so that a truncated episode bootstraps from the state it was truncated in.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import mujoco
import torch

from envs import screening
from envs.building import build_scene, check_base, policy_spec, rest_state, whole_scene
from envs.engines.face import Engine
from envs.engines.registry import make_engine
from envs.env_cfg import EnvCfg
from envs.late import Late
from envs.parts import Buffers, Stateful, take_tensors
from envs.robots.robot import Robot
from envs.scene.places import Places
from envs.scene.terrain import Terrain
from envs.screening import Step
from envs.seeds import torch_seed
from envs.sensing.cameras import Cameras
from envs.sensing.making import look, make_cameras, opened
from envs.tables import Tables
from envs.terms.about import About, told
from envs.terms.commands import Command
from envs.terms.conditions import Conditions, due, given
from envs.terms.disturbance import BALL, Disturbances
from envs.terms.events import Events
from envs.terms.fields import FieldRandomizer
from envs.terms.ids import actuator_ids
from envs.terms.state import BaseState, FeetState, JointState, States, ToolState, TrunkState
from envs.terms.symmetry import Block, Mirror, Symmetry, symmetry
from policies.contract.observation import ABOUT, ActionConstants, Sensors, asked_targets, clock, clock_phase, observe

log = logging.getLogger(__name__)

Rows = torch.Tensor | slice
"""Some worlds by their ids, or all."""
ALL = slice(None)
TENSORS = (
    "action", "previous_action", "target", "terminated", "episode_steps", "failure_counts",
    "joint_offset", "_observation_age", "_action_delay", "_lost",
)  # fmt: skip
"""Per-world state of the environment itself."""


class VecEnv:
    """N worlds of a task; everything is a batched tensor on `device`. Its interface for terms is `envs.terms.face.Env`.

    Attributes:
        cfg: the task's config.
        task_name: the task's name.
        robot: the robot.
        engine: the physics.
        spec: the contract of policies trained here.
        default_pose: pose that a zero action commands [rad], (J,).
        terrain: ground that is not a plane, or None.
        places: the tile that each world starts on, or None.
        commander: draws the commands.
        failure_counts: number of failures of each world since the environment was made, (N,).
        action, previous_action: raw network output of this step and the previous one, (N, J).
        target: joint targets of the last action [rad], (N, J).
        terminated: worlds whose task ended in the last step, (N,) bool.
        events: the functions in the table of randomization.
        reward_terms: weighted rewards of the last step, per second, by name, (N,) each.
        cameras: the cameras; None if the observations have none.
    """

    episode_steps: torch.Tensor

    def __init__(self, cfg: EnvCfg, robot: Robot, task_name: str) -> None:
        """Make the worlds; call `reset` before the first `step`.

        Raises:
            ValueError: the config needs something that the robot or the engine cannot do; the message names the entry.
        """
        check_base(cfg, robot)
        self.cfg, self.robot, self.task_name = cfg, robot, task_name
        self.terrain = None if cfg.terrain is None else Terrain(cfg.terrain, cfg.device)
        model = self.scene().compile()
        model.opt.timestep = cfg.control_dt / cfg.decimation
        self.engine: Engine = make_engine(cfg.engine, model, cfg.num_worlds, cfg.device, cfg.num_threads)
        self.device, self.num_worlds = self.engine.device, cfg.num_worlds
        self.generator = torch.Generator(device=self.device)
        self.generator.manual_seed(torch_seed(cfg.seed))
        self.commander = Command(self) if cfg.command is None else cfg.command.func(self, **cfg.command.params)
        self.spec = policy_spec(cfg, robot, task_name, self.commander)
        self._constants = ActionConstants.of(self.spec, self.tensor)
        self.default_pose = self._constants.default_pose
        self._actuators = actuator_ids(model, self.spec.robot.joint_names)
        self._in_order = self._actuators == list(range(model.nu))
        self.rest = rest_state(model, self.device)
        self.max_steps = round(cfg.episode_s / cfg.control_dt)
        self._everywhere = torch.arange(cfg.num_worlds, device=self.device)
        self._make_tensors()
        self.conditions: Conditions | None = None
        self.randomizer = FieldRandomizer(cfg.randomization, robot, self.engine, self.generator)
        self.disturbances = Disturbances(cfg.randomization, robot, self.engine, self.generator)
        self._draw(self._everywhere, "startup")
        self._states = States(robot, self.engine, self.terrain, self._constants, self.rest, cfg.contact_force, self.buffers)
        everywhere = not any(told(term.func).needs == "terrain" for term in cfg.curriculum.values())
        self.places = None if self.terrain is None else Places(self.terrain, cfg.num_worlds, self.generator, everywhere=everywhere)
        self._once: dict[Hashable, torch.Tensor] = {}
        self._unsound = 0  # failed worlds found by `screened`
        self.cameras: Cameras | None = make_cameras(self)
        self._tables = Tables(self)
        self._weights = self.tensor([[term.weight] for term in self._tables.rewards])
        self.events = Events(self, self._tables.made)
        self._tables.try_all()
        self.spec = opened(self.cameras, self.spec)
        self.events.startup(self._everywhere)

    def _make_tensors(self) -> None:
        """Create the per-world state."""
        n, joints = self.num_worlds, self.spec.action_dim
        self.action, self.previous_action, self.joint_offset = (torch.zeros(n, joints, device=self.device) for _ in range(3))
        self.asked, self.target = (torch.zeros(n, joints, device=self.device) for _ in range(2))
        self._observation_age, self._action_delay = (torch.zeros(n, 1, device=self.device) for _ in range(2))
        self.episode_steps, self.failure_counts = (torch.zeros(n, dtype=torch.long, device=self.device) for _ in range(2))
        self.terminated = torch.zeros(n, dtype=torch.bool, device=self.device)
        self._lost = torch.zeros(n, dtype=torch.bool, device=self.device)  # worlds with an invalid present observation
        self._previous: torch.Tensor | None = None  # the clean observation of the previous step, (N, O)
        self.buffers = Buffers(n, self.device)
        self._late = Late(self.cfg.most_action_delay_s() / self.cfg.control_dt, joints, self.buffers)
        self.reward_terms: dict[str, torch.Tensor] = {}
        terms = self.spec.terms
        self._noise = torch.cat([torch.full((t.dim,), t.noise * t.scale, device=self.device) for t in terms])
        self._noise *= self.cfg.randomization.noise
        self._aging = torch.cat([torch.full((t.dim,), float(t.delay_s > 0), device=self.device) for t in terms])

    # what terms read -------------------------------------------------------------------------------------------------

    @property
    def joints(self) -> JointState:
        """State of the joints."""
        return self._states.joints

    @property
    def base(self) -> BaseState:
        """State of the base; ValueError for a robot whose base is fixed."""
        return self._states.base

    @property
    def trunk(self) -> TrunkState:
        """State of the trunk; ValueError for a robot whose base is fixed."""
        return self._states.trunk

    @property
    def feet(self) -> FeetState:
        """State of the feet; ValueError for a robot without."""
        return self._states.feet

    @property
    def tool(self) -> ToolState:
        """State of the tool; ValueError for a robot without."""
        return self._states.tool

    @property
    def joint_position(self) -> torch.Tensor:
        """True joint positions [rad], (N, J)."""
        return self.joints.position

    @property
    def joint_velocity(self) -> torch.Tensor:
        """True joint velocities [rad/s], (N, J)."""
        return self.joints.velocity

    @property
    def command(self) -> torch.Tensor:
        """The commands, (N, C); a new tensor when they change."""
        return self.commander.value

    @property
    def phase(self) -> torch.Tensor:
        """Phase of the gait's clock [rad], (N,)."""
        return self.once("phase", lambda: clock_phase(self.episode_steps, self.spec))

    def once(self, key: Hashable, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """A value that is computed at its first use in a step and then shared under its key."""
        if key not in self._once:
            self._once[key] = compute()
        return self._once[key]

    def buffer(self, name: str, shape: tuple[int, ...] = (), dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """A tensor (N, *shape) of zeros that is saved and restored with the training; change it in place."""
        return self.buffers.new(name, shape, dtype)

    def tensor(self, values: Any) -> torch.Tensor:
        """A float32 tensor on the environment's device."""
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def robot_mass(self) -> torch.Tensor:
        """Mass of each world's robot with its payload, without a thrown object [kg], (N,)."""
        mass = self.engine.field("body_mass")
        ball = mujoco.mj_name2id(self.engine.model, mujoco.mjtObj.mjOBJ_BODY, BALL)
        return mass.sum(1) if ball < 0 else mass.sum(1) - mass[:, ball]

    def scene(self) -> mujoco.MjSpec:
        """A fresh copy of the scene: the robot, its ground, and a ball if balls are thrown."""
        return whole_scene(self.cfg, self.robot, self.terrain)

    def build_scene(self) -> mujoco.MjSpec:
        """The same without the ball."""
        return build_scene(self.cfg, self.robot, self.terrain)

    # commands --------------------------------------------------------------------------------------------------------

    def hold_command(self, values: torch.Tensor, ids: torch.Tensor | None = None) -> None:
        """Hold `values` (n, C) or (C,) in the worlds `ids` (n,), by default all, until `release_command`, also over resets."""
        self.commander.hold(values, ids)
        self._once.clear()

    def release_command(self, ids: torch.Tensor | None = None) -> None:
        """Draw new commands for the worlds `ids` (n,), by default all, and continue to draw on time."""
        self.commander.release(ids)
        self._once.clear()

    # sensing ---------------------------------------------------------------------------------------------------------

    def sensors(self, rows: Rows = ALL) -> Sensors:
        """Present sensor readings of the worlds `rows`, with encoder offsets, without noise and delay. Some are views of the present
        state.
        """
        qpos, qvel, floating = self.engine.qpos[rows], self.engine.qvel[rows], self.robot.floating_base
        return Sensors(
            joint_position=qpos[:, self.joints.in_qpos] + self.joint_offset[rows],
            joint_velocity=qvel[:, self.joints.in_qvel],
            command=self.command[rows],
            last_action=self.action[rows],
            imu_quat_wxyz=qpos[:, 3:7] if floating else None,
            imu_angular_velocity_b=qvel[:, 3:6] if floating else None,
            joint_target=self.target[rows],
            clock=clock(self.phase[rows, None], self.command[rows], self.spec) if self.spec.clock_hz else None,
        )

    def observe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The policy's observation (N, O), with fresh noise, and the privileged one (N, P) of the present state."""
        return self._observe()[:2]

    def privileged_extras(self) -> torch.Tensor:
        """The privileged observation without the clean observation at its beginning, (N, E)."""
        values = [term.compute() for term in self._tables.privileged]
        if not values:
            return torch.zeros(self.num_worlds, 0, device=self.device)
        return torch.cat([value if value.dim() == 2 else value[:, None] for value in values], dim=1)

    def _observe(self, rows: Rows = ALL) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Both observations of the worlds `rows`, and the policy's without noise and delay."""
        clean = observe(self.sensors(rows), self.spec, self.default_pose)
        privileged = torch.cat([clean, self.privileged_extras()[rows]], dim=1)
        given = clean
        if self._previous is not None:
            given = torch.addcmul(clean, (self._previous[rows] - clean) * self._aging, self._observation_age[rows])
        if self.cfg.randomization.noise > 0:
            unit = torch.rand(given.shape, generator=self.generator, device=self.device)
            given = torch.addcmul(given, unit.mul_(2).sub_(1), self._noise)
        return given.clone() if given is clean else given, privileged, clean

    def symmetry(self) -> Symmetry:
        """The task's left-right symmetry, or why it has none."""
        policy = [Block(term.name, term.dim, About(mirror=ABOUT[term.name].mirror)) for term in self.spec.terms]  # pyright: ignore
        extras = [Block(term.name, term.dim, term.about) for term in self._tables.privileged]
        return symmetry(self, policy, extras, self.commander.mirror)

    def mirror(self) -> dict[str, Mirror] | None:
        """Left-right reflection of `policy`, `privileged` and `action` vectors; None for a task without that symmetry."""
        return dict(self.symmetry().mirrors) or None

    # stepping --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def reset(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Reset all worlds. Returns the policy's observation (N, O) and the privileged one (N, P)."""
        self._reset_worlds(self._everywhere)
        self.moved()
        self._previous = None
        policy, privileged, clean = self._observe()
        policy, privileged = self._usable(self._everywhere, policy, privileged)
        self._previous = screening.zeroed(clean)
        look(self, self._everywhere)
        return policy, privileged

    def start_spread(self) -> tuple[torch.Tensor, torch.Tensor]:
        """As `reset`, with episodes spread over their length, so that worlds do not end together."""
        first = self.reset()
        self.episode_steps[:] = torch.randint(0, self.max_steps, (self.num_worlds,), generator=self.generator, device=self.device)
        self._once.clear()
        return first

    def reseed(self, seed: int) -> None:
        """Make everything after the next `reset` a function of the seed, including draws once per world."""
        self.generator.manual_seed(torch_seed(seed))
        self.events.undo()
        self.randomizer.startup()
        self._draw(self._everywhere, "startup")
        self.episode_steps[:] = 0
        for part in self.parts().values():
            part.restart()
        if self.cameras is not None:
            self.cameras.reseed(seed)
        self.events.startup(self._everywhere)

    @torch.no_grad()
    def step(self, action: torch.Tensor) -> Step:
        """Advance one control step with raw actions (N, J)."""
        self.previous_action, self.action = self.action, action.clone()  # the caller may overwrite its tensor
        self._act()
        self.episode_steps += 1
        self.moved()
        failed = self.engine.failures()
        some_failed = bool(failed.any())
        if some_failed:  # if a policy's NaN caused the failure, it must not stay in the last action and the target
            self.action, self.asked, self.target = (screening.zeroed(x) for x in (self.action, self.asked, self.target))
        terminated, truncated = self._ended(failed)
        self.terminated = terminated.clone()
        self._states.count(self.cfg.control_dt)
        self._tables.update()
        reward = self._reward(failed if some_failed else None)
        if self.commander.advance(self.cfg.control_dt):
            self._once.clear()
        final_policy, final_privileged, clean = self._observe()
        policy, privileged = final_policy, final_privileged
        ids = (terminated | truncated).nonzero()[:, 0]
        if len(ids):
            first = self._start_anew(ids)
            policy, privileged, clean = (now.index_copy(0, ids, new) for now, new in zip((policy, privileged, clean), first, strict=True))
        self._previous = clean
        self.disturbances.advance(self.cfg.control_dt)
        self.events.advance(self.cfg.control_dt)
        self.failure_counts += failed
        step = self.screened(Step(policy, privileged, reward, terminated, truncated, final_policy, final_privileged, failed))
        look(self, self._everywhere)
        return step

    def _ended(self, failed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Worlds (N,) bool whose task ended, including failed ones, and worlds whose episode is truncated."""
        terminated = failed.clone()
        for ends in self._tables.ends.values():
            terminated |= ends()
        truncated = torch.zeros_like(failed)
        for cuts in self._tables.cuts.values():
            truncated |= cuts()
        return terminated, truncated & ~terminated

    def _reward(self, failed: torch.Tensor | None) -> torch.Tensor:
        """The reward (N,) of the present step; zero for failed worlds."""
        if not self._tables.rewards:
            return torch.zeros(self.num_worlds, device=self.device)
        terms = torch.stack([term.compute() for term in self._tables.rewards]) * self._weights
        self.reward_terms = {term.name: value for term, value in zip(self._tables.rewards, terms, strict=True)}
        reward = terms.sum(0) * self.cfg.control_dt
        return reward if failed is None else torch.where(failed, torch.zeros_like(reward), reward)

    @torch.no_grad()
    def screened(self, step: Step) -> Step:
        """The step with only finite numbers: a world with one that is not finite has failed, and is counted and reset.

        `step` does this with its result; callers that change a step before learning from it must do it again.
        """
        if screening.is_sound(step) and not bool(self._lost.any()):
            return step
        bad = screening.unsound_worlds(step)
        fresh = bad & ~step.failed
        before, count = self._unsound, int(fresh.sum())
        self._unsound += count
        extras = [(term.name, term.dim) for term in self._tables.privileged]
        if count and (not before or len(str(before)) < len(str(self._unsound))):  # reported less often the more there were
            log.warning("%s; they are reset", screening.describe(step, fresh, self.spec, self.reward_terms, extras))
        bad |= self._lost
        self.failure_counts += bad & ~step.failed
        ids = bad.nonzero()[:, 0]
        policy, privileged = step.policy.clone(), step.privileged.clone()
        policy[ids], privileged[ids], _ = self._start_anew(ids)
        self._previous = privileged[:, : self.spec.observation_dim].clone()
        self.reward_terms = {name: value.masked_fill(bad, 0.0) for name, value in self.reward_terms.items()}
        look(self, ids)
        return dataclasses.replace(screening.failed(step, bad), policy=policy, privileged=privileged)

    @property
    def images(self) -> Mapping[str, torch.Tensor]:
        """What cameras show of the present state, by the entry's name, (N, height, width, channels); later steps leave it as it is."""
        return {} if self.cameras is None else dict(self.cameras.pictures)

    @property
    def failure_count(self) -> int:
        """Number of failed worlds since the environment was made, by physics or a number that is not finite."""
        return int(self.failure_counts.sum())

    def reward_means(self) -> dict[str, float]:
        """Mean over worlds of each reward term of the last step, per second."""
        return {name: float(value.mean()) for name, value in self.reward_terms.items()}

    def task_metrics(self) -> dict[str, float]:
        """Figures of the present step for the log, as means over worlds."""
        return {name: float(compute().mean()) for name, compute in self._tables.metrics.items()}

    def moved(self) -> None:
        """Drop derived state after the physics or the episodes have changed; call it after changing them by hand."""
        self._once.clear()
        self._states.forget()

    def _usable(self, ids: torch.Tensor, policy: torch.Tensor, privileged: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """First observations of worlds `ids`. If one is not finite it is zeros, and the world counts as failed until its next reset."""
        self._lost[ids] = lost = ~(screening.sound(policy).all(1) & screening.sound(privileged).all(1))
        return (screening.zeroed(policy), screening.zeroed(privileged)) if bool(lost.any()) else (policy, privileged)

    def _start_anew(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Reset worlds `ids`. Returns their first observations like `_observe`, without history."""
        self._reset_worlds(ids)
        self.moved()
        self._previous = None
        policy, privileged, clean = self._observe(ids)
        return *self._usable(ids, policy, privileged), screening.zeroed(clean)

    def _act(self) -> None:
        """Advance the physics with targets that take effect after each world's delay, see `envs.late`."""
        self.asked = asked_targets(self.action, self.target, self.spec, self._constants)
        new = self.asked.clip(self._constants.lower, self._constants.upper)
        switching = self.cfg.decimation if self.engine.switches_controls else 0
        ctrl = self._late.controls(new, self.target, self._action_delay, switching)
        ctrl = ctrl - self.joint_offset[:, None]
        if not self._in_order:
            mine, ctrl = ctrl, torch.zeros(*ctrl.shape[:2], self.engine.model.nu, device=self.device)
            ctrl[..., self._actuators] = mine
        self.engine.step(ctrl, substeps=self.cfg.decimation // ctrl.shape[1])
        self.target = new

    def _reset_worlds(self, ids: torch.Tensor) -> None:
        if self.conditions is not None:
            self.conditions.draw(ids)
        known = ids[self.episode_steps[ids] > 0]
        succeeded = (self.episode_steps >= self.max_steps if self._tables.success is None else self._tables.success())[known]
        self.disturbances.ramp(known, succeeded)
        self.randomizer.reset(ids)
        self._draw(ids, "reset")
        self.events.reset(ids)
        self.disturbances.reset(ids)
        qpos, qvel = self._tables.reset(ids)
        if len(known):
            for change in self._tables.curriculum.values():
                change(known, succeeded)
        if self.places is not None:
            if self.conditions is not None and self.conditions.place:
                self.places.put(ids, *self.conditions.tile(ids, *self.places.terrain.origins.shape[:2]))
            qpos[:, :3] += self.places.place(ids)
        self._states.reset(ids)
        self._tables.forget(ids)
        self.engine.write_state(ids, qpos, qvel)
        self.episode_steps[ids] = 0
        self.action, self.previous_action = self.action.index_fill(0, ids, 0.0), self.previous_action.index_fill(0, ids, 0.0)
        self.target = self.target.index_copy(0, ids, qpos[:, self.joints.in_qpos] + self.joint_offset[ids])
        self._late.begin(ids, self.target[ids])
        self.commander.sample(ids)

    def _draw(self, ids: torch.Tensor, when: str) -> None:
        """Entries of the randomization table that are not model fields."""
        for name, (buffer, unit) in self.unwritten().items():
            if (entry := self.cfg.randomization.range(name)) is not None and due(entry.when, name, when, self.conditions):
                drawn = entry.sample((len(ids), buffer.shape[1]), self.generator)
                buffer[ids] = given(name, ids, drawn, when, self.conditions) / unit

    def unwritten(self) -> dict[str, tuple[torch.Tensor, float]]:
        """Quantities that are not model fields: values of each world (N, k), in a unit."""
        step = self.cfg.control_dt
        age, delay = self._observation_age, self._action_delay
        return {"joint_offset": (self.joint_offset, 1.0), "observation_delay_s": (age, step), "action_delay_s": (delay, step)}

    # state -----------------------------------------------------------------------------------------------------------

    def parts(self) -> dict[str, Stateful]:
        """Parts whose state outlasts an episode, for `envs.snapshot`."""
        parts: dict[str, Stateful | None] = {"disturbances": self.disturbances, "places": self.places,
                                            "conditions": self.conditions, "cameras": self.cameras}  # fmt: skip
        return {name: part for name, part in parts.items() if part is not None}

    def meet(self, conditions: Conditions | None) -> None:
        """Use conditions in place of the tables' draws, from each world's next reset; None for none."""
        self.conditions = self.commander.conditions = self.randomizer.conditions = self.disturbances.conditions = conditions

    def world_state(self) -> dict[str, torch.Tensor]:
        """The per-world state of the environment itself, on the CPU."""
        state = {name: getattr(self, name).cpu().clone() for name in TENSORS}
        return state if self._previous is None else state | {"_previous": self._previous.cpu().clone()}

    def load_world_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore the result of `world_state`; ValueError if its shapes differ."""
        take_tensors(self, TENSORS, state)
        self._previous = state["_previous"].to(self.device).clone() if "_previous" in state else None
        self.moved()
