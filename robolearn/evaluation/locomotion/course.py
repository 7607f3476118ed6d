"""Item `course`: flat, up, flat, down, flat; how the steps change on the way, and whether the policy's memory encodes the ground."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from envs.vec_env import VecEnv
from robolearn.evaluation.actors import Actor, FileActor
from robolearn.evaluation.figures import mean, share
from robolearn.evaluation.locomotion import charts
from robolearn.evaluation.locomotion.clips import film
from robolearn.evaluation.locomotion.gait import find_swings, slice_of
from robolearn.evaluation.locomotion.ground import GRADE, SEGMENTS, Course, on_the_course
from robolearn.evaluation.locomotion.memory import HiddenStates
from robolearn.evaluation.locomotion.record import SETTLE_S, Record, walk
from robolearn.evaluation.locomotion.result import ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup

BIN = 0.5  # m; scales with the robot
WORLDS = 16  # per seed


def run(setup: Setup) -> ItemResult:
    """See `items.Item`."""
    if setup.file is None:
        return ItemResult(status="not available", reason="memory can only be probed in a policy file: export the student first")
    worlds, course = WORLDS * setup.seeds, Course(float(setup.scaled(1.0, "length")))
    env = dataclasses.replace(setup, cfg=on_the_course(setup.cfg, course.size)).env(worlds)
    hidden = HiddenStates(setup.file, worlds, env.cfg.control_dt)
    finished = np.zeros(worlds, bool)
    drawn: dict[str, np.ndarray] = {}  # each world's values, before a fall draws new ones

    pull, lowest, highest = 0.7 / course.size, *setup.ranges[2]

    def begin(index: int) -> None:
        """All worlds start at the beginning of the course and face along it."""
        if index == 0:
            qpos, qvel = env.engine.qpos.clone(), env.engine.qvel.clone()
            qpos[:, :2], qpos[:, 3:7] = 0.0, env.tensor([1.0, 0.0, 0.0, 0.0])
            env.engine.write_state(torch.arange(worlds, device=env.device), qpos, qvel)

    def steer(world: VecEnv) -> torch.Tensor:
        """A command ahead that turns back to the course's line, as an operator would."""
        y = world.base.position_w[:, 1]
        turn = (-1.5 * world.base.yaw - pull * y).clamp(lowest, highest)
        return torch.stack([torch.full_like(y, setup.cruise), torch.zeros_like(y), turn], dim=1)

    def watch(index: int, observation: torch.Tensor, alive: np.ndarray, actor: Actor) -> bool:
        assert isinstance(actor, FileActor)
        if index == 0:
            drawn.update({name: env.randomizer.drawn[name][:, 0].cpu().numpy().copy() for name in ("friction", "payload")})
        x = env.engine.qpos[:, 0].cpu().numpy()
        hidden.look(index, observation, alive & ~finished & (index * env.cfg.control_dt >= SETTLE_S), actor, x)
        finished[:] |= alive & (x > course.length)
        return bool((finished | ~alive).all())

    seconds = 1.6 * course.length / setup.cruise
    record = walk(env, setup.file, steer, seconds, "course", before=begin, watch=watch)
    steps = step_rows(record)
    by_segment = [_segment_row(course, index, steps, worlds) for index in range(len(SEGMENTS))]
    done = np.flatnonzero(finished)
    world = int(done[0]) if len(done) else int(record.alive.sum(0).argmax())
    known = {name: values for name, values in drawn.items() if np.ptp(values) > 0}
    probes = hidden.probe(course.segment_of, known)
    names = [name for name, _, _ in SEGMENTS]
    return ItemResult(
        text=f"{worlds} robots walk {course.length:g} m at {setup.cruise:g} m/s, steered along the line, over a slope of {100 * GRADE:g} % "
        f"up and one down. Half of the robots fit the probes, the other half judge them. {probes.text}",
        headline={"finished": share(finished)}
        | {f"step_length ({names[index]})": by_segment[index]["step_length"] for index in (0, 1, 3)}
        | dict(probes.headline),
        tables=[Table(title="Steps by segment", rows=by_segment), *probes.tables],
        plots=[charts.course(course.edges_x, course.edges_z, step_profile(course, steps), probes.along), *probes.plots],
        clips=[film(setup, env, record, world, 1.0, 1.0 + 0.9 * course.length / setup.cruise, "the course, twice as fast", pace=2.0)],
    )


def step_rows(record: Record) -> np.ndarray:
    """World, x of touch-down [m], length [m] and time in the air [s] of every step, (S, 4)."""
    rows, counted = [], record.counted()
    for world in range(record.contact.shape[1]):
        span = slice_of(counted[:, world])
        for foot in range(record.contact.shape[2]):
            for air, length, _, x in find_swings(record.contact[span, world, foot], record.foot_position[span, world, foot], record.dt):
                rows.append((world, x, length, air))
    return np.array(rows).reshape(-1, 4)


def _segment_row(course: Course, index: int, steps: np.ndarray, worlds: int) -> dict:
    here = steps[course.segment_of(steps[:, 1]) == index]
    with np.errstate(invalid="ignore"):
        each = [here[here[:, 0] == world, 2:].mean(0) for world in range(worlds) if (here[:, 0] == world).any()]
    lengths, air = np.array(each).reshape(-1, 2).T
    name, _, grade = SEGMENTS[index]
    return {"segment": name, "grade": f"{100 * grade:+g} %" if grade else "0 %", "step_length": mean(lengths), "air_time": mean(air)}


def step_profile(course: Course, steps: np.ndarray) -> list[dict]:
    """Mean step length over the course, a row per `BIN`."""
    rows, wide = [], course.size * BIN
    for start in np.arange(0.0, course.length, wide):
        here = steps[(steps[:, 1] >= start) & (steps[:, 1] < start + wide), 2]
        if len(here) >= 3:
            rows.append({"x": start + wide / 2, "step_length": mean(here)})
    return rows
