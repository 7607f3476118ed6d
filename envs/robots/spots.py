"""Sites for the sensors of a robot: its feet, its IMU, its trunk, its tool.

A touch sensor counts the contacts of its site's own body whose normal passes through the site. So a foot's shapes are collected on one
body, and its site is a little larger than they are: a ball around a single ball, otherwise a box.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from envs.robots.faults import colliding

if TYPE_CHECKING:
    from envs.robots.robot import Foot, Robot

MARGIN = 0.007  # m
CENTRED = 0.001  # m: largest distance of a foot's point from the middle of its ball
IMU, TOOL, TRUNK = "imu", "end_effector", "trunk"
HIDDEN_GROUP = 4


def foot_site(foot: str) -> str:
    """Name of a foot's site."""
    return f"{foot}_foot"


def gather_feet(spec: mujoco.MjSpec, robot: Robot) -> dict[str, tuple[str, ...]]:
    """Collect the colliding shapes of each foot on its body; returns their names."""
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    given = {item.id: item for item in spec.geoms}  # before anything is added, which invalidates ids
    return {
        name: tuple(_own(spec, model, data, foot, geom, given[geom]) for geom in _of_foot(model, foot)) for name, foot in robot.feet.items()
    }


def _of_foot(model: mujoco.MjModel, foot: Foot) -> list[int]:
    return [model.geom(name).id for name in foot.geoms] or colliding(model, model.body(foot.body).id)


def _own(spec: mujoco.MjSpec, model: mujoco.MjModel, data: mujoco.MjData, foot: Foot, geom: int, given: mujoco.MjsGeom) -> str:
    """The name of a geom on the foot's own body; for a geom of a body fixed to it, a massless copy, which collides in its place."""
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
    """The sites of the feet, the IMU, the trunk and the tool."""
    wanted = {foot_site(name) for name in robot.feet} | {IMU, TOOL} | (set() if robot.trunk is None else {TRUNK})
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
    if robot.trunk is not None:
        _site(bodies[robot.trunk], TRUNK, sphere, [0.005] * 3, (0.0, 0.0, 0.0), _as_the_root(model, robot))
    if robot.tool is not None:
        site = _site(bodies[robot.tool.body], TOOL, sphere, [0.008] * 3, robot.tool.position, (1.0, 0.0, 0.0, 0.0))
        site.rgba = [0.9, 0.35, 0.1, 1]


def _site(body: mujoco.MjsBody, name: str, kind: mujoco.mjtGeom, size: object, pos: object, quat: object) -> mujoco.MjsSite:
    """Add a site, independent of the model's defaults."""
    site = body.add_site(name=name, type=kind, size=size, pos=pos, quat=quat, group=HIDDEN_GROUP)
    site.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    return site


def _as_the_root(model: mujoco.MjModel, robot: Robot) -> np.ndarray:
    """Quaternion from the trunk's frame to the root's in the default pose, in which the trunk counts as upright."""
    data, trunk = mujoco.MjData(model), model.body(robot.trunk or robot.base).id
    for name, joint in robot.joints.items():
        data.qpos[model.jnt_qposadr[model.joint(name).id]] = joint.default
    mujoco.mj_kinematics(model, data)
    inverse, quat = np.empty(4), np.empty(4)
    mujoco.mju_negQuat(inverse, data.xquat[trunk])
    mujoco.mju_mulQuat(quat, inverse, data.xquat[int(model.body_rootid[trunk])])
    return quat


def _ball(model: mujoco.MjModel, foot: Foot, geoms: list[int]) -> float | None:
    """Radius of a foot that is one ball around its point [m]; None for other feet."""
    if len(geoms) != 1 or model.geom_type[geoms[0]] != mujoco.mjtGeom.mjGEOM_SPHERE:
        return None
    away = float(np.linalg.norm(model.geom_pos[geoms[0]] - foot.position))
    return float(model.geom_size[geoms[0], 0]) if away < CENTRED else None


def _upwards(up: tuple[float, float, float]) -> np.ndarray:
    """Quaternion that rotates z to `up` by the shortest way."""
    axis = np.array(up) / np.linalg.norm(up)
    quat = np.empty(4)
    mujoco.mju_quatZ2Vec(quat, axis)
    return quat


def _reach(model: mujoco.MjModel, foot: Foot, quat: np.ndarray, geoms: list[int]) -> np.ndarray:
    """Half sides of the box around the foot's point, with attitude `quat`, that contains its shapes [m], (3,)."""
    axes, corners = np.empty(9), []
    mujoco.mju_quat2Mat(axes, quat)
    for geom in geoms:
        turn = np.empty(9)
        mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
        center, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
        place = model.geom_pos[geom] - foot.position
        corners += [turn.reshape(3, 3) @ (center + half * signs) + place for signs in itertools.product((-1, 1), repeat=3)]
    return np.abs(np.array(corners) @ axes.reshape(3, 3)).max(axis=0)


def lowest_point(model: mujoco.MjModel, data: mujoco.MjData, geoms: Sequence[int]) -> np.ndarray:
    """The lowest point of some shapes in the world [m], (3,); for a mesh the lowest of its vertices."""
    points = [_lowest(model, geom, data.geom_xmat[geom].reshape(3, 3), data.geom_xpos[geom]) for geom in geoms]
    return min(points, key=lambda point: float(point[2]))


def _lowest(model: mujoco.MjModel, geom: int, axes: np.ndarray, center: np.ndarray) -> np.ndarray:
    """The point of one shape that is furthest along -z of the world."""
    kind, size, down = mujoco.mjtGeom(int(model.geom_type[geom])), model.geom_size[geom], -axes[2]  # in the shape's frame
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return center - [0, 0, size[0]]
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return center + axes[:, 2] * size[1] * np.sign(down[2]) - [0, 0, size[0]]
    if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
        return center + axes @ (size**2 * down / np.linalg.norm(size * down))
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        radial = down[:2] / max(float(np.linalg.norm(down[:2])), 1e-9)
        return center + axes @ np.append(size[0] * radial, size[1] * np.sign(down[2]))
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = int(model.geom_dataid[geom])
        start, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        vertices = model.mesh_vert[start : start + count]
        return center + axes @ vertices[int(np.argmax(vertices @ down))]
    return center + axes @ (size * np.sign(down))  # a box
