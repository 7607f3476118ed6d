"""The start of the browser's camera: in front of the robot, as near as the whole robot fits into view."""

from __future__ import annotations

import itertools

import mujoco
import numpy as np
import viser

FOV_DEG = 38.0  # upright
FILL = 0.82  # of the picture's height and of a square's width
FROM = np.array([0.72, -1.0, 0.42])  # viewing direction: from the front right, a little from above
ROOM_M = 0.14  # room above the robot, for arrows
CORNERS = np.array(list(itertools.product((-1, 1), repeat=3)), float)


def bounds(model: mujoco.MjModel, data: mujoco.MjData, body: int | None = None) -> np.ndarray:
    """Lowest and highest corner (2, 3) of the visible parts of a body's kinematic tree, or of all trees [m]."""
    points = outline(model, data, body)
    return np.stack([points.min(axis=0), points.max(axis=0)])


def outline(model: mujoco.MjModel, data: mujoco.MjData, body: int | None = None) -> np.ndarray:
    """Corners (K, 3) of the boxes around these visible parts [m]; of a box of 1 m if there are none."""
    tree = model.body_rootid > 0 if body is None else model.body_rootid == model.body_rootid[body]
    shown = np.flatnonzero(tree[model.geom_bodyid] & (model.geom_rgba[:, 3] > 0))
    points = [0.5 * CORNERS + np.array([0.0, 0.0, 0.5])] if not len(shown) else []
    for geom in shown:
        corners = model.geom_aabb[geom, :3] + CORNERS * model.geom_aabb[geom, 3:]
        points.append(data.geom_xpos[geom] + corners @ data.geom_xmat[geom].reshape(3, 3).T)
    return np.concatenate(points)


def resting(model: mujoco.MjModel) -> mujoco.MjData:
    """A model in its first key's pose, or in none."""
    data = mujoco.MjData(model)
    if model.nkey:
        mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_kinematics(model, data)
    return data


def view_of(model: mujoco.MjModel, follow: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Position of the camera and the point it looks at, (3,) each [m].

    Args:
        model: the model, in its rest pose.
        follow: body at the scene's origin; None if the scene stands still.
    """
    data = resting(model)
    points = outline(model, data, follow)
    points = np.vstack([points, points.max(axis=0) + np.array([0.0, 0.0, ROOM_M])])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    away = FROM / np.linalg.norm(FROM)
    right = np.cross(-away, [0.0, 0.0, 1.0]) / np.linalg.norm(np.cross(-away, [0.0, 0.0, 1.0]))
    across = np.abs((points - middle) @ np.stack([right, np.cross(right, -away)], axis=1)).max(axis=1)
    distance = float((across / np.tan(np.radians(FOV_DEG) / 2) / FILL + (points - middle) @ away).max())  # the nearest from which all fit
    if follow is not None:
        middle = middle - data.xpos[follow]
    return middle + distance * away, middle


def look(server: viser.ViserServer, position: np.ndarray, look_at: np.ndarray, move: bool = True) -> None:
    """Set the camera of new pages, and, with `move`, of open ones."""
    camera = server.initial_camera
    camera.fov = np.radians(FOV_DEG)
    camera.position, camera.look_at = position, look_at
    for client in server.get_clients().values() if move else ():
        client.camera.fov = float(np.radians(FOV_DEG))
        client.camera.position, client.camera.look_at = position, look_at
