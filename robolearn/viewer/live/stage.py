"""The robot in the browser's scene, and the camera that follows it."""

from __future__ import annotations

import mujoco
import numpy as np
import viser

from robolearn.viewer.browser import add_scene, followed
from robolearn.viewer.camera import bounds, resting
from robolearn.viewer.live.arrows import Arrows, length_for
from robolearn.viewer.moment import Moment
from robolearn.viewer.playback import Playback

SOON_S, LATER_S = 0.15, 0.6  # s: time constants of the camera in the plane and vertically, slow enough that a gait's bobbing is visible
LEAP_M = 1.0  # m: a robot that moves this far at once has been reset
OVER_M = 0.06  # m: from the top of a robot to its arrows


class Stage:
    """One robot on its ground.

    Attributes:
        follow: whether the camera follows the robot.
        arrows: the drawing above it.
        arrow_m: length of an arrow for 1 m/s [m].
        center: place in the world that is the scene's origin now, (3,) [m].
    """

    def __init__(self, server: viser.ViserServer, playback: Playback, move: bool = True, old: Stage | None = None) -> None:
        """Build the scene of a world, replacing the old one.

        Args:
            server: of the page.
            playback: the world.
            move: whether to move the camera to see the whole robot.
            old: the previous stage, whose settings are kept.
        """
        server.scene.reset()
        robot = playback.env.robot
        self._server = server
        self._model = playback.env.scene().compile()
        self._data = mujoco.MjData(self._model)
        self._base = self._model.body(robot.base).id
        self._floats = robot.floating_base
        self.center = np.zeros(3)
        self._placed = False
        self.follow = old.follow if old else True
        self._scene = add_scene(server, self._model, follow=self._floats, move=move)
        self._scene.camera_tracking_enabled = False
        rest = resting(self._model)
        low, high = bounds(self._model, rest, followed(self._model) if self._floats else None)
        self.arrow_m = length_for(float(np.linalg.norm(high - low)))
        self.arrows = Arrows(server, playback.command.kind, float(high[2] - rest.xpos[self._base, 2]) + OVER_M, self.arrow_m)
        self.arrows.visible = old.arrows.visible if old else True

    def show(self, moment: Moment, dt: float) -> None:
        """Draw a moment, `dt` [s] after the last one."""
        self._data.qpos[:] = moment.qpos
        mujoco.mj_kinematics(self._model, self._data)
        base = self._data.xpos[self._base]
        center = self._go_along(base, dt)
        rotation = self._data.xmat[self._base].reshape(3, 3)
        with self._server.atomic():
            self._scene.update_from_arrays((self._data.xpos - center)[None], self._data.xmat.reshape(1, -1, 3, 3))
            self._scene.fixed_bodies_frame.position = -center
            self.arrows.show(moment, base - center, float(np.arctan2(rotation[1, 0], rotation[0, 0])))

    def _go_along(self, base: np.ndarray, dt: float) -> np.ndarray:
        """Move the scene's origin after the base; returns its place in the world, (3,) [m]."""
        if not self._floats:
            return self.center
        if not self._placed or (np.linalg.norm(base[:2] - self.center[:2]) > LEAP_M and self.follow):
            self.center, self._placed = base.copy(), True
        elif self.follow:
            share = 1 - np.exp(-dt / np.array([SOON_S, SOON_S, LATER_S]))
            self.center = self.center + share * (base - self.center)
        return self.center
