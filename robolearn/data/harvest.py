"""Records the worlds of an environment, step by step, as episodes.

Each step has the robot's sensor readings before the action, without noise; the action as the policy gave it; and its result. Each world
gives one episode, from its start to its end or until time is up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from envs.screening import Step
from envs.vec_env import VecEnv
from policies.contract.observation import projected_gravity
from robolearn.data.columns import ACTION, COMMAND, CONTACT, DONE, REWARD, ROOT, SENSED, STATE
from robolearn.data.sensed import Shown
from robolearn.data.shots import Recorder, Shots

Alter = Callable[[torch.Tensor], torch.Tensor]


class Acting(Protocol):
    """A policy in all worlds, see `robolearn.evaluation.rollout.Rollout`."""

    env: VecEnv
    alive: torch.Tensor
    policy: torch.Tensor

    def step(self, alter: Alter | None = None) -> Step:
        """Act once in all worlds."""
        ...


@dataclass(slots=True)
class Taken:
    """One world's episode.

    Attributes:
        columns: as in `robolearn.data.source.Episode`.
        lasted: whether it ended without a termination.
        good: steps in which the task's score held, (T,) bool; None for a task whose score is survival.
        total: sum of the rewards.
        shots: what its cameras showed, by name.
    """

    columns: dict[str, np.ndarray]
    lasted: bool
    good: np.ndarray | None
    total: float
    shots: Mapping[str, Shots] = field(default_factory=dict[str, Shots])

    def __len__(self) -> int:
        """T."""
        return len(self.columns[STATE])


def take(
    acting: Acting,
    steps: int,
    every_step: Callable[[], None] = lambda: None,
    sensed: bool = False,
    cameras: Sequence[str] | None = (),
) -> list[Taken | None]:
    """Run worlds that were just reset, and record them.

    Args:
        acting: the worlds; their commands are set already, or drawn by the task.
        steps: longest episode [steps].
        every_step: called after each step.
        sensed: whether to record the readings that the policy saw beside the clean ones.
        cameras: the colour cameras to record; None for all.

    Returns: The episode of each world; None if its numbers were not finite.
    """
    from envs.tasks.registry import get_task

    env = acting.env
    evaluation = get_task(env.task_name).evaluation
    signal = evaluation.measures[evaluation.score].signal
    shown = Shown(env.spec) if sensed else None
    recorder = Recorder(env, cameras)
    kept: dict[str, list[np.ndarray]] = {}
    length = np.zeros(env.num_worlds, np.int64)
    lasted = np.ones(env.num_worlds, bool)
    sound = np.ones(env.num_worlds, bool)
    alive = np.ones(env.num_worlds, bool)
    for _ in range(steps):
        row = _seen(env)
        recorder.note(alive)
        if shown is not None:
            row[SENSED] = _array(shown(acting.policy.cpu(), torch.from_numpy(row[STATE])))
        if signal is not None:
            row["good"] = _array(signal(env))
        given: list[torch.Tensor] = []

        def note(action: torch.Tensor, given: list[torch.Tensor] = given) -> torch.Tensor:
            given.append(action.clone())
            return action

        step = acting.step(note)
        row[ACTION], row[REWARD] = _array(given[0]), _array(step.reward)
        for name, values in row.items():
            kept.setdefault(name, []).append(values)
        ended = _array(step.terminated | step.truncated).astype(bool)
        length[alive] += 1
        lasted[alive & _array(step.terminated).astype(bool)] = False
        sound[alive & _array(step.failed).astype(bool)] = False
        alive &= ~ended
        every_step()
        if not alive.any():
            break
    stacked = {name: np.stack(rows) for name, rows in kept.items()}
    return [
        _episode(stacked, world, int(length[world]), bool(lasted[world]), recorder.of(world, int(length[world]))) if sound[world] else None
        for world in range(env.num_worlds)
    ]


def _seen(env: VecEnv) -> dict[str, np.ndarray]:
    """The present observations, (N, D) each."""
    sensors, floating = env.sensors(), env.robot.floating_base
    count = env.num_worlds
    if floating:
        assert sensors.imu_quat_wxyz is not None
        base = [projected_gravity(sensors.imu_quat_wxyz), sensors.imu_angular_velocity_b]
    else:
        base = [torch.tensor([0.0, 0.0, -1.0], device=env.device).expand(count, 3), torch.zeros(count, 3, device=env.device)]
    row = {STATE: _array(torch.cat([sensors.joint_position, sensors.joint_velocity, *base], dim=1))}
    if floating:
        row[ROOT] = _array(torch.cat([env.engine.qpos[:, :7], env.engine.qvel[:, :6]], dim=1))
    if env.robot.feet:
        row[CONTACT] = _array(env.feet.contact.float())
    if env.command.shape[1]:
        row[COMMAND] = _array(env.command)
    return row


def _array(values: torch.Tensor) -> np.ndarray:
    """A copy on the CPU, since the engine's next step overwrites its arrays."""
    return values.detach().cpu().numpy().copy()


def _episode(kept: dict[str, np.ndarray], world: int, length: int, lasted: bool, shots: Mapping[str, Shots]) -> Taken:
    columns = {name: rows[:length, world] for name, rows in kept.items()}
    good = columns.pop("good", None)
    columns = {name: values.astype(np.float32).copy() for name, values in columns.items()}
    columns[DONE] = np.arange(length) == length - 1
    return Taken(columns, lasted, None if good is None else good.astype(bool).copy(), float(columns[REWARD].sum()), shots)
