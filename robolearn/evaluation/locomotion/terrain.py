"""Item `terrain`: each kind of ground at increasing difficulty, up to beyond training's."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import torch

from envs.scene.terrain import KINDS, TerrainCfg
from envs.tasks.scaling import scale_of
from envs.tasks.velocity import terrain as of_the_task
from envs.vec_env import VecEnv
from robolearn.evaluation.figures import mean, share
from robolearn.evaluation.locomotion import charts
from robolearn.evaluation.locomotion.clips import film
from robolearn.evaluation.locomotion.record import walk
from robolearn.evaluation.locomotion.result import ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup

DIFFICULTIES = (0.25, 0.5, 0.75, 1.0, 1.25)
"""Difficulties relative to the hardest ground of training, evenly spaced."""
WAY = 0.45  # distance in tiles, from the middle of a tile to near its edge
HEIGHTS = {"rough": "roughness", "slope_up": "grade", "slope_down": "grade", "steps_up": "step", "steps_down": "step", "planks": "plank"}
"""The field of `TerrainCfg` that grows with the difficulty of each kind; flat has none."""


ASKED = 6  # episodes per seed on each required ground, at its hardest
CROSSED = 0.5  # share of the commanded distance needed for the ground to count as crossed


def terrain_env(setup: Setup, kinds: np.ndarray, levels: np.ndarray) -> VecEnv:
    """Worlds that start in the middle of a tile, each of a kind (N,), an index into `KINDS`, and a level (N,), one into `DIFFICULTIES`."""
    grown = {name: DIFFICULTIES[-1] * getattr(setup.terrain, name) for name in set(HEIGHTS.values())}
    return _env_on(setup, dataclasses.replace(setup.terrain, levels=len(DIFFICULTIES), **grown), kinds, levels)


def _env_on(setup: Setup, ground: TerrainCfg, kinds: np.ndarray, levels: np.ndarray) -> VecEnv:
    """Worlds on a map of all kinds, each placed by `kinds` (N,) and `levels` (N,)."""
    ground = dataclasses.replace(ground, kinds=KINDS, start_levels=1)
    cfg = dataclasses.replace(setup.cfg, terrain=ground, curriculum={})
    env = dataclasses.replace(setup, cfg=cfg).env(len(kinds))
    assert env.places is not None
    env.places.level, env.places.column = (torch.from_numpy(values).to(env.device) for values in (levels, kinds))
    return env


def run(setup: Setup) -> ItemResult:
    """See `items.Item`."""
    tried = [1, 3] if setup.quick else list(range(len(DIFFICULTIES)))
    cells = [(kind, level) for kind, level in itertools.product(range(1, len(KINDS)), tried)]
    kind, level = np.tile(np.array(cells), (setup.seeds, 1)).T.copy()
    env = terrain_env(setup, kind, level)
    way = WAY * setup.terrain.tile
    command = torch.tensor([[setup.cruise, 0.0, 0.0]]).repeat(env.num_worlds, 1)
    record = walk(env, setup.make_actor(env.num_worlds), command, way / setup.cruise, "terrain")
    asked = _asked(setup)
    planar, yaw = record.errors()
    survived = record.survived
    rows = []
    for index, row in cells:
        at = (kind == index) & (level == row)
        figures = {"survival": share(survived[at]), "velocity_error_xy": mean(planar[at]), "velocity_error_yaw": mean(yaw[at])}
        rows.append(
            {"ground": KINDS[index].replace("_", " "), "difficulty": DIFFICULTIES[row], "height": _height(setup, index, row)} | figures
        )
    trained = np.array(DIFFICULTIES)[level] <= 1.0
    done = np.flatnonzero(survived)
    world = int(done[np.argmax(level[done] + 0.1 * kind[done])]) if len(done) else 0
    title = f"{KINDS[kind[world]].replace('_', ' ')}, {_height(setup, kind[world], level[world])}"
    by_kind = {f"survival ({KINDS[index].replace('_', ' ')})": share(survived[trained & (kind == index)]) for index in range(1, len(KINDS))}
    if setup.trained is None:
        used = "trained on ground that this version cannot read from its file"
    else:
        used = "trained on such ground" if setup.trained.terrain is not None else "trained on a plane"
    return ItemResult(
        text=f"Robots walk from the middle of a tile over its ground in any direction at {setup.cruise:g} m/s for {way:g} m; the policy "
        f"was {used}. Difficulty 1 is the hardest that the rough tasks train on. The summary counts difficulties up to 1. "
        f"The required ground does not depend on the training: {ASKED * setup.seeds} episodes each at its hardest; ground is crossed if "
        f"the robot does not fall and covers {100 * CROSSED:g} % of the distance.",
        headline={"survival": share(survived[trained]), "velocity_error_xy": mean(planar[trained])}
        | by_kind
        | {f"{figure} (asked, {row['ground']})": row[figure] for row in asked for figure in ("survival", "crossed")},
        tables=[Table(title="Required ground", rows=asked), Table(title="By ground and difficulty", rows=rows)],
        plots=[charts.terrain_map(rows)],
        clips=[film(setup, env, record, world, 0.0, 5.0, title)],
    )


def _asked(setup: Setup) -> list[dict[str, Any]]:
    """A row for each ground that a robot of this size must cross: that of the rough tasks at its hardest, whatever this robot was trained
    on.
    """
    ground = dataclasses.replace(of_the_task(scale_of(setup.robot)), levels=1)
    kinds = np.repeat(np.arange(1, len(KINDS)), ASKED * setup.seeds)
    env = _env_on(setup, ground, kinds, np.zeros_like(kinds))
    way = WAY * ground.tile
    command = torch.tensor([[setup.cruise, 0.0, 0.0]]).repeat(env.num_worlds, 1)
    record = walk(env, setup.make_actor(env.num_worlds), command, way / setup.cruise, "terrain, asked")
    planar, _ = record.errors()
    made = np.linalg.norm(record.qpos[..., :2] - record.qpos[:1, :, :2], axis=-1)
    crossed = record.survived & ((made * record.alive).max(0) >= CROSSED * way)
    return [
        {
            "ground": f"{KINDS[kind].replace('_', ' ')}, {_written(HEIGHTS[KINDS[kind]], getattr(ground, HEIGHTS[KINDS[kind]]))}",
            "survival": share(record.survived[at]),
            "crossed": share(crossed[at]),
            "velocity_error_xy": mean(planar[at]),
        }
        for kind in range(1, len(KINDS))
        for at in [kinds == kind]
    ]


def _height(setup: Setup, kind: int, level: int) -> str:
    """The meaning of the difficulty for a kind of ground."""
    field = HEIGHTS[KINDS[kind]]
    return _written(field, DIFFICULTIES[level] * getattr(setup.terrain, field))


def _written(field: str, value: float) -> str:
    """A grade or a height as text."""
    return f"{100 * value:.3g} %" if field == "grade" else f"{'±' if field == 'roughness' else ''}{100 * value:.3g} cm"
