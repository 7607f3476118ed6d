"""Run a policy through the conditions and compute figures: each world stands, starts, walks and stops; all worlds run at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from envs.engines.face import Engine
from envs.robots.robot import Robot
from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from robolearn.evaluation.actors import Actor
from robolearn.evaluation.figures import Figure, mean, share
from robolearn.evaluation.gait.anatomy import Anatomy
from robolearn.evaluation.gait.conditions import Condition, conditions
from robolearn.evaluation.gait.manner import cycles, manner, posture, stretch, strides
from robolearn.evaluation.gait.motion import Motion, motion_of
from robolearn.evaluation.gait.stance import steady
from robolearn.evaluation.locomotion.record import Record, walk

START_S = 2.0  # when the command is given; before that, all stand
SETTLED_S = 1.5  # time after the start and the stop before figures of walking and standing begin
EDGE_S = 1.0  # time after a start or a stop over which the trunk's extremes are taken
AFTER_S = 3.0  # after the stop
WALK_S, QUICK_WALK_S = 6.0, 4.0
SHORTEST_S = 0.8  # shortest stretch with figures
WORST = {"pitch_min": min, "pitch_max": max, "roll_min": min, "roll_max": max, "start_low": min, "start_high": max,
         "stop_low": min, "stop_high": max, "start_roll": max, "stop_roll": max, "touchdown_most": max}  # fmt: skip
"""Figures for which the worst episode is reported, not the mean."""


@dataclass(frozen=True, kw_only=True)
class Gait:
    """The result of a study.

    Attributes:
        robot: the robot.
        conditions: the commands.
        rows: figures by condition.
        knees: mean, 5th and 95th percentile of the knee over the gait cycle by condition [degrees], (3, 101) each.
        poses: one stride of each condition for pictures, (T, nq), and the time between poses [s].
        minutes: duration of the study.
    """

    robot: Robot
    conditions: Sequence[Condition]
    rows: dict[str, dict[str, Figure]]
    knees: dict[str, np.ndarray]
    poses: dict[str, tuple[np.ndarray, float]] = field(default_factory=dict)
    minutes: float = 0.0


def study(make_env: Callable[[int], VecEnv], make_actor: Callable[[int], Actor | PolicyFile], seeds: int = 8, quick: bool = False) -> Gait:
    """Run a walking policy through its conditions.

    Args:
        make_env: makes worlds of its task on a plane, without time limit and pushes.
        make_actor: makes the actor for a number of worlds.
        seeds: episodes per condition.
        quick: fewer conditions, shorter.
    """
    began = time.perf_counter()
    one = make_env(1)
    asked = conditions(one.robot, one.spec.command, quick)
    env = make_env(len(asked) * seeds)
    command = torch.tensor([condition.command for condition in asked], dtype=torch.float32, device=env.device).repeat(seeds, 1)
    stop_s = START_S + (QUICK_WALK_S if quick else WALK_S)
    dt, still = env.cfg.control_dt, torch.zeros_like(command)
    step = iter(range(10**9))

    def ask(env: VecEnv) -> torch.Tensor:
        return command if START_S <= next(step) * dt < stop_s else still

    record = walk(env, make_actor(env.num_worlds), ask, stop_s + AFTER_S, "gait")
    anatomy = Anatomy.of(env.robot)
    rows, knees, poses = {}, {}, {}
    fallen: set[str] = set()  # conditions in which no robot walked, with pictures all the same
    for index, condition in enumerate(asked):
        worlds = np.arange(seeds) * len(asked) + index
        episodes, curves = [], []
        for world in worlds:
            motion = motion_of_world(anatomy, env.engine, record, int(world))
            if motion is None:
                continue
            figures, walking = episode(anatomy, motion, condition, stop_s)
            episodes.append(figures | _following(record, int(world), condition, stop_s))
            if walking is not None:
                curves.append(cycles(walking))
            if condition.name not in poses or (walking is not None and condition.name in fallen):
                poses[condition.name] = stride_poses(motion if walking is None else walking)
                fallen = fallen - {condition.name} if walking is not None else fallen | {condition.name}
        rows[condition.name] = {"survival": share(record.survived[worlds]), **pooled(episodes)}
        every = np.concatenate(curves) if curves else np.zeros((0, 101))
        if len(every):
            knees[condition.name] = np.stack([every.mean(0), *np.percentile(every, [5, 95], axis=0)])
    minutes = (time.perf_counter() - began) / 60
    return Gait(robot=env.robot, conditions=asked, rows=rows, knees=knees, poses=poses, minutes=minutes)


def motion_of_world(anatomy: Anatomy, engine: Engine, record: Record, world: int) -> Motion | None:
    """The motion of one world until it fell; None if it fell immediately."""
    steps = int(record.alive[:, world].sum())
    if steps * record.dt < SHORTEST_S:
        return None
    rows = slice(0, steps)
    return motion_of(
        anatomy,
        record.qpos[rows, world].astype(float)[:, : anatomy.model.nq],
        record.dt,
        record.contact[rows, world],
        record.torque[rows, world],
        record.power[rows, world],
        float(record.mass[world]),
    )


def episode(anatomy: Anatomy, motion: Motion, condition: Condition, stop_s: float) -> tuple[dict[str, float], Motion | None]:
    """The figures of one episode, and its stretch of steady walking (or standing)."""
    at = lambda seconds: min(round(seconds / motion.dt), len(motion.pitch))  # noqa: E731
    standing = condition.kind == "stand"
    first, last = at(START_S + (0.0 if standing else SETTLED_S)), at(stop_s)
    walking = stretch(motion, first, last) if (last - first) * motion.dt >= SHORTEST_S else None
    figures = {} if walking is None else manner(anatomy, walking)
    if standing:
        return figures, walking
    for name, when in (("start", START_S), ("stop", stop_s)):
        first, last = at(when), at(when + EDGE_S)
        if (last - first) * motion.dt < 0.5 * EDGE_S:
            continue
        told = posture(stretch(motion, first, last))
        figures |= {f"{name}_low": told["pitch_min"], f"{name}_high": told["pitch_max"]}
        figures[f"{name}_roll"] = max(told["roll_max"], -told["roll_min"])
    first, last = at(stop_s + SETTLED_S), len(motion.pitch)
    if (last - first) * motion.dt >= SHORTEST_S:
        figures["steps_after_stop"] = manner(anatomy, stretch(motion, first, last))["steps_a_minute"]
    return figures, walking


def _following(record: Record, world: int, condition: Condition, stop_s: float) -> dict[str, float]:
    """How well the command was followed in steady walking, from the base's velocities."""
    rows = slice(round((START_S + SETTLED_S) / record.dt), round(stop_s / record.dt))
    off = record.velocity[rows, world] - np.array(condition.command)
    alive = record.alive[rows, world]
    if not alive.any():
        return {}
    off = off[alive]
    return {
        "velocity_error_xy": float(np.linalg.norm(off[:, :2], axis=1).mean()),
        "velocity_error_yaw": float(np.abs(off[:, 2]).mean()),
        "turning_off": float(abs(off[:, 2].mean())),
    }


