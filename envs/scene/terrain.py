"""Terrain: one map of tiles that all worlds share, easy at one end and hard at the other.

The map is one height field. Measured against planes and boxes (docs/experiments.md): with 0.1 m cells a physics step of a humanoid costs
1.4 times that on a plane independent of the size of the map, while the cost of static boxes grows with their number. Every tile is at
height zero along its edges, so tiles join without cliffs, and flat in the middle, where robots start. Risers of steps are as wide as a
cell.

Map coordinates: x runs along the levels (rows of tiles), y along the columns; the map's centre is the world's origin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
import torch

Kind = Literal["flat", "rough", "slope_up", "slope_down", "steps_up", "steps_down", "planks"]
KINDS: tuple[Kind, ...] = ("flat", "rough", "slope_up", "slope_down", "steps_up", "steps_down", "planks")


@dataclass(frozen=True, kw_only=True)
class TerrainCfg:
    """The content of the map; figures are for the hardest level, from which the others decrease linearly to nearly flat.

    Attributes:
        kinds: kind of each column of tiles.
        levels: rows of tiles, from easy to hard.
        start_levels: number of the easiest levels over which the curriculum spreads worlds at first.
        tile: side of a tile [m].
        cell: grid spacing [m].
        platform: half side of the flat middle of a tile [m].
        border: width of the flat ground around the map [m].
        roughness: largest height of rough ground above and below zero [m].
        grade: grade of slopes, rise over run.
        step: height of a step [m].
        step_depth: depth of a step [m].
        plank: height of planks [m].
        plank_gap: distance between planks [m].
        plank_width: width of planks [m].
        rim: strip along a tile's edges in which rough ground fades out [m].
        start_spread: largest distance of a start from the middle of a tile, along each side [m].
        seed: seed of everything random.
    """

    kinds: tuple[Kind, ...] = (
        "flat",
        "rough",
        "rough",
        "slope_up",
        "slope_down",
        "slope_up",
        "slope_down",
        "steps_up",
        "steps_down",
        "planks",
    )
    levels: int = 8
    start_levels: int = 4
    tile: float = 8.0
    cell: float = 0.1
    platform: float = 0.8
    border: float = 4.0
    roughness: float = 0.04
    grade: float = 0.25
    step: float = 0.12
    step_depth: float = 0.4
    plank: float = 0.05
    plank_gap: float = 0.7
    plank_width: float = 0.2
    rim: float = 0.5
    start_spread: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.kinds or self.levels < 1:
            raise ValueError("a terrain needs at least one kind and one level")
        for name in ("tile", "border"):
            cells = getattr(self, name) / self.cell if self.cell > 0 else 0.0
            if abs(cells - round(cells)) > 1e-6:
                raise ValueError(f"terrain.{name} ({getattr(self, name):g} m) must be a whole number of cells of {self.cell:g} m")
        for name in ("tile", "cell", "step_depth", "plank_gap", "plank_width", "rim"):
            if not getattr(self, name) > 0:
                raise ValueError(f"terrain.{name} must be positive, not {getattr(self, name):g}")
        if self.tile < 4 * self.platform or self.tile < 20 * self.cell:
            raise ValueError(f"a tile of {self.tile:g} m is too small for its platform ({self.platform:g} m) or cell ({self.cell:g} m)")


Shape = Callable[[TerrainCfg, float, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def single_terrain(text: str, of: TerrainCfg | None = None) -> TerrainCfg:
    """A map of one kind at one difficulty, from `KIND[:LEVEL]`, e.g. `slope_up:0.4` for a grade of 10 %.

    Args:
        text: kind, and level from 0 to 1.
        of: the figures of level 1, for robots of other sizes than those of our tasks.

    Raises:
        ValueError: an unknown kind or a level that is not between 0 and 1; the message lists the kinds.
    """
    kind, _, level = text.partition(":")
    try:
        share = float(level) if level else 1.0
    except ValueError:
        share = -1.0
    if kind not in KINDS or not 0 <= share <= 1:
        raise ValueError(f"a terrain is KIND[:LEVEL] with a level from 0 to 1, not {text!r}; kinds: {', '.join(KINDS)}")
    full = dataclasses.replace(of or TerrainCfg(), kinds=(kind,) * 3, levels=1)
    scaled = {name: share * getattr(full, name) for name in ("roughness", "grade", "step", "plank")}
    return dataclasses.replace(full, start_levels=1, border=200 * full.cell, **scaled)


def _hill(cfg: TerrainCfg, radius: np.ndarray) -> np.ndarray:
    """Distance climbed on a path outwards, up from the platform's edge and down again to the tile's edge [m]."""
    out = np.clip(radius - cfg.platform, 0.0, None)
    back = np.clip(cfg.tile / 2 - radius, 0.0, None)
    return np.minimum(out, back)


def _rough(cfg: TerrainCfg, level: float, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    coarse = rng.uniform(-1, 1, ((len(x) + 1) // 2, (len(y) + 1) // 2))
    height = np.kron(coarse, np.ones((2, 2)))[: len(x), : len(y)]
    edge = cfg.tile / 2 - np.maximum(np.abs(x)[:, None], np.abs(y)[None])
    return cfg.roughness * level * height * np.clip(edge / cfg.rim, 0, 1)


def _slope(cfg: TerrainCfg, level: float, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    del rng
    return cfg.grade * level * _hill(cfg, np.maximum(np.abs(x)[:, None], np.abs(y)[None]))


def _steps(cfg: TerrainCfg, level: float, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    del rng
    way = _hill(cfg, np.maximum(np.abs(x)[:, None], np.abs(y)[None]))
    return cfg.step * level * np.floor(way / cfg.step_depth + 1e-6)


def _planks(cfg: TerrainCfg, level: float, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Concentric square frames with heights between half the level's height and the full one."""
    radius = np.maximum(np.abs(x)[:, None], np.abs(y)[None])
    out = radius - cfg.platform
    index = np.floor(out / cfg.plank_gap).astype(int)
    heights = rng.uniform(0.5, 1.0, 64)[np.clip(index, 0, 63)]
    inside = (out >= 0) & (out % cfg.plank_gap < cfg.plank_width) & (radius < cfg.tile / 2 - 0.6 * cfg.rim)
    return cfg.plank * level * heights * inside


