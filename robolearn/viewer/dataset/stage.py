"""One or two robots in one scene of the browser."""

from __future__ import annotations

import mujoco
import numpy as np
import viser

from envs.robots.robot import Robot
from robolearn.viewer.browser import add_scene
from robolearn.viewer.camera import look

APART_M = 1.0
"""Distance from the first robot to the second on its left [m]."""
PREFIX = "second_"
TINT = np.array([0.95, 0.55, 0.10])
"""Colour into which the second robot's is blended."""
FLOOR = "floor"


def scene_of(first: Robot, second: Robot | None = None) -> mujoco.MjModel:
    """A model with both robots on one floor: the poses (nq,) of the first come before those of the second.

    The second is orange. If its base is fixed, it is `APART_M` to the left of the first.
    """
    spec = first.scene()
    if second is not None:
        other = second.scene()
        floor = other.geom(FLOOR)
        if floor is not None:
            other.delete(floor)
        for key in list(other.keys):
            other.delete(key)
        for geom in other.geoms:
            geom.material, geom.rgba = "", [*(0.35 * np.array(geom.rgba[:3]) + 0.65 * TINT), geom.rgba[3]]
        place = spec.worldbody.add_frame(pos=[0.0, 0.0 if second.floating_base else APART_M, 0.0])
        spec.attach(other, frame=place, prefix=PREFIX)
    return spec.compile()


class Stage:
    """The scene of a page, rebuilt for other robots."""

    def __init__(self, server: viser.ViserServer) -> None:
        """Begin empty."""
        self._server = server
        self._cast: tuple[Robot, ...] | None = None
        self._scene = self._model = self._data = None
        self.follow = True

    def enter(self, *robots: Robot) -> None:
        """Show no, one or two robots; if the same are there already, they stay."""
        if robots == self._cast:
            return
        self._cast = robots
        self._server.scene.reset()
        self._scene = self._model = self._data = None
        if robots:
            self._model = scene_of(*robots)
            self._data = mujoco.MjData(self._model)
            self._scene = add_scene(self._server, self._model, follow=robots[0].floating_base)
            if len(robots) > 1:
                self._step_back()

    def show(self, *poses: np.ndarray) -> None:
        """Set the poses of the shown robots, (nq,) each."""
        if self._scene is None or self._data is None or not self._cast:
            return
        self._data.qpos[:] = np.concatenate(poses)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        self._scene.camera_tracking_enabled = self.follow and self._cast[0].floating_base
        with self._server.atomic():
            self._scene.update_from_mjdata(self._data)

    def _step_back(self) -> None:
        """Move the camera to see two robots side by side."""
        camera, shift = self._server.initial_camera, np.array([0.0, 0.4 * APART_M, 0.0])
        look(self._server, camera.look_at + 1.4 * (camera.position - camera.look_at) + shift, camera.look_at + shift)
