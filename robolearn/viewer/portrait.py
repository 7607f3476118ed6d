"""A picture of a robot in its default pose, from two sides."""

from __future__ import annotations

from pathlib import Path

import cv2
import mujoco
import numpy as np

from envs.robots.robot import Robot
from policies.errors import UserError
from policies.files import reason, whole
from robolearn.viewer.render import open_context

SIZE = 640  # pixels, of each side
VIEWS = ((145.0, -18.0), (90.0, -6.0))  # azimuth and elevation [degrees]: from the front left, from the right
HIDES = 0.5  # share of the size of a body's collision shapes that visible shapes must have to stand for it
SEEN_GROUP = 2  # geoms in higher groups are for contact; shown if a body has no others


def draw(robot: Robot) -> np.ndarray:
    """The robot in its default pose on its floor, seen from two sides, (SIZE, 2 SIZE, 3) uint8 RGB.

    Raises:
        UserError: OpenGL is not available.
        RobotError: the robot's scene cannot be built.
    """
    spec = robot.scene()
    spec.visual.global_.offwidth = spec.visual.global_.offheight = SIZE
    spec.visual.headlight.ambient, spec.visual.headlight.diffuse = [0.45] * 3, [0.45] * 3
    spec.visual.quality.shadowsize, spec.visual.quality.offsamples = 1024, 4
    _dress(spec)
    model = spec.compile()
    _show(model)
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
    mujoco.mj_forward(model, data)
    shapes = model.geom_bodyid > 0
    points = np.concatenate(
        [data.geom_xpos[shapes] + model.geom_rbound[shapes, None], data.geom_xpos[shapes] - model.geom_rbound[shapes, None]]
    )
    low, high = points.min(axis=0), points.max(axis=0)
    gl = open_context(SIZE, SIZE)
    scene = mujoco.MjvScene(model, 2000)
    try:
        context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
    except mujoco.FatalError as error:
        gl.free()
        raise UserError(f"cannot draw: OpenGL does not start ({reason(error)})") from error
    try:
        return np.concatenate([_view(model, data, scene, context, (low + high) / 2, float((high - low).max()), *view) for view in VIEWS], 1)
    finally:
        gl.make_current()
        context.free()
        gl.free()


def _dress(spec: mujoco.MjSpec) -> None:
    flat, sky = mujoco.mjtTexture.mjTEXTURE_2D, mujoco.mjtTexture.mjTEXTURE_SKYBOX
    builtin = mujoco.mjtBuiltin
    for name, kind, pattern, one, other, height in (
        ("portrait_sky", sky, builtin.mjBUILTIN_FLAT, [0.93, 0.95, 0.97], [0.93, 0.95, 0.97], 6 * 64),
        ("portrait_floor", flat, builtin.mjBUILTIN_CHECKER, [0.80, 0.82, 0.84], [0.70, 0.73, 0.76], 64),
    ):
        spec.add_texture(name=name, type=kind, builtin=pattern, rgb1=one, rgb2=other, width=64, height=height)
    material = spec.add_material(name="portrait_floor", texuniform=True, texrepeat=[2.0, 2.0])
    textures = list(material.textures)
    textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "portrait_floor"
    material.textures = textures
    floor = spec.geom("floor")
    floor.material, floor.rgba = "portrait_floor", [1.0, 1.0, 1.0, 1.0]
    spec.worldbody.add_light(
        pos=[0, 0, 6],
        dir=[0, 0, -1],  # straight down: MuJoCo's shadows of a slanted light speckle the floor
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        castshadow=True,
        diffuse=[0.4] * 3,
    )


def _show(model: mujoco.MjModel) -> None:
    """Show bodies by their visible geoms, and those without any by their collision geoms."""

    def size(body: int, visible: bool) -> float:
        geoms = (model.geom_bodyid == body) & ((model.geom_group <= SEEN_GROUP) == visible)
        return float(model.geom_rbound[geoms].max(initial=0.0))

    bodies = {int(body) for body in model.geom_bodyid}
    seen = {body for body in bodies if size(body, True) > HIDES * size(body, False)}
    for geom in range(model.ngeom):
        body = int(model.geom_bodyid[geom])
        model.geom_group[geom] = 0 if model.geom_group[geom] <= SEEN_GROUP or body not in seen else 5
        if body not in seen and body > 0 and model.geom_rgba[geom, 3] < 0.3:
            model.geom_rgba[geom] = [0.5, 0.55, 0.6, 1.0]


def _view(
    model: mujoco.MjModel, data: mujoco.MjData, scene: mujoco.MjvScene, context: mujoco.MjrContext, middle: np.ndarray, size: float,
    azimuth: float, elevation: float,
) -> np.ndarray:  # fmt: skip
    camera, option = mujoco.MjvCamera(), mujoco.MjvOption()
    option.geomgroup[:] = [1, 0, 0, 0, 0, 0]
    option.sitegroup[:] = 0
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.azimuth, camera.elevation, camera.distance = azimuth, elevation, 1.6 * size
    camera.lookat[:] = middle
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
    mujoco.mjv_updateScene(model, data, option, None, camera, mujoco.mjtCatBit.mjCAT_ALL, scene)
    scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 1
    viewport = mujoco.MjrRect(0, 0, SIZE, SIZE)
    mujoco.mjr_render(viewport, scene, context)
    picture = np.empty((SIZE, SIZE, 3), np.uint8)
    mujoco.mjr_readPixels(picture, None, viewport, context)
    return np.flipud(picture)


def save(robot: Robot, path: Path) -> None:
    """Write the picture as PNG, whole or not at all.

    Raises:
        UserError: OpenGL is not available.
        WriteError: the file cannot be written.
    """
    encoded = cv2.imencode(".png", draw(robot)[:, :, ::-1])[1]
    with whole(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