SHAPES: dict[Kind, tuple[Shape, float]] = {
    "rough": (_rough, 1.0),
    "slope_up": (_slope, 1.0),
    "slope_down": (_slope, -1.0),
    "steps_up": (_steps, 1.0),
    "steps_down": (_steps, -1.0),
    "planks": (_planks, 1.0),
}
"""Shape of each kind that is not flat, and whether it goes up or down from the middle."""


class Terrain:
    """A map that was built.

    Attributes:
        cfg: its settings.
        heights: of the grid's points [m], (X, Y) float32, on `device`.
        origins: middle of each tile [m], (levels, columns, 2).
        half: half sides of the map, border included [m], (2,).
    """

    def __init__(self, cfg: TerrainCfg, device: torch.device | str = "cpu") -> None:
        self.cfg = cfg
        rng = np.random.default_rng(cfg.seed)
        n, border = round(cfg.tile / cfg.cell), round(cfg.border / cfg.cell)
        columns = len(cfg.kinds)
        heights = np.zeros((cfg.levels * n + 2 * border + 1, columns * n + 2 * border + 1), np.float32)
        across = (np.arange(n + 1) - n / 2) * cfg.cell
        for level in range(cfg.levels):
            for column, kind in enumerate(cfg.kinds):
                if kind == "flat":
                    continue
                shape, sign = SHAPES[kind]
                difficulty = (level + 1) / cfg.levels
                tile = sign * shape(cfg, difficulty, across, across, rng)
                middle = np.maximum(np.abs(across)[:, None], np.abs(across)[None]) < cfg.platform - cfg.cell / 2
                tile[middle] = 0.0
                a, b = border + level * n, border + column * n
                heights[a : a + n, b : b + n] = tile[:-1, :-1]
        self._host = heights
        self.heights = torch.from_numpy(heights).to(device)
        self.half = (np.array(heights.shape) - 1) * cfg.cell / 2
        along = (np.arange(cfg.levels) + 0.5) * cfg.tile + cfg.border - self.half[0]
        side = (np.arange(columns) + 0.5) * cfg.tile + cfg.border - self.half[1]
        grid = np.stack(np.meshgrid(along, side, indexing="ij"), axis=-1)
        self.origins = torch.tensor(grid, dtype=torch.float32, device=device)
        self._low = torch.tensor(-self.half, dtype=torch.float32, device=device)

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """Replace the scene's floor by the map, under the floor's name; a completely flat map keeps the plane."""
        if not self._host.any():
            return
        for geom in spec.geoms:
            if geom.name == "floor":
                spec.delete(geom)
        low, high = float(self._host.min()), float(self._host.max())
        span = max(high - low, 1e-3)
        rows, columns = self._host.shape
        unit = ((self._host - low) / span).T  # MuJoCo's rows run along y
        spec.add_hfield(name="terrain", nrow=columns, ncol=rows, size=[*self.half, span, 0.5], userdata=unit.ravel().tolist())
        kind, color = mujoco.mjtGeom.mjGEOM_HFIELD, [0.62, 0.64, 0.60, 1]
        spec.worldbody.add_geom(name="floor", type=kind, hfieldname="terrain", pos=[0, 0, low], contype=1, conaffinity=0, rgba=color)

    def height(self, xy: torch.Tensor) -> torch.Tensor:
        """Height of the surface [m] at points (..., 2) [m], exact (a cell is two triangles); beyond the map, the height of its edge."""
        rows, columns = self.heights.shape
        at = (xy - self._low) / self.cfg.cell
        x, y = at[..., 0].clamp(0, rows - 1.001), at[..., 1].clamp(0, columns - 1.001)
        i, j = x.long(), y.long()
        u, v = x - i, y - j
        flat, corner = self.heights.view(-1), i * columns + j
        here, beyond = flat[corner], flat[corner + columns + 1]
        # the diagonal runs from (i, j) to (i + 1, j + 1); the third corner is on the point's side of it
        other = flat[torch.where(u > v, corner + columns, corner + 1)]
        near, far = torch.maximum(u, v), torch.minimum(u, v)
        return here * (1 - near) + other * (near - far) + beyond * far

    def inside(self, xy: torch.Tensor) -> torch.Tensor:
        """Whether points (..., 2) are on the map, further than two rims from its end, (...) bool."""
        return (xy.abs() < -self._low - 2 * self.cfg.rim).all(-1)
