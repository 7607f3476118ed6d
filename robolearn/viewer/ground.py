"""The ground in the browser: a floor with lines that fade out before they flicker, or a height field of hills and steps.

mjviser draws floors white on white, with lines that cause moire in the distance, and height fields with all their points; ours replace
them.
"""

from __future__ import annotations

import mujoco
import numpy as np
import trimesh
import viser
from mjviser.conversions import get_body_name

FLOOR, LINES, FINE_LINES = (140, 147, 156), (168, 175, 184), (142, 149, 158)
FADES_M = 18.0  # distance at which the floor has faded into the sky
COARSE = 10  # cells between the points of a flat area
LOW, HIGH = np.array([98, 108, 122]), np.array([206, 204, 196])
"""Colours of a height field's lowest and highest points."""
SPAN_M = 0.15  # m: range of heights below which not all of the range of colours is used


def hide_maps(model: mujoco.MjModel) -> None:
    """Leave a model's height fields to `add_ground` by making them transparent, which mjviser does not draw."""
    model.geom_rgba[model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD, 3] = 0.0


def add_ground(server: viser.ViserServer, model: mujoco.MjModel) -> None:
    """Add the floors and height fields of a model to the static frame; floors replace mjviser's of the same names."""
    for geom in range(model.ngeom):
        place = {"position": model.geom_pos[geom], "wxyz": model.geom_quat[geom]}
        name = f"/fixed_bodies/{get_body_name(model, model.geom_bodyid[geom])}/{model.geom(geom).name or None}"
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE:
            server.scene.add_grid(
                name,
                infinite_grid=True,
                cell_size=0.5,
                cell_color=FINE_LINES,
                section_color=LINES,
                section_thickness=1.2,
                fade_distance=FADES_M,
                shadow_opacity=0.45,
                plane_color=FLOOR,
                plane_opacity=1.0,
                **place,
            )
        elif model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_HFIELD:
            server.scene.add_mesh_trimesh(
                name, map_mesh(model, int(model.geom_dataid[geom])), cast_shadow=False, receive_shadow=0.4, **place
            )


def map_mesh(model: mujoco.MjModel, number: int) -> trimesh.Trimesh:
    """A model's height field as a mesh with all its heights, lighter at higher points, with few points in flat areas."""
    rows, columns = int(model.hfield_nrow[number]), int(model.hfield_ncol[number])
    start = int(model.hfield_adr[number])
    half_x, half_y, top, _ = model.hfield_size[number]
    heights = top * model.hfield_data[start : start + rows * columns].reshape(rows, columns)
    kept_rows, kept_columns = needed(heights), needed(heights.T)
    x, y = np.linspace(-half_x, half_x, columns)[kept_columns], np.linspace(-half_y, half_y, rows)[kept_rows]
    z = heights[np.ix_(kept_rows, kept_columns)]
    across, along = np.meshgrid(x, y)
    corner = (np.arange(len(y) - 1)[:, None] * len(x) + np.arange(len(x) - 1)[None]).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + len(x) + 1], 1), np.stack([corner, corner + len(x) + 1, corner + len(x)], 1)]
    )
    colors = colors_of(z.ravel())
    return trimesh.Trimesh(np.stack([across, along, z], -1).reshape(-1, 3), faces, vertex_colors=colors, process=False)


def colors_of(heights: np.ndarray) -> np.ndarray:
    """Colours (P, 4) uint8 of heights (P,) [m], with less contrast for flatter ground."""
    middle, span = (heights.max() + heights.min()) / 2, max(float(np.ptp(heights)), SPAN_M)
    share = (0.5 + (heights - middle) / span)[:, None]
    return np.column_stack([(1 - share) * LOW + share * HIGH, np.full(len(heights), 255)]).astype(np.uint8)


def needed(heights: np.ndarray) -> np.ndarray:
    """The rows (K,) of heights (R, C) that a mesh needs: all that differ from a neighbour, and every `COARSE`-th of the others."""
    differs = np.abs(np.diff(heights, axis=0)).max(axis=1) > 1e-6
    kept = np.zeros(len(heights), bool)
    kept[::COARSE] = kept[-1] = True
    kept[:-1] |= differs
    kept[1:] |= differs
    return np.flatnonzero(kept)
