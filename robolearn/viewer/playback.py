"""Runs a policy file, or a controller, in one world, step by step, under given commands, for videos and the live viewer.

A file runs as on the robot, with its own memory; the world is that of its training. The task draws no commands
here: `Playback.step(command)` gives the command, and the task's evaluation defines the measurements.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from envs.robots.robot import Robot
from envs.scene.terrain import TerrainCfg
from envs.tasks.registry import get_task, make_env
from envs.tasks.scaling import factor
from envs.terms.nominal import nothing_varies
from policies.contract.spec import CommandSpec
from robolearn.errors import UserError
from robolearn.evaluation.actors import FileActor
from robolearn.evaluation.figures import written
from robolearn.evaluation.rollout import Rollout
from robolearn.evaluation.worlds import FOREVER_S
from robolearn.viewer.eyes import shown, with_camera
from robolearn.viewer.moment import Moment
from robolearn.viewer.who import Who, actor_of, label_of, task_of, worlds_of

PUSH_SPEED = 0.8  # m/s for Go1 and G1, more for a larger robot; or rad/s of an arm's joints


class Playback:
    """One world of a policy's task.

    Attributes:
        file: the policy with its memory; None if a controller acts.
        command: the possible commands.
        env: the world.
        task: its task.
        evaluation: how the task is evaluated and shown.
        rollout: the policy in the world.
        eye: the entry of the observations that is looked through; None for none.
    """

    def __init__(self, who: Who, engine: str = "mujoco", randomize: bool = False, seed: int = 0,
                 terrain: TerrainCfg | None = None, robot: str | Robot | None = None, camera: str | None = None) -> None:  # fmt: skip
        """Make the world and start.

        Args:
            who: the frozen policy, which gets its own memory, or a controller.
            engine: physics engine.
            randomize: whether to use the training's randomization, noise, delays and pushes instead of nominal physics and clean sensors.
            seed: of everything random.
            terrain: terrain for a walking robot; None for the floor.
            robot: the value of `--robot`, or the robot that `robot_of` returned for it; None for the file's own.
            camera: name of a camera to look through, see `robolearn.viewer.eyes`; None for none.

        Raises:
            UserError: the task's contract differs from the file's, or its robot or the camera does not exist.
        """
        found, cfg = worlds_of(who, robot)
        self.task = task_of(who)
        self.evaluation = get_task(self.task).evaluation
        cfg = dataclasses.replace(cfg, num_worlds=1, num_threads=1, engine=engine, seed=seed, episode_s=FOREVER_S)
        if self.evaluation.terrain:
            cfg = dataclasses.replace(cfg, terrain=terrain, curriculum={})
        elif terrain is not None:
            raise UserError(f"{label_of(who)}: task {self.task} has no terrain")
        if not randomize:
            cfg = dataclasses.replace(cfg, randomization=nothing_varies(cfg.randomization))
        self.eye: str | None = None
        if camera is not None:
            cfg, self.eye = with_camera(cfg, found, camera)
        torch.set_num_threads(1)
        self.env = make_env(self.task, found, cfg)
        actor = actor_of(who, self.env)
        self.file = actor.memories[0] if isinstance(actor, FileActor) else None
        self.command = (self.file or self.env).spec.command
        self.rollout = Rollout(self.env, actor, go_on=True)
        self._generator = np.random.default_rng(seed)
        self._steps = 0
        self._asked: tuple[float, ...] | None = None
        self.reset()

    @property
    def control_dt(self) -> float:
        """Duration of a control step [s]."""
        return self.env.cfg.control_dt

    @property
    def time_s(self) -> float:
        """Time since the start [s]."""
        return self._steps * self.control_dt

    def reset(self) -> None:
        """Restart the episode; the time continues."""
        self.rollout.start()
        self._asked = None

    def push(self) -> None:
        """Kick the base in a random direction; an arm's joints get a random speed."""
        velocity = self.env.engine.qvel.clone()
        if self.env.robot.floating_base:
            angle = self._generator.uniform(0.0, 2 * np.pi)
            speed = PUSH_SPEED * factor(self.env.robot, "speed")
            velocity[0, :2] += speed * torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float32)
        else:
            velocity += PUSH_SPEED * torch.tensor(self._generator.uniform(-1, 1, velocity.shape), dtype=torch.float32)
        self.env.engine.set_velocity(torch.tensor([0]), velocity)

    def ask(self, command: Sequence[float]) -> None:
        """Set `command` (C,) from now on; the policy observes it at once."""
        wanted = tuple(float(value) for value in command)
        if wanted != self._asked:
            self._asked = wanted
            self.rollout.ask(torch.tensor([wanted], dtype=torch.float32))

    def step(self, command: Sequence[float]) -> Moment:
        """Advance one control step under `command` (C,)."""
        self.ask(command)
        step = self.rollout.step()
        self._steps += 1
        measured = self.evaluation.play.measured(self.env)[0].tolist()
        qpos = self.env.engine.qpos[0].numpy().copy()
        asked = tuple(float(value) for value in command)
        return Moment(self.time_s, asked, tuple(measured), qpos, self._note(), self._reached(), bool(step.terminated[0]))

    def seen(self) -> np.ndarray:
        """What the camera shows now, for people, (h, w, 3) uint8 RGB."""
        assert self.eye is not None, "this playback looks through no camera"
        assert self.env.cameras is not None
        return shown(self.env.images[self.eye][0].cpu().numpy(), self.env.cameras.terms[self.eye])

    def _note(self) -> str:
        """The figure that the task chooses to show."""
        name = self.evaluation.shown
        if name is None:
            return ""
        measure = self.evaluation.measures[name]
        assert measure.signal is not None
        value = float(measure.signal(self.env)[0])
        if measure.per is not None:
            value /= max(float(measure.per(self.env)[0]), 1e-9)
        return f"{measure.label} {written(value, measure.unit)} {measure.unit}".rstrip()

    def _reached(self) -> bool | None:
        """The task's score in this step."""
        signal = self.evaluation.measures[self.evaluation.score].signal
        return None if signal is None else bool(signal(self.env)[0])


def default_commands(task: str, command: CommandSpec) -> tuple[tuple[float, ...], ...]:
    """The default sequence of commands: the task's, within the possible range."""
    commands = get_task(task).evaluation.play.commands(command)
    return tuple(tuple(float(value) for value in command) for command in commands)
