"""One or two robots in one scene of the browser."""

from __future__ import annotations

import mujoco
import numpy as np
import viser

from envs.robots.robot import Robot
from robolearn.viewer.browser import add_scene
from robolearn.viewer.camera import look

APART_M = 1.0
"""From the first robot to the second at its left."""
PREFIX = "second_"
TINT = np.array([0.95, 0.55, 0.10])
"""Towards this colour the second robot is painted."""
FLOOR = "floor"


def scene_of(first: Robot, second: Robot | None = None) -> mujoco.MjModel:
    """A model with both robots on one floor: the poses (nq,) of the first come before those of the second.

    The second is orange. A base that stands fixed stands `APART_M` to the left of the first.
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
    """The scene of a page, built anew where other robots enter."""

    def __init__(self, server: viser.ViserServer) -> None:
        """An empty stage."""
        self._server = server
        self._cast: tuple[Robot, ...] | None = None
        self._scene = self._model = self._data = None
        self.follow = True

    def enter(self, *robots: Robot) -> None:
        """Who is to be seen: nobody, one or two. Where the same are there already, they stay."""
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
        """Poses of those who entered, (nq,) each."""
        if self._scene is None or self._data is None or not self._cast:
            return
        self._data.qpos[:] = np.concatenate(poses)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        self._scene.camera_tracking_enabled = self.follow and self._cast[0].floating_base
        with self._server.atomic():
            self._scene.update_from_mjdata(self._data)

    def _step_back(self) -> None:
        """Have the camera see two robots that stand side by side."""
        camera, shift = self._server.initial_camera, np.array([0.0, 0.4 * APART_M, 0.0])
        look(self._server, camera.look_at + 1.4 * (camera.position - camera.look_at) + shift, camera.look_at + shift)
