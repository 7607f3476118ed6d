"""The outer shape of links as balls (points with radii), whose lowest point is where a link touches the ground."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.describe.links import frame

ROUND = np.linspace(0, 2 * np.pi, 16, endpoint=False)
MANY_VERTICES, ROUND_ABOUT = 400, 400


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Balls that span a shape.

    Attributes:
        points: their centres (K, 3) [m].
        radii: (K,) [m].
        geoms: the geom of each (K,).
    """

    points: np.ndarray
    radii: np.ndarray
    geoms: np.ndarray

    def __len__(self) -> int:
        return len(self.points)

    def lowest(self, down: np.ndarray) -> np.ndarray:
        """The point of the shape that is farthest along the unit vector `down`, (3,)."""
        best = int(np.argmax(self.points @ down + self.radii))
        return self.points[best] + self.radii[best] * down

    def support(self, down: np.ndarray, tolerance: float) -> np.ndarray:
        """The points that touch a ground in the direction `down`, within a tolerance [m], (S, 3)."""
        depth = self.points @ down + self.radii
        lowest = depth >= depth.max() - tolerance
        return self.points[lowest] + self.radii[lowest, None] * down


def collides(model: mujoco.MjModel, geom: int) -> bool:
    """Whether a geom can touch something."""
    return bool(model.geom_contype[geom] or model.geom_conaffinity[geom])


def cloud(model: mujoco.MjModel, bodies: dict[int, np.ndarray], colliding: bool = True) -> Cloud:
    """The shape of bodies, in the frame of the given poses (4, 4); only `colliding` geoms, or only the others."""
    points, radii, geoms = [np.empty((0, 3))], [np.empty(0)], [np.empty(0, int)]
    for body, home in bodies.items():
        first = model.body_geomadr[body]
        for geom in range(first, first + model.body_geomnum[body]):
            if collides(model, geom) == colliding:
                local, radius = _balls(model, geom)
                where = home @ frame(model.geom_pos[geom], model.geom_quat[geom])
                points.append(local @ where[:3, :3].T + where[:3, 3])
                radii.append(np.full(len(local), radius))
                geoms.append(np.full(len(local), geom))
    return Cloud(points=np.concatenate(points), radii=np.concatenate(radii), geoms=np.concatenate(geoms))


def _balls(model: mujoco.MjModel, geom: int) -> tuple[np.ndarray, float]:
    """Centres (K, 3) in the geom's frame and their common radius."""
    kinds, size = mujoco.mjtGeom, model.geom_size[geom]
    kind = model.geom_type[geom]
    if kind == kinds.mjGEOM_SPHERE:
        return np.zeros((1, 3)), float(size[0])
    if kind == kinds.mjGEOM_CAPSULE:
        return np.array([[0, 0, -size[1]], [0, 0, size[1]]]), float(size[0])
    if kind == kinds.mjGEOM_BOX:
        return np.array(list(itertools.product((-1.0, 1.0), repeat=3))) * size, 0.0
    if kind == kinds.mjGEOM_CYLINDER:
        rim = [(size[0] * np.cos(a), size[0] * np.sin(a), end * size[1]) for a in ROUND for end in (-1, 1)]
        return np.array(rim), 0.0
    if kind == kinds.mjGEOM_ELLIPSOID:
        return directions(ROUND_ABOUT) * size, 0.0
    if kind == kinds.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        return outermost(np.asarray(model.mesh_vert[start : start + count], dtype=float)), 0.0
    return np.zeros((0, 3)), 0.0  # planes and height fields are not part of a robot


def directions(count: int) -> np.ndarray:
    """Unit vectors in all directions, (count, 3)."""
    index = np.arange(count) + 0.5
    polar, azimuth = np.arccos(1 - 2 * index / count), np.pi * (1 + 5**0.5) * index
    return np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)


def outermost(points: np.ndarray) -> np.ndarray:
    """Points near the hull: if there are many points, those that are farthest in one of many directions; (K, 3) -> (L, 3)."""
    if len(points) <= MANY_VERTICES:
        return points
    axes = np.concatenate([np.eye(3), -np.eye(3), directions(ROUND_ABOUT)])
    near = np.concatenate([axes, *(_tilted(axis) for axis in axes[:6])])  # the corners of flat faces
    return points[np.unique(np.argmax(points @ near.T, axis=0))]


def _tilted(axis: np.ndarray) -> np.ndarray:
    """Directions a little off the frame's axes, (32, 3)."""
    one, other = np.eye(3)[np.abs(axis) < 0.5]
    return np.array([axis + tilt * (np.cos(a) * one + np.sin(a) * other) for a in ROUND for tilt in (0.02, 0.2)])


def extent_across(points: np.ndarray) -> tuple[float, float]:
    """Length and width of a flat set of points: its spreads along its two main directions [m]."""
    if len(points) < 2:
        return 0.0, 0.0
    _, axes = main_axes(points)
    return float(np.ptp(points @ axes[0])), float(np.ptp(points @ axes[1]))


def main_axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations (3,) [m] of points along their main directions, the largest first, and these as rows (3, 3)."""
    centred = points - points.mean(axis=0)
    squares, axes = np.linalg.eigh(centred.T @ centred / len(points))
    return np.sqrt(np.maximum(squares[::-1], 0.0)), axes.T[::-1]


def union(clouds: Iterable[Cloud]) -> Cloud:
    """All shapes together."""
    parts = list(clouds)
    return Cloud(
        points=np.concatenate([part.points for part in parts]),
        radii=np.concatenate([part.radii for part in parts]),
        geoms=np.concatenate([part.geoms for part in parts]),
    )
