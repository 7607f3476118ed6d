"""Where sensors sit on a robot: its feet, its IMU, its tool.

A touch sensor counts the contacts of its site's own body whose normal meets the site. So a foot's shapes are brought together on one body,
and its site is drawn a little larger than they are: a ball around one ball, a box around everything else.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from envs.robots.faults import colliding

if TYPE_CHECKING:
    from envs.robots.robot import Foot, Robot

MARGIN = 0.007  # m
CENTRED = 0.001  # m: how near a foot's point is to the middle of its ball
IMU, TOOL = "imu", "end_effector"
HIDDEN_GROUP = 4


def foot_site(foot: str) -> str:
    """Name of a foot's site."""
    return f"{foot}_foot"


def gather_feet(spec: mujoco.MjSpec, robot: Robot) -> dict[str, tuple[str, ...]]:
    """Bring the colliding shapes of each foot together on its body; returns their names."""
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    geoms = {item.id: item for item in spec.geoms}  # adding one makes MuJoCo forget the ids of all
    return {
        name: tuple(_own(spec, model, data, foot, geom, geoms[geom]) for geom in _of_foot(model, foot)) for name, foot in robot.feet.items()
    }


def _of_foot(model: mujoco.MjModel, foot: Foot) -> list[int]:
    return [model.geom(name).id for name in foot.geoms] or colliding(model, model.body(foot.body).id)


def _own(spec: mujoco.MjSpec, model: mujoco.MjModel, data: mujoco.MjData, foot: Foot, geom: int, given: mujoco.MjsGeom) -> str:
    """The name of a geom that is the foot's own body's; one of a body fixed to it collides no more, a weightless copy does in its place."""
    body = model.body(foot.body).id
    taken = {item.name for item in spec.geoms}
    if int(model.geom_bodyid[geom]) == body:
        given.name = given.name or next(name for i in itertools.count() if (name := f"{foot.body}_shape_{i}") not in taken)
        return str(given.name)
    inverse, quat, pos = np.empty(4), np.empty(4), np.empty(3)
    placed = np.empty(4)
    mujoco.mju_mat2Quat(placed, data.geom_xmat[geom])
    mujoco.mju_negQuat(inverse, data.xquat[body])
    mujoco.mju_mulQuat(quat, inverse, placed)
    mujoco.mju_rotVecQuat(pos, data.geom_xpos[geom] - data.xpos[body], inverse)
    kind = mujoco.mjtGeom(int(model.geom_type[geom]))
    name = next(name for i in itertools.count() if (name := f"{foot.body}_part_{i}") not in taken)
    owner = next(item for item in spec.bodies if item.name == foot.body)
    copy = owner.add_geom(name=name, type=kind, size=model.geom_size[geom], mass=0.0, group=3)
    if kind == mujoco.mjtGeom.mjGEOM_MESH:  # MuJoCo shifts a mesh into its own frame
        mesh, turned, shift, back = int(model.geom_dataid[geom]), np.empty(4), np.empty(3), np.empty(4)
        mujoco.mju_negQuat(back, model.mesh_quat[mesh])
        mujoco.mju_mulQuat(turned, quat, back)
        mujoco.mju_rotVecQuat(shift, model.mesh_pos[mesh], turned)
        copy.meshname, quat, pos = model.mesh(mesh).name, turned, pos - shift
    copy.pos, copy.quat, copy.contype, copy.conaffinity = pos, quat, 1, 1
    given.contype = given.conaffinity = 0
    return name


def add_sites(spec: mujoco.MjSpec, robot: Robot, foot_geoms: dict[str, tuple[str, ...]]) -> None:
    """The sites of the feet, the IMU and the tool."""
    wanted = {foot_site(name) for name in robot.feet} | {IMU, TOOL}
    for old in [site for site in spec.sites if site.name in wanted]:
        spec.delete(old)
    model = spec.compile()
    bodies = {body.name: body for body in spec.bodies}
    sphere, box = mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_BOX
    if robot.imu is not None:
        _site(bodies[robot.imu.body], IMU, sphere, [0.005] * 3, robot.imu.position, robot.imu.quat_wxyz)
    for name, foot in robot.feet.items():
        geoms = [model.geom(geom).id for geom in foot_geoms[name]]
        radius = _ball(model, foot, geoms)
        quat = _upwards(foot.up) if foot.sole else np.array([1.0, 0.0, 0.0, 0.0])
        if radius is not None:
            _site(bodies[foot.body], foot_site(name), sphere, [radius + MARGIN] * 3, foot.position, quat)
        else:
            _site(bodies[foot.body], foot_site(name), box, _reach(model, foot, quat, geoms) + MARGIN, foot.position, quat)
    if robot.tool is not None:
        site = _site(bodies[robot.tool.body], TOOL, sphere, [0.008] * 3, robot.tool.position, (1.0, 0.0, 0.0, 0.0))
        site.rgba = [0.9, 0.35, 0.1, 1]


def _site(body: mujoco.MjsBody, name: str, kind: mujoco.mjtGeom, size: object, pos: object, quat: object) -> mujoco.MjsSite:
    """A site, whatever the model's defaults are."""
    site = body.add_site(name=name, type=kind, size=size, pos=pos, quat=quat, group=HIDDEN_GROUP)
    site.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    return site


def _ball(model: mujoco.MjModel, foot: Foot, geoms: list[int]) -> float | None:
    """Radius of a foot that is one ball about its point [m]; None for another foot."""
    if len(geoms) != 1 or model.geom_type[geoms[0]] != mujoco.mjtGeom.mjGEOM_SPHERE:
        return None
    away = float(np.linalg.norm(model.geom_pos[geoms[0]] - foot.position))
    return float(model.geom_size[geoms[0], 0]) if away < CENTRED else None


def _upwards(up: tuple[float, float, float]) -> np.ndarray:
    """Quaternion that turns z to `up` by the shortest way."""
    axis = np.array(up) / np.linalg.norm(up)
    quat = np.empty(4)
    mujoco.mju_quatZ2Vec(quat, axis)
    return quat


def _reach(model: mujoco.MjModel, foot: Foot, quat: np.ndarray, geoms: list[int]) -> np.ndarray:
    """Half sides of the box about the foot's point, with attitude `quat`, that holds its shapes [m], (3,)."""
    axes, corners = np.empty(9), []
    mujoco.mju_quat2Mat(axes, quat)
    for geom in geoms:
        turn = np.empty(9)
        mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
        center, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
        for signs in itertools.product((-1, 1), repeat=3):
            corners.append(turn.reshape(3, 3) @ (center + half * signs) + model.geom_pos[geom] - foot.position)
    return np.abs(np.array(corners) @ axes.reshape(3, 3)).max(axis=0)
