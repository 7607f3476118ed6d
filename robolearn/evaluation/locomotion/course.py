"""Item `course`: flat, up, flat, down, flat; how the steps change on the way, and whether the policy's memory knows where it is."""

from __future__ import annotations

import math
from itertools import pairwise

import mujoco
import numpy as np
import torch

from envs.tasks.velocity import VelocityEnv
from robolearn.evaluation.locomotion import charts
from robolearn.evaluation.locomotion.clips import film
from robolearn.evaluation.locomotion.gait import find_swings, slice_of
from robolearn.evaluation.locomotion.hidden import HiddenStates
from robolearn.evaluation.locomotion.result import ItemResult, Table, mean, share
from robolearn.evaluation.locomotion.rollout import SETTLE_S, Record, Robots, rollout
from robolearn.evaluation.locomotion.setup import Setup

GRADE = 0.1
SEGMENTS = (("flat", 1.5, 0.0), ("uphill", 2.5, GRADE), ("top", 1.5, 0.0), ("downhill", 2.5, -GRADE), ("flat again", 1.5, 0.0))
"""Name, length in the plane [m] and grade."""
EDGES_X = np.cumsum([0.0, *(length for _, length, _ in SEGMENTS)])
EDGES_Z = np.cumsum([0.0, *(length * grade for _, length, grade in SEGMENTS)])
HALF_WIDTH, THICKNESS = 4.0, 0.2  # m
MARGIN = 0.25  # m around an edge that counts to neither side
BIN = 0.5  # m
WORLDS = 16  # a seed


class Course(VelocityEnv):
    """The policy's task on the course: all worlds start at its beginning and look along it; heights count from the ground below."""

    def build_scene(self) -> mujoco.MjSpec:
        spec = super().build_scene()
        points = zip(EDGES_X, EDGES_Z, strict=True)
        for (name, _, _), ((x0, z0), (x1, z1)) in zip(SEGMENTS, pairwise(points), strict=True):
            if z0 == z1 == 0.0:
                continue  # the floor
            angle = math.atan2(z1 - z0, x1 - x0)
            center = [(x0 + x1) / 2 + THICKNESS / 2 * math.sin(angle), 0.0, (z0 + z1) / 2 - THICKNESS / 2 * math.cos(angle)]
            spec.worldbody.add_geom(
                name=f"course_{name}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[math.hypot(x1 - x0, z1 - z0) / 2, HALF_WIDTH, THICKNESS / 2],
                pos=center,
                quat=[math.cos(angle / 2), 0.0, -math.sin(angle / 2), 0.0],
                contype=1,
                conaffinity=0,
                rgba=[0.72, 0.76, 0.82, 1.0],
            )
        return spec

    def reset_worlds(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        qpos, qvel = super().reset_worlds(ids)
        qpos[:, :2] = 0.0
        qpos[:, 3:7] = self.tensor([1.0, 0.0, 0.0, 0.0])
        return qpos, qvel

    def terminations(self) -> torch.Tensor:
        qpos = self.engine.qpos
        clearance = qpos[:, 2] - torch.from_numpy(ground(qpos[:, 0].cpu().numpy())).to(qpos)
        return (-self.gravity_b[:, 2] < math.cos(self.cfg.max_tilt)) | (clearance < self.cfg.min_height)


def ground(x: np.ndarray) -> np.ndarray:
    """Height of the course [m] at x [m]."""
    return np.interp(x, EDGES_X, EDGES_Z)


def segment_of(x: np.ndarray) -> np.ndarray:
    """Index of the segment at x, -1 before the start, near an edge and beyond the end."""
    index = np.clip(np.searchsorted(EDGES_X, x) - 1, 0, len(SEGMENTS) - 1)
    inside = (x - EDGES_X[index] > MARGIN) & (EDGES_X[index + 1] - x > MARGIN)
    return np.where(inside, index, -1)


def run(setup: Setup) -> ItemResult:
    """See `items.Item`."""
    worlds = WORLDS * setup.seeds
    env = setup.env(worlds, Course)
    hidden = HiddenStates(setup.file, worlds, env.cfg.control_dt)
    finished = np.zeros(worlds, bool)
    drawn: dict[str, np.ndarray] = {}  # what each world had, before a fall draws it anew

    def steer(world: VelocityEnv) -> torch.Tensor:
        """Ahead, turning back to the course's line as an operator would."""
        w, z, y = world.engine.qpos[:, 3], world.engine.qpos[:, 6], world.engine.qpos[:, 1]
        turn = (-1.5 * 2 * torch.atan2(z, w) - 0.7 * y).clamp(*setup.cfg.command.yaw_rate)
        return torch.stack([torch.full_like(y, setup.cruise), torch.zeros_like(y), turn], dim=1)

    def watch(index: int, observation: torch.Tensor, alive: np.ndarray, robots: Robots) -> bool:
        if index == 0:
            drawn.update({name: env.randomizer.drawn[name][:, 0].cpu().numpy().copy() for name in ("friction", "payload")})
        x = env.engine.qpos[:, 0].cpu().numpy()
        hidden.look(index, observation, alive & ~finished & (index * env.cfg.control_dt >= SETTLE_S), robots, x)
        finished[:] |= alive & (x > EDGES_X[-1])
        return bool((finished | ~alive).all())

    seconds = 1.6 * EDGES_X[-1] / setup.cruise
    record = rollout(env, setup.file, steer, seconds, "course", watch=watch)
    steps = step_rows(record)
    by_segment = [_segment_row(index, steps, worlds) for index in range(len(SEGMENTS))]
    done = np.flatnonzero(finished)
    world = int(done[0]) if len(done) else int(record.alive.sum(0).argmax())
    known = {name: values for name, values in drawn.items() if np.ptp(values) > 0}
    probes = hidden.probe(segment_of, known)
    names = [name for name, _, _ in SEGMENTS]
    return ItemResult(
        text=f"{worlds} robots walk {EDGES_X[-1]:g} m at {setup.cruise:g} m/s, steered along the line, over a slope of {100 * GRADE:g} % "
        f"up and one down. Half of the robots fit the probes, the other half judge them. {probes.text}",
        headline={"finished": share(finished)}
        | {f"step_length ({names[index]})": by_segment[index]["step_length"] for index in (0, 1, 3)}
        | dict(probes.headline),
        tables=[Table(title="Steps by segment", rows=by_segment), *probes.tables],
        plots=[charts.course(EDGES_X, EDGES_Z, step_profile(steps), probes.along), *probes.plots],
        clips=[film(setup, env, record, world, 1.0, 1.0 + 0.9 * EDGES_X[-1] / setup.cruise, "the course, twice as fast", pace=2.0)],
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


def _segment_row(index: int, steps: np.ndarray, worlds: int) -> dict:
    here = steps[segment_of(steps[:, 1]) == index]
    with np.errstate(invalid="ignore"):
        each = [here[here[:, 0] == world, 2:].mean(0) for world in range(worlds) if (here[:, 0] == world).any()]
    lengths, air = np.array(each).reshape(-1, 2).T
    name, _, grade = SEGMENTS[index]
    return {"segment": name, "grade": f"{100 * grade:+g} %" if grade else "0 %", "step_length": mean(lengths), "air_time": mean(air)}


def step_profile(steps: np.ndarray) -> list[dict]:
    """Mean step length over the course, a row each `BIN`."""
    rows = []
    for start in np.arange(0.0, EDGES_X[-1], BIN):
        here = steps[(steps[:, 1] >= start) & (steps[:, 1] < start + BIN), 2]
        if len(here) >= 3:
            rows.append({"x": start + BIN / 2, "step_length": mean(here)})
    return rows
