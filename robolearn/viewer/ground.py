"""What a robot stands on in the browser: a floor with lines that fade before they flicker, or a map of hills and steps.

mjviser draws floors white on white, with lines that make moire far away, and maps with all their points: ours stand in their place.
"""

from __future__ import annotations

import mujoco
import numpy as np
import trimesh
import viser
from mjviser.conversions import get_body_name

FLOOR, LINES, FINE_LINES = (140, 147, 156), (168, 175, 184), (142, 149, 158)
FADES_M = 18.0  # where the floor has become sky
COARSE = 10  # cells: so far apart are the points of a map where it is flat
LOW, HIGH = np.array([98, 108, 122]), np.array([206, 204, 196])
"""Colours of a map's lowest and highest points."""
SPAN_M = 0.15  # heights that differ by less are not told apart by the whole range of colours


def hide_maps(model: mujoco.MjModel) -> None:
    """Leave a model's maps to `add_ground`: mjviser draws nothing that lets all light through."""
    model.geom_rgba[model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD, 3] = 0.0


def add_ground(server: viser.ViserServer, model: mujoco.MjModel) -> None:
    """Add the floors and maps of a model to the frame of what stands still, floors in place of mjviser's of the same names."""
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
    """A model's height field as a mesh with all its heights, light where it is high, and few points where it is flat."""
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
    """Colours (P, 4) uint8 of heights (P,) [m], which differ the less the flatter all of them are."""
    middle, span = (heights.max() + heights.min()) / 2, max(float(np.ptp(heights)), SPAN_M)
    share = (0.5 + (heights - middle) / span)[:, None]
    return np.column_stack([(1 - share) * LOW + share * HIGH, np.full(len(heights), 255)]).astype(np.uint8)


def needed(heights: np.ndarray) -> np.ndarray:
    """The rows (K,) of heights (R, C) that a mesh needs: all that differ from a neighbour, and each `COARSE`-th of the others."""
    differs = np.abs(np.diff(heights, axis=0)).max(axis=1) > 1e-6
    kept = np.zeros(len(heights), bool)
    kept[::COARSE] = kept[-1] = True
    kept[:-1] |= differs
    kept[1:] |= differs
    return np.flatnonzero(kept)
