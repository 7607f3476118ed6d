"""Item `terrain`: each kind of ground, harder and harder, up to beyond what training has."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import torch

from envs.scene.terrain import KINDS
from envs.vec_env import VecEnv
from robolearn.evaluation.figures import mean, share
from robolearn.evaluation.locomotion import charts
from robolearn.evaluation.locomotion.clips import film
from robolearn.evaluation.locomotion.record import walk
from robolearn.evaluation.locomotion.result import ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup

DIFFICULTIES = (0.25, 0.5, 0.75, 1.0, 1.25)
"""Against the hardest ground of training, evenly spaced."""
WAY = 0.45  # tiles, from the middle of a tile to near its edge
HEIGHTS = {"rough": "roughness", "slope_up": "grade", "slope_down": "grade", "steps_up": "step", "steps_down": "step", "planks": "plank"}
"""What grows with the difficulty of each kind, a field of `TerrainCfg`; flat has nothing."""


def terrain_env(setup: Setup, kinds: np.ndarray, levels: np.ndarray) -> VecEnv:
    """Worlds that start in the middle of a tile, each of a kind (N,), an index into `KINDS`, and a level (N,), one into `DIFFICULTIES`."""
    grown = {name: DIFFICULTIES[-1] * getattr(setup.terrain, name) for name in set(HEIGHTS.values())}
    ground = dataclasses.replace(setup.terrain, kinds=KINDS, levels=len(DIFFICULTIES), start_levels=1, **grown)
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
    record = walk(env, setup.file, command, way / setup.cruise, "terrain")
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
        used = "trained on ground of which its file tells nothing that this version reads"
    else:
        used = "trained on such ground" if setup.trained.terrain is not None else "trained on a plane"
    return ItemResult(
        text=f"Robots walk from the middle of a tile over its ground in any direction at {setup.cruise:g} m/s for {way:g} m; the policy "
        f"was {used}. Difficulty 1 is the hardest that the rough tasks train on. The summary counts difficulties up to 1.",
        headline={"survival": share(survived[trained]), "velocity_error_xy": mean(planar[trained])} | by_kind,
        tables=[Table(title="By ground and difficulty", rows=rows)],
        plots=[charts.terrain_map(rows)],
        clips=[film(setup, env, record, world, 0.0, 5.0, title)],
    )


def _height(setup: Setup, kind: int, level: int) -> str:
    """What the difficulty means for a kind of ground."""
    field = HEIGHTS[KINDS[kind]]
    value = 100 * DIFFICULTIES[level] * getattr(setup.terrain, field)
    return f"{value:.3g} %" if field == "grade" else f"{'±' if field == 'roughness' else ''}{value:.3g} cm"
