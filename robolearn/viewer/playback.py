"""A frozen policy file in one world, step by step, under commands that somebody else chooses: what the video and the live viewer show.

The file runs as on the robot (`PolicyFile.act`, its own memory); the world is the task's own environment with one world. The task draws no
commands here: `Playback.step(command)` says what is asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from envs.scene.terrain import TerrainCfg
from envs.tasks.reach import SUCCESS_DISTANCE, ReachEnv
from envs.tasks.registry import get_task, make_env
from envs.tasks.velocity import VelocityCfg, VelocityEnv
from envs.terms.randomization import without_randomization
from policies.contract.file import PolicyFile
from robolearn.errors import UserError
from robolearn.evaluation.evaluate import check_contract

FOREVER_S = 1e9
TAIL_S = 0.5
PUSH_SPEED = 0.8  # m/s, or rad/s of an arm's joints


@dataclass(frozen=True, slots=True)
class Sample:
    """One control step.

    Attributes:
        time_s: since the start [s].
        command: (C,), see `CommandSpec`.
        measured: what the command asks for, as it is: vx, vy [m/s] and yaw rate [rad/s] in the base frame, or the tool's x, y, z [m]; (C,).
        qpos: (nq,).
        error: planar velocity error [m/s], or distance to the goal [m].
        error_yaw: [rad/s]; 0 for an arm.
        fell: the task ended in this step and began anew.
    """

    time_s: float
    command: tuple[float, ...]
    measured: tuple[float, ...]
    qpos: np.ndarray
    error: float
    error_yaw: float
    fell: bool


class Playback:
    """One world of a policy's task.

    Attributes:
        file: the policy.
        env: the world.
    """

    def __init__(self, file: PolicyFile, engine: str = "mujoco", randomize: bool = False, seed: int = 0,
                 terrain: TerrainCfg | None = None) -> None:  # fmt: skip
        """Make the world and start.

        Args:
            file: the frozen policy; it gets a memory of its own.
            engine: physics engine.
            randomize: the task's randomization, noise, delays and pushes, instead of nominal physics and clean sensors.
            seed: of everything random.
            terrain: what a walking robot walks on; the floor where None.

        Raises:
            UserError: the task here has another contract than the file.
        """
        task = get_task(file.spec.task)
        cfg: Any = dataclasses.replace(
            task.cfg.at_rates_of(file.spec), num_worlds=1, num_threads=1, engine=engine, seed=seed, episode_s=FOREVER_S
        )
        cfg = dataclasses.replace(cfg, command=dataclasses.replace(cfg.command, hold_s=(FOREVER_S, FOREVER_S)))
        if isinstance(cfg, VelocityCfg):
            cfg = dataclasses.replace(cfg, terrain=terrain, curriculum=False)
        elif terrain is not None:
            raise UserError(f"{file.path}: task {file.spec.task} has no terrain")
        if not randomize:
            cfg = dataclasses.replace(cfg, randomization=without_randomization())
        torch.set_num_threads(1)
        self.env = make_env(file.spec.task, cfg)
        self.file = file.fork()
        if not isinstance(self.env, VelocityEnv | ReachEnv):
            raise UserError(f"{file.path}: tasks of the kind of {file.spec.task} cannot be played")
        check_contract(file, self.env)
        self._generator = np.random.default_rng(seed)
        self._steps = 0
        self.reset()

    @property
    def control_dt(self) -> float:
        """Time of a step [s]."""
        return self.env.cfg.control_dt

    @property
    def reaching(self) -> bool:
        """Whether the commands are goals of an arm."""
        return isinstance(self.env, ReachEnv)

    @property
    def time_s(self) -> float:
        """Time since the start [s]."""
        return self._steps * self.control_dt

    def reset(self) -> None:
        """Begin the episode anew; the time goes on."""
        self._observation, _ = self.env.reset()
        self.file.reset()

    def push(self) -> None:
        """Kick the base in a random direction; an arm's joints get a random speed."""
        velocity = self.env.engine.qvel.clone()
        if self.env.robot.floating_base:
            angle = self._generator.uniform(0.0, 2 * np.pi)
            velocity[0, :2] += PUSH_SPEED * torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float32)
        else:
            velocity += PUSH_SPEED * torch.tensor(self._generator.uniform(-1, 1, velocity.shape), dtype=torch.float32)
        self.env.engine.set_velocity(torch.tensor([0]), velocity)

    def step(self, command: Sequence[float]) -> Sample:
        """Advance one control step; the policy is told `command` (C,)."""
        env = self.env
        asked = torch.tensor([list(command)], dtype=torch.float32)
        if not torch.equal(env.command, asked):  # the command is no sensor: it is told without noise or delay
            env.command = asked
            env.update_state()
            self._tell(asked[0].numpy())
        action = self.file.act(self._observation[0].numpy())
        step = env.step(torch.from_numpy(action.copy())[None])
        self._observation = step.policy
        self._steps += 1
        fell = bool(step.terminated[0])
        if fell or bool(step.truncated[0]):  # or it has come to the end of the map
            self.file.reset()
            env.command = asked
            env.update_state()
            self._tell(asked[0].numpy())
        measured = self._measured()
        error = measured - asked[0].numpy()
        planar = float(np.linalg.norm(error if self.reaching else error[:2]))
        yaw = 0.0 if self.reaching else float(abs(error[2]))
        qpos = env.engine.qpos[0].numpy().copy()
        return Sample(self.time_s, tuple(float(v) for v in command), tuple(measured.tolist()), qpos, planar, yaw, fell)

    def _tell(self, command: np.ndarray) -> None:
        """Write the command into the observation that the policy is about to see."""
        start = 0
        for term in self.env.spec.observation:
            if term.name == "command":
                value = np.clip(command, -term.clip, term.clip) * term.scale
                self._observation = self._observation.clone()
                self._observation[0, start : start + term.dim] = torch.from_numpy(value)
            start += term.dim

    def _measured(self) -> np.ndarray:
        if isinstance(self.env, ReachEnv):
            return self.env.end_effector[0].numpy().copy()
        assert isinstance(self.env, VelocityEnv)
        return np.array([*self.env.velocity_b[0, :2].tolist(), float(self.env.angular_velocity_b[0, 2])])


