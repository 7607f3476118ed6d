"""The part of a foot that touches the ground, as points with a radius: spheres, and the corners of other shapes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

RIM = 12  # points of a cylinder's rim
LEVEL = 0.005  # m: points this little above the lowest one touch too


@dataclass(frozen=True, kw_only=True)
class Sole:
    """One foot's sole.

    Attributes:
        body: id of the body that carries it.
        middle: of the sole, in the body's frame [m], (3,).
        points: in the body's frame [m], (P, 3).
        radius: radius of the sphere around each point [m], (P,).
    """

    body: int
    middle: np.ndarray
    points: np.ndarray
    radius: np.ndarray

    def places(self, position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """The points in the world [m], (T, P, 3), for positions (T, 3) and attitudes (T, 3, 3) of the body."""
        return np.einsum("tij,pj->tpi", rotation, self.points) + position[:, None]

    def height(self, places: np.ndarray) -> np.ndarray:
        """Height of the lowest point [m], (T,)."""
        return (places[..., 2] - self.radius).min(1)

    def slip(self, places: np.ndarray, rotation: np.ndarray, dt: float) -> np.ndarray:
        """Planar speed of the touching points [m/s], (T,), over the interval that ends at each sample; 0 at the first.

        The touching points are those within `LEVEL` of the lowest in both samples, or, if there are none, the lowest of the first sample. A
        rolling sphere does not slip.
        """
        heights = places[..., 2] - self.radius
        low = heights <= heights.min(1, keepdims=True) + LEVEL
        both = low[:-1] & low[1:]
        lowest = heights[:-1] <= heights[:-1].min(1, keepdims=True)
        weight = np.where(both.any(1, keepdims=True), both, lowest).astype(float)
        turn = np.einsum("tij,tkj->tik", rotation[1:], rotation[:-1])  # from one sample to the next
        spin = np.stack([turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], -1) / 2  # rad
        moved = (places[1:] - places[:-1])[..., :2]
        rolled = np.stack([-spin[:, 1], spin[:, 0]], -1)[:, None] * self.radius[:, None]  # spin x (0, 0, -radius)
        speed = np.linalg.norm(moved + rolled, axis=-1) / dt
        return np.concatenate([[0.0], (speed * weight).sum(1) / weight.sum(1)])


def sole(model: mujoco.MjModel, site: int, geoms: Sequence[int]) -> Sole:
    """The sole of the geoms on a site's body, with the site as its middle."""
    found = [_points(model, geom) for geom in geoms]
    points, radius = np.concatenate([points for points, _ in found]), np.concatenate([radius for _, radius in found])
    return Sole(body=int(model.site_bodyid[site]), middle=model.site_pos[site].copy(), points=points, radius=radius)


def _points(model: mujoco.MjModel, geom: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 3) in the body's frame and radii (P,) of a geom."""
    kind, size = mujoco.mjtGeom(int(model.geom_type[geom])), model.geom_size[geom]
    kinds = mujoco.mjtGeom
    if kind == kinds.mjGEOM_SPHERE:
        local, radius = np.zeros((1, 3)), size[0]
    elif kind == kinds.mjGEOM_CAPSULE:
        local, radius = np.array([[0.0, 0.0, -size[1]], [0.0, 0.0, size[1]]]), size[0]
    elif kind == kinds.mjGEOM_CYLINDER:
        turn = 2 * np.pi * np.arange(RIM) / RIM
        rim = np.stack([size[0] * np.cos(turn), size[0] * np.sin(turn)], -1)
        local, radius = np.concatenate([np.column_stack([rim, np.full(RIM, z)]) for z in (-size[1], size[1])]), 0.0
    elif kind == kinds.mjGEOM_MESH:
        mesh = int(model.geom_dataid[geom])
        start = int(model.mesh_vertadr[mesh])
        vertices = model.mesh_vert[start : start + int(model.mesh_vertnum[mesh])]
        ways = np.array([way for way in itertools.product((-1.0, 0.0, 1.0), repeat=3) if any(way)])
        local, radius = vertices[np.unique((vertices @ ways.T).argmax(0))], 0.0
    else:  # a box, or the bounding box of another shape
        local, radius = np.array(list(itertools.product((-1.0, 1.0), repeat=3))) * size, 0.0
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
    return local @ rotation.reshape(3, 3).T + model.geom_pos[geom], np.full(len(local), float(radius))