def pooled(episodes: Sequence[dict[str, float]]) -> dict[str, Figure]:
    """Figures over episodes: means with their intervals, or the worst for what is in `WORST`."""
    names = dict.fromkeys(name for figures in episodes for name in figures)
    found = {}
    for name in names:
        values = np.array([figures.get(name, np.nan) for figures in episodes], float)
        kept = values[np.isfinite(values)]
        if name in WORST and len(kept):
            found[name] = Figure(float(WORST[name](kept)), None, None, len(kept))
        else:
            found[name] = mean(values)
    return found


def stride_poses(walking: Motion, frames: int = 8) -> tuple[np.ndarray, float]:
    """Poses of one stride in the middle of a stretch, from a foot's touchdown to just before its next; of one second if there is no
    stride.
    """
    found = strides(steady(walking.contact)[:, 0], walking.dt)
    middle = len(walking.pitch) / 2
    start, end = min(found, key=lambda span: abs(sum(span) / 2 - middle), default=(0, min(len(walking.pitch) - 1, round(1.0 / walking.dt))))
    at = np.round(np.linspace(start, end, frames, endpoint=False)).astype(int)
    return walking.qpos[at], (end - start) * walking.dt / frames


def plain_rows(gait: Gait) -> list[dict[str, Any]]:
    """Rows for tables and JSON."""
    told = {condition.name: condition for condition in gait.conditions}
    return [{"condition": name, "command": list(told[name].command), **row} for name, row in gait.rows.items()]
