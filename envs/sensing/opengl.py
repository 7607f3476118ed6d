"""MuJoCo's own renderer, offscreen, one world after the other. Nothing of OpenGL is loaded before a renderer is made."""

from __future__ import annotations

import contextlib
import os
import platform
import warnings
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
import torch

from envs.sensing.face import RenderError, Shot, View
from envs.sensing.stage import Stage

MOST_GEOMS = 10000
SKY = 0.99  # of the furthest that is drawn: what lies beyond is the sky
_ADVICE = "on Debian and Ubuntu: apt-get install libegl1 libopengl0 libgl1-mesa-dri; or say renderer: raytracer"


class OpenGL:
    """See `envs.sensing.face.Renderer`."""

    name = "opengl"

    def __init__(self, stage: Stage, views: Sequence[View], shadows: bool) -> None:
        """Open a context (EGL on Linux, unless MUJOCO_GL says otherwise).

        Args:
            stage: what is looked at, compiled.
            views: what is drawn of it.
            shadows: whether lights cast them.

        Raises:
            RenderError: there is no OpenGL here.
        """
        self._stage, self._views = stage, tuple(views)
        self._model = stage.spec.copy().compile()  # whose fields are those of one world after the other
        self._data = mujoco.MjData(self._model)
        self._gl = _context(max(view.width for view in views), max(view.height for view in views))
        self._scene = mujoco.MjvScene(self._model, MOST_GEOMS)
        try:
            self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_50)
        except mujoco.FatalError as error:
            self._gl.free()
            raise RenderError(f"OpenGL does not draw here ({error}); {_ADVICE}") from error
        self._open = True
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[stage.shown_groups()] = 1
        self._option.sitegroup[:] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_HAZE] = 0
        self._cameras = [_camera(view.camera) for view in views]
        kind = mujoco.mjtTexture.mjTEXTURE_SKYBOX
        self._skies = [i for i in range(self._model.ntex) if self._model.tex_type[i] == kind]

    def draw(self, ids: torch.Tensor, qpos: torch.Tensor) -> Sequence[Shot]:
        device, count = ids.device, len(ids)
        fields = {name: values[ids].cpu().numpy() for name, values in self._stage.varied().items()}
        skies, poses = self._stage.sky[ids].tolist(), qpos.double().cpu().numpy()
        self._gl.make_current()
        taken = [_Film(view, count) for view in self._views]
        for row in range(count):
            self._pose(poses[row], {name: values[row] for name, values in fields.items()})
            self._put_up(skies[row])
            for film, camera in zip(taken, self._cameras, strict=True):
                self._take(film, camera, row)
        return [film.shot(device) for film in taken]

    def _pose(self, qpos: np.ndarray, fields: dict[str, np.ndarray]) -> None:
        """Make the model one world's."""
        for name, value in fields.items():
            getattr(self._model, name)[:] = value
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def _put_up(self, sky: int) -> None:
        """Show one of the skies: of all that are loaded, MuJoCo draws the one that says it is a sky."""
        flat, kind = int(mujoco.mjtTexture.mjTEXTURE_2D), int(mujoco.mjtTexture.mjTEXTURE_SKYBOX)
        for index, texture in enumerate(self._skies):
            self._context.textureType[texture] = kind if index == sky else flat

    def _take(self, film: _Film, camera: mujoco.MjvCamera, row: int) -> None:
        every = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, self._data, self._option, None, camera, every, self._scene)
        port = mujoco.MjrRect(0, 0, film.view.width, film.view.height)
        if film.color is not None or film.depth is not None:
            mujoco.mjr_render(port, self._scene, self._context)
            mujoco.mjr_readPixels(
                None if film.color is None else film.color[row], None if film.depth is None else film.depth[row], port, self._context
            )
        if film.depth is not None:
            film.depth[row] = _metres(film.depth[row], self._model)
        if film.ids is not None:
            segment, color = mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR
            self._scene.flags[segment] = self._scene.flags[color] = 1
            mujoco.mjr_render(port, self._scene, self._context)
            self._scene.flags[segment] = self._scene.flags[color] = 0
            mujoco.mjr_readPixels(film.codes, None, port, self._context)
            film.ids[row] = _geoms(film.codes, self._scene)

    def close(self) -> None:
        if getattr(self, "_open", False):
            self._open = False
            self._gl.make_current()
            self._context.free()
            self._gl.free()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the interpreter's end, when the library may be gone
            self.close()


class _Film:
    """Room for what a view gives in some worlds, rows from the lowest up, as OpenGL has them."""

    def __init__(self, view: View, count: int) -> None:
        shape = (count, view.height, view.width)
        self.view = view
        self.color = np.empty((*shape, 3), np.uint8) if view.color else None
        self.depth = np.empty(shape, np.float32) if view.depth else None
        self.ids = np.empty(shape, np.int32) if view.geoms else None
        self.codes = np.empty((*shape[1:], 3), np.uint8)

    def shot(self, device: torch.device) -> Shot:
        def upright(rows: np.ndarray | None) -> torch.Tensor | None:
            return None if rows is None else torch.from_numpy(np.ascontiguousarray(rows[:, ::-1])).to(device)

        return Shot(color=upright(self.color), depth=upright(self.depth), geoms=upright(self.ids))


def _metres(buffer: np.ndarray, model: mujoco.MjModel) -> np.ndarray:
    """Distance along the optical axis [m] from what the depth buffer holds; 0 where there is nothing."""
    extent = model.stat.extent
    near, far = model.vis.map.znear * extent, model.vis.map.zfar * extent
    depth = near / (1.0 - buffer * (1.0 - near / far))
    return np.where(depth < SKY * far, depth, 0.0)


def _geoms(codes: np.ndarray, scene: Any) -> np.ndarray:
    """Ids of geoms from the colours that MuJoCo gives to what is in the scene; -1 for what is no geom."""
    code = codes[..., 0].astype(np.int32) + 256 * codes[..., 1].astype(np.int32) + 65536 * codes[..., 2].astype(np.int32)
    table = np.full(scene.ngeom + 1, -1, np.int32)
    for geom in scene.geoms[: scene.ngeom]:
        if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and 0 <= geom.segid < scene.ngeom:
            table[geom.segid + 1] = geom.objid
    return table[np.minimum(code, scene.ngeom)]


def _camera(camera: int) -> mujoco.MjvCamera:
    made = mujoco.MjvCamera()
    made.type, made.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, camera
    return made


def _context(width: int, height: int) -> Any:
    """An OpenGL context; chosen here, since MuJoCo reads MUJOCO_GL once, when it is first imported."""
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    try:
        if platform.system() == "Linux" and chosen in ("", "egl"):
            from mujoco.egl import GLContext
        else:
            from mujoco.gl_context import GLContext
        with warnings.catch_warnings(action="ignore"):
            context = GLContext(width, height)
            context.make_current()
    except (ImportError, OSError, RuntimeError, AttributeError, mujoco.FatalError) as error:
        raise RenderError(f"renderer 'opengl' does not start here ({error}); {_ADVICE}") from error
    return context
