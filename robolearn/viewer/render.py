"""Renders pictures of a robot: a scene with floor, sky, light and shadow, with command and measurement drawn into it.

`Recorder` draws one robot offscreen with MuJoCo's renderer. Additions to the robot's scene are only visual: the physics runs in the
environment, on its own model.
"""

from __future__ import annotations

import itertools
import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from envs.robots.robot import Robot
from policies.files import reason
from robolearn.errors import UserError
from robolearn.viewer.moment import Moment
from robolearn.viewer.visuals import hang_meshes

GREEN, BLUE, ORANGE = (0.15, 0.68, 0.38, 1.0), (0.16, 0.45, 0.90, 1.0), (0.95, 0.55, 0.10, 0.75)
ARROW_SCALE = 0.5  # m of arrow per m/s
YAW_RADIUS = 0.22  # m
GOAL_RADIUS = 0.03  # m
SUN_HEIGHT = 2.0  # m; straight above, since MuJoCo's shadows of a slanted sun speckle the floor
ARM_VIEW = np.array([0.1, -0.1, 0.36])  # m, beside the arm: the figures stand on the left
VIEW_DEG = 125.0  # direction of the camera relative to the robot's initial heading
MAX_GEOMS = 2000
FOLLOW = np.array([0.25, 0.25, 0.03])  # share of the distance to the base that the camera moves per picture


def dressed_scene(robot: Robot, width: int, height: int, scene: mujoco.MjSpec | None = None, visuals: Path | None = None) -> mujoco.MjModel:
    """The robot's scene, or another with it, with a checkered floor, a sky and a sun that casts shadows; meshes of `visuals` if given."""
    spec = scene or robot.scene()
    if visuals is not None:
        hang_meshes(spec, robot, visuals)
    spec.visual.global_.offwidth, spec.visual.global_.offheight = width, height
    spec.visual.quality.shadowsize, spec.visual.quality.offsamples = 1024, 4
    spec.visual.quality.numslices, spec.visual.quality.numstacks = 16, 8  # saves a quarter of the time per picture without a GPU
    spec.visual.headlight.ambient, spec.visual.headlight.diffuse, spec.visual.headlight.specular = [0.35] * 3, [0.35] * 3, [0.1] * 3
    spec.stat.extent, spec.visual.map.shadowclip = 1.2, min(max(robot.stand_height or 1.0, 0.6), 1.0)  # farther away, shadows flicker
    spec.visual.map.znear = 0.02
    spec.visual.map.zfar, spec.visual.map.fogstart, spec.visual.map.fogend = 40.0, 4.0, 12.0
    spec.visual.rgba.fog, spec.visual.rgba.haze = [0.86, 0.90, 0.94, 1.0], [0.86, 0.90, 0.94, 1.0]
    sky, flat = mujoco.mjtTexture.mjTEXTURE_SKYBOX, mujoco.mjtTexture.mjTEXTURE_2D
    gradient, checker = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, mujoco.mjtBuiltin.mjBUILTIN_CHECKER
    spec.add_texture(name="looks_sky", type=sky, builtin=gradient, rgb1=[0.45, 0.60, 0.80], rgb2=[0.90, 0.94, 0.97], width=128, height=768)
    spec.add_texture(
        name="looks_floor", type=flat, builtin=checker, rgb1=[0.78, 0.80, 0.83], rgb2=[0.66, 0.69, 0.73], width=256, height=256
    )
    material = spec.add_material(name="looks_floor", texuniform=True, texrepeat=[1.0, 1.0], specular=0.1, shininess=0.1)
    textures = list(material.textures)
    textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "looks_floor"
    material.textures = textures
    floor = spec.geom("floor")
    if floor is not None:
        floor.material, floor.rgba = "looks_floor", [1.0, 1.0, 1.0, 1.0]
    sun = (spec.body(robot.base) if robot.floating_base else spec.worldbody).add_light(name="looks_sun", castshadow=True)
    sun.mode = mujoco.mjtCamLight.mjCAMLIGHT_TRACK if robot.floating_base else mujoco.mjtCamLight.mjCAMLIGHT_FIXED
    sun.type, sun.pos, sun.dir, sun.diffuse = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, [0, 0, SUN_HEIGHT], [0, 0, -1], [0.55] * 3
    return spec.compile()