def default_commands(file: PolicyFile) -> tuple[tuple[float, ...], ...]:
    """What a policy is asked in turn when nobody says: walk each way, turn and stand; or goals all over the workspace."""
    lower, upper = np.array(file.spec.command.lower), np.array(file.spec.command.upper)
    if file.spec.command.name == "velocity":
        shares = ((0, 0, 0), (0.6, 0, 0), (0.9, 0, 0), (0.6, 0, 0.8), (0, 0.7, 0), (0, 0, -0.9), (-0.6, 0, 0), (0, 0, 0))
        return tuple(tuple(np.where(np.array(s) >= 0, np.array(s) * upper, -np.array(s) * lower).tolist()) for s in shares)
    corners = ((0.5, 0.5, 0.6), (0.9, 0.1, 0.2), (0.9, 0.9, 0.3), (0.2, 0.8, 0.9), (0.3, 0.1, 0.8), (0.7, 0.5, 0.1), (0.1, 0.5, 0.4))
    return tuple(tuple((lower + np.array(corner) * (upper - lower)).tolist()) for corner in corners)


def errors(samples: Sequence[Sample], reaching: bool) -> dict[str, float | None]:
    """Mean errors of a run, named as in an evaluation.

    A legged robot: mean planar and yaw rate error over all steps. An arm: mean distance over the last half second of each goal, and the
    share of goals that it stayed within 2 cm of during that time.
    """
    if not reaching:
        planar, yaw = float(np.mean([s.error for s in samples])), float(np.mean([s.error_yaw for s in samples]))
        return {"velocity_error_xy": planar, "velocity_error_yaw": yaw, "distance": None, "success": None}
    ends = [i for i in range(len(samples)) if i + 1 == len(samples) or samples[i + 1].command != samples[i].command]
    tails = [_tail(samples[: end + 1]) for end in ends]
    distance = float(np.mean([np.mean(tail) for tail in tails]))
    success = float(np.mean([max(tail) < SUCCESS_DISTANCE for tail in tails]))
    return {"velocity_error_xy": None, "velocity_error_yaw": None, "distance": distance, "success": success}


def _tail(samples: Sequence[Sample]) -> list[float]:
    """Errors of the last half second, as far as the last command was held."""
    last = samples[-1]
    recent = [s for s in samples if s.time_s > last.time_s - TAIL_S]
    return [s.error for s in recent if s.command == last.command]