class Recorder:
    """Draws one robot offscreen.

    Attributes:
        model: the drawn model.
        width, height: size of a picture [pixels].
    """

    def __init__(self, robot: Robot, width: int = 960, height: int = 540, scene: mujoco.MjSpec | None = None,
                 visuals: Path | None = None, kind: str = "") -> None:  # fmt: skip
        """Open an OpenGL context (EGL on Linux, unless MUJOCO_GL says otherwise).

        Args:
            robot: the robot to draw.
            width, height: size of a picture [pixels], even.
            scene: a scene with more than the robot on its floor.
            visuals: MJCF whose meshes are shown in place of our primitive shapes.
            kind: kind of the commands to draw into the scene, see `CommandSpec`; others are not drawn.

        Raises:
            UserError: a size is odd, or OpenGL is not available.
        """
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise UserError(f"a video is an even number of pixels wide and high, not {width} x {height}")
        self.model, self.width, self.height = dressed_scene(robot, width, height, scene, visuals), width, height
        self._data = mujoco.MjData(self.model)
        self._base = self.model.body(robot.base).id
        self._floating = robot.floating_base
        self._draw_command: Callable[[Moment], None] | None = {
            "velocity": self._draw_velocity,
            "goal_position": self._draw_goal,
            "goal_pose": self._draw_goal,
        }.get(kind)
        self._gl = open_context(width, height)
        self._scene = mujoco.MjvScene(self.model, MAX_GEOMS)
        try:
            self._context = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except mujoco.FatalError as error:
            self._gl.free()
            raise _no_opengl(error) from error
        self._open = True
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 1  # bundled robots consist of primitives, in a group that other viewers hide
        self._option.sitegroup[:] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = 1
        self._scene.flags[mujoco.mjtRndFlag.mjRND_HAZE] = 1
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        self._size = (robot.stand_height or 0.28) / 0.28  # relative to a quadruped's
        self._camera.distance, self._camera.elevation = 1.7 * max(1.0, 0.6 * self._size), -18.0 if self._size < 2 else -10.0
        self._look_at: np.ndarray | None = None
        self._held = False

    def look(self, look_at: np.ndarray, azimuth: float, elevation: float, distance: float) -> None:
        """From now on look at a point (3,) [m] from a direction [degrees] and a distance [m], whatever the robot does."""
        self._held = True
        self._camera.lookat[:] = look_at
        self._camera.azimuth, self._camera.elevation, self._camera.distance = azimuth, elevation, distance

    def draw(self, qpos: np.ndarray, moment: Moment | None = None) -> np.ndarray:
        """A picture (height, width, 3), uint8 RGB, of the pose `qpos` (nq,), with the command and measurement of `moment` drawn into the
        scene.
        """
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self.model, self._data)
        mujoco.mj_comPos(self.model, self._data)
        mujoco.mj_camlight(self.model, self._data)
        if not self._held:
            self._aim(restart=moment is not None and moment.fell)
        every = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self.model, self._data, self._option, None, self._camera, every, self._scene)
        if moment is not None and self._draw_command is not None:
            self._draw_command(moment)
        self._gl.make_current()
        viewport = mujoco.MjrRect(0, 0, self.width, self.height)
        mujoco.mjr_render(viewport, self._scene, self._context)
        picture = np.empty((self.height, self.width, 3), np.uint8)
        mujoco.mjr_readPixels(picture, None, viewport, self._context)
        return np.flipud(picture)

    def close(self) -> None:
        """Free the OpenGL context."""
        if self._open:
            self._open = False
            self._gl.make_current()  # its objects are freed in the OpenGL context that is current
            self._context.free()
            self._gl.free()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _aim(self, restart: bool) -> None:
        """Follow the base smoothly, slowest vertically, so that its bobbing is visible; for an arm the camera stays."""
        target = self._data.xpos[self._base] - [0, 0, 0.04 * self._size] if self._floating else ARM_VIEW
        if self._look_at is None or restart:
            self._look_at = target
            self._camera.azimuth = VIEW_DEG + (np.degrees(self._yaw()) if self._floating else 0.0)  # a robot that walks ahead is seen from
            # the side
        self._look_at = self._look_at + FOLLOW * (target - self._look_at)
        self._camera.lookat[:] = self._look_at

    def _yaw(self) -> float:
        rotation = self._data.xmat[self._base].reshape(3, 3)
        return float(np.arctan2(rotation[1, 0], rotation[0, 0]))

    def _draw_velocity(self, moment: Moment) -> None:
        """Arrows above the back, green for the command and blue for the measurement; arcs for the yaw rate."""
        yaw = self._yaw()
        above = self._data.xpos[self._base]
        for (vx, vy, rate), color, height in ((moment.command, GREEN, 0.30), (moment.measured, BLUE, 0.24)):
            start = np.array([above[0], above[1], above[2] + height])
            direction = np.array([np.cos(yaw) * vx - np.sin(yaw) * vy, np.sin(yaw) * vx + np.cos(yaw) * vy, 0.0])
            if np.linalg.norm(direction) > 0.05:
                self._connect(mujoco.mjtGeom.mjGEOM_ARROW, 0.014, start, start + ARROW_SCALE * direction, color)
            if abs(rate) > 0.05:
                angles = yaw + np.linspace(0.0, np.clip(rate, -2.5, 2.5), 10)
                points = [start + YAW_RADIUS * np.array([np.cos(a), np.sin(a), 0.0]) for a in angles]
                for a, b in itertools.pairwise(points[:-1]):
                    self._connect(mujoco.mjtGeom.mjGEOM_CAPSULE, 0.006, a, b, color)
                self._connect(mujoco.mjtGeom.mjGEOM_ARROW, 0.012, points[-2], points[-1] + 1.2 * (points[-1] - points[-2]), color)

    def _draw_goal(self, moment: Moment) -> None:
        """A sphere at the goal, green once it is reached, a dot at the tool and a line between them."""
        goal, tool = np.array(moment.command[:3]), np.array(moment.measured[:3])
        geom = self._new_geom()
        if geom is not None:
            color = (*GREEN[:3], 0.75) if moment.reached else ORANGE
            _fill(geom, mujoco.mjtGeom.mjGEOM_SPHERE, [GOAL_RADIUS, 0.0, 0.0], goal, color)
        geom = self._new_geom()
        if geom is not None:
            _fill(geom, mujoco.mjtGeom.mjGEOM_SPHERE, [0.012, 0.0, 0.0], tool, BLUE)
        if np.linalg.norm(goal - tool) > GOAL_RADIUS:
            self._connect(mujoco.mjtGeom.mjGEOM_CAPSULE, 0.004, tool, goal, BLUE)

    def _new_geom(self) -> Any:
        if self._scene.ngeom >= self._scene.maxgeom:
            return None
        self._scene.ngeom += 1
        return self._scene.geoms[self._scene.ngeom - 1]

    def _connect(self, kind: mujoco.mjtGeom, radius: float, start: np.ndarray, end: np.ndarray, color: tuple[float, ...]) -> None:
        geom = self._new_geom()
        if geom is not None:
            _fill(geom, kind, [radius] * 3, start, color)
            mujoco.mjv_connector(geom, kind, radius, start, end)


def open_context(width: int, height: int) -> Any:
    """An OpenGL context; chosen here, since MuJoCo reads MUJOCO_GL once, when it is first imported."""
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    try:
        if platform.system() == "Linux" and chosen in ("", "egl"):
            from mujoco.egl import GLContext
        else:
            from mujoco.gl_context import GLContext
        with warnings.catch_warnings(action="ignore"):  # GLFW's warning, before the error that explains
            context = GLContext(width, height)
            context.make_current()
    except (ImportError, OSError, RuntimeError, AttributeError, mujoco.FatalError) as error:
        raise _no_opengl(error) from error
    return context


def _no_opengl(error: Exception) -> UserError:
    """Raise a user error for whatever MuJoCo and its libraries raise if drawing is not possible."""
    advice = "on Debian and Ubuntu: apt-get install libegl1 libopengl0 libgl1-mesa-dri; or skip the video with --no-video"
    return UserError(f"cannot draw without a screen, OpenGL does not start ({reason(error)}); {advice}")


def _fill(geom: Any, kind: mujoco.mjtGeom, size: list[float], position: np.ndarray, color: tuple[float, ...]) -> None:
    mujoco.mjv_initGeom(geom, kind, np.array(size), np.asarray(position, np.float64), np.eye(3).flatten(), np.array(color, np.float32))
    geom.category = mujoco.mjtCatBit.mjCAT_DECOR
