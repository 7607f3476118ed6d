"""Checks a robot's constants, alone and against its model; every check lists all faults."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from envs.robots.cameras import WORLD
from policies.errors import suggestion

if TYPE_CHECKING:
    from envs.robots.robot import Camera, Foot, Gripper, Joint, Robot

MOST_NAMES = 12
PARALLEL = 0.02  # rad


def shape_faults(robot: Robot) -> list[str]:
    """Faults that show without the model, each with its key."""
    found: list[str] = []
    if not robot.name or robot.name != robot.name.strip() or "/" in robot.name:
        found.append(f"name: {robot.name!r} is not a name: give a word without slashes")
    if not robot.joints:
        found.append("joints: the table is empty; list the joints that the policy moves")
    for name, joint in robot.joints.items():
        found += [f"joints.{name}.{fault}" for fault in _joint_faults(joint)]
    for name, foot in robot.feet.items():
        found += [f"feet.{name}.{fault}" for fault in _foot_faults(foot)]
    for name, camera in robot.cameras.items():
        found += [f"cameras.{name}.{fault}" for fault in _camera_faults(camera)]
    if robot.stand_height is not None and not 0 < robot.stand_height < math.inf:
        found.append(f"stand_height: {robot.stand_height:g} m; it must be above zero, or null for a robot on a fixed base")
    if robot.stand_height is not None and robot.imu is None:
        found.append("imu: a robot whose base moves needs one; name the body that carries it")
    if robot.feet and robot.stand_height is None:
        found.append("stand_height: a robot with feet needs one: the height of its base above the ground in the default pose [m]")
    if not 0 < robot.max_tilt <= math.pi:
        found.append(f"max_tilt: {robot.max_tilt:g} rad; it must lie between 0 and pi")
    if not 0 < robot.warm_motor_c <= robot.hot_motor_c < math.inf:
        found.append(f"warm_motor_c, hot_motor_c: {robot.warm_motor_c:g} and {robot.hot_motor_c:g} C; the warning comes first, above zero")
    if robot.imu is not None and abs(math.hypot(*robot.imu.quat_wxyz) - 1) > 1e-3:
        found.append(f"imu.quat_wxyz: {list(robot.imu.quat_wxyz)} is not a unit quaternion")
    if robot.workspace is not None and robot.tool is None:
        found.append("workspace: goals are for the tool of an arm; give `tool`, or leave the workspace out")
    if robot.gripper is not None:
        found += [f"gripper.{fault}" for fault in _gripper_faults(robot, robot.gripper)]
    for axis, (low, high) in zip("xyz", robot.workspace or (), strict=False):
        if not low < high:
            found.append(f"workspace: its {axis} runs from {low:g} to {high:g} m; give the lower end first")
    return found + list(_mirror_faults(robot))


def _joint_faults(joint: Joint) -> Iterator[str]:
    for key in ("kp", "effort", "velocity", "scale"):
        if not 0 < getattr(joint, key) < math.inf:
            yield f"{key}: {getattr(joint, key):g}; it must be above zero and finite"
    for key in ("kd", "armature", "damping", "friction", "posture"):
        value = getattr(joint, key)
        if value is not None and not 0 <= value < math.inf:
            yield f"{key}: {value:g}; it must be zero or above, and finite"
    if not math.isfinite(joint.default):
        yield f"default: {joint.default:g}; it must be an angle"
    if joint.range is not None and not joint.range[0] < joint.range[1]:
        yield f"range: from {joint.range[0]:g} to {joint.range[1]:g}; give the lower end first"


def _foot_faults(foot: Foot) -> Iterator[str]:
    if not all(math.isfinite(value) for value in foot.position):
        yield f"position: {list(foot.position)}; it must be three lengths [m]"
    if not 0.5 < math.hypot(*foot.up) < 2:
        yield f"up: {list(foot.up)} is not a direction"
    if not 0 <= foot.turn < 1:
        yield f"turn: {foot.turn:g}; it must be at least 0 and below 1 (a full turn is 0 again)"


def _gripper_faults(robot: Robot, gripper: Gripper) -> Iterator[str]:
    if gripper.joint not in robot.joints:
        yield f"joint: {gripper.joint!r} is not one of its joints{suggestion(gripper.joint, robot.joints)}"
    if robot.tool is None:
        yield "joint: a gripper closes on the tool's point; give `tool`"
    if not 0 <= gripper.tips < math.inf:
        yield f"tips: {gripper.tips:g}; it must be zero or above [m]"
    if gripper.opened == gripper.closed or not math.isfinite(gripper.opened + gripper.closed):
        yield f"opened, closed: {gripper.opened:g} and {gripper.closed:g}; give two different positions of the joint"


def _camera_faults(camera: Camera) -> Iterator[str]:
    if not all(math.isfinite(value) for value in camera.position):
        yield f"position: {list(camera.position)}; it must be three lengths [m]"
    forward, up = np.array(camera.forward), np.array(camera.up)
    for key, vector in (("forward", forward), ("up", up)):
        if not 1e-6 < float(np.linalg.norm(vector)) < math.inf:
            yield f"{key}: {vector.tolist()} is no direction"
            return
    if float(np.linalg.norm(np.cross(forward, up))) < PARALLEL * float(np.linalg.norm(forward) * np.linalg.norm(up)):
        yield f"up: {up.tolist()} is the direction in which it looks; say what is up in its picture"
    if not 0 < camera.fovy_deg < 180:
        yield f"fovy_deg: {camera.fovy_deg:g}; it must lie between 0 and 180 degrees"


def _mirror_faults(robot: Robot) -> Iterator[str]:
    for name, (image, sign) in (robot.mirror or {}).items():
        if name not in robot.joints or image not in robot.joints:
            missing = name if name not in robot.joints else image
            yield f"mirror.{name}: {missing!r} is not one of its joints{suggestion(missing, robot.joints)}"
        elif abs(sign) != 1:
            yield f"mirror.{name}: the sign is {sign:g}; it must be 1 or -1"
        elif (robot.mirror or {}).get(image) != (name, sign):
            yield f"mirror.{name}: its image is {image}, whose image must be {name} with the same sign"
    if robot.mirror and (lacking := [name for name in robot.joints if name not in robot.mirror]):
        yield f"mirror: without an image: {few(lacking)}; give one to every joint, or leave the table out to find them by geometry"


def model_faults(robot: Robot, model: mujoco.MjModel) -> list[str]:
    """Constants that the model contradicts or lacks. `model` is the robot alone, as read."""
    found = _missing(robot, model)
    joints = {name: model.joint(name) for name in robot.joints if _id(model, mujoco.mjtObj.mjOBJ_JOINT, name) >= 0}
    for name, joint in joints.items():
        kind = mujoco.mjtJoint(int(joint.type[0]))
        if kind not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            found.append(f"joints.{name}: a {kind.name.removeprefix('mjJNT_').lower()} joint; only hinges and slides can be controlled")
            continue
        constants = robot.joints[name]
        low, high = constants.range or (joint.range if model.jnt_limited[joint.id] else (-math.inf, math.inf))
        if not low - 1e-9 <= constants.default <= high + 1e-9:
            found.append(f"joints.{name}.default: {constants.default:g} lies outside the joint's range, {low:g} to {high:g}")
    if _id(model, mujoco.mjtObj.mjOBJ_BODY, robot.base) >= 0:
        found += _base_faults(robot, model)
    return found


def _missing(robot: Robot, model: mujoco.MjModel) -> list[str]:
    """Names that do not exist."""
    joints = [model.joint(i).name for i in range(model.njnt) if model.jnt_type[i] != mujoco.mjtJoint.mjJNT_FREE]
    bodies = [model.body(i).name for i in range(1, model.nbody)]
    geoms = [model.geom(i).name for i in range(model.ngeom) if model.geom(i).name]
    found: list[str] = []
    absent = [name for name in robot.joints if name not in joints]
    found += [f"joints.{name}: the model has no such joint{suggestion(name, joints)}" for name in absent[:MOST_NAMES]]
    if len(absent) > MOST_NAMES:
        found.append(f"joints: {len(absent) - MOST_NAMES} more are not in the model")
    if absent:
        found.append(f"the model's joints are {few(joints) or 'none'}")
    parts: dict[str, str] = {"base": robot.base} | {f"feet.{name}.body": foot.body for name, foot in robot.feet.items()}
    parts |= {} if robot.trunk is None else {"trunk": robot.trunk}
    parts |= {} if robot.imu is None else {"imu.body": robot.imu.body}
    parts |= {} if robot.tool is None else {"tool.body": robot.tool.body}
    parts |= {f"cameras.{name}.body": camera.body for name, camera in robot.cameras.items() if camera.body != WORLD}
    lacking = {key: name for key, name in parts.items() if name not in bodies}
    found += [f"{key}: the model has no body {name!r}{suggestion(name, bodies)}" for key, name in lacking.items()]
    if lacking:
        found.append(f"the model's bodies are {few(bodies)}")
    for name, foot in robot.feet.items():
        for geom in foot.geoms:
            if geom not in geoms:
                found.append(f"feet.{name}.geoms: the model has no geom {geom!r}{suggestion(geom, geoms)}")
        if foot.body in bodies and not foot.geoms and not colliding(model, model.body(foot.body).id):
            found.append(
                f"feet.{name}.body: {foot.body!r} has no colliding shape, so the robot cannot stand on it;"
                f" bodies that have one: {few(_bodies_that_collide(model))}"
            )
    return found


def _base_faults(robot: Robot, model: mujoco.MjModel) -> Iterator[str]:
    """For a free base: everything that is measured on it must be fixed to the root."""
    base = model.body(robot.base).id
    root = int(model.body_rootid[base])
    if not robot.floating_base:
        return
    for key, name in (("base", robot.base), ("imu.body", robot.imu.body if robot.imu else "")):
        body = _id(model, mujoco.mjtObj.mjOBJ_BODY, name)
        if body >= 0 and not fixed_to(model, body, root):
            yield f"{key}: {name!r} moves relative to the root of the model, {model.body(root).name!r}; name a body that is fixed to that"
            return
    imu = _id(model, mujoco.mjtObj.mjOBJ_BODY, robot.imu.body) if robot.imu else -1
    if imu >= 0 and robot.imu is not None:
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        attitude, turned = np.empty(4), np.empty(4)
        mujoco.mju_mulQuat(attitude, data.xquat[imu], np.array(robot.imu.quat_wxyz, dtype=float))
        mujoco.mju_negQuat(turned, data.xquat[root])
        mujoco.mju_mulQuat(turned, turned.copy(), attitude)
        if (angle := 2 * math.acos(min(1.0, abs(turned[0]) / float(np.linalg.norm(turned))))) > PARALLEL:
            yield f"imu.quat_wxyz: its axes are turned by {angle:.2f} rad against those of {model.body(root).name!r}; they must be parallel"


def fixed_to(model: mujoco.MjModel, body: int, other: int) -> bool:
    """Whether there is no joint between a body and one of its ancestors."""
    while body != other and body != 0 and model.body_jntnum[body] == 0:
        body = int(model.body_parentid[body])
    return body == other


def colliding(model: mujoco.MjModel, body: int) -> list[int]:
    """Geoms that collide, of a body and of the bodies fixed to it."""
    return [
        geom
        for geom in range(model.ngeom)
        if (model.geom_contype[geom] or model.geom_conaffinity[geom]) and fixed_to(model, int(model.geom_bodyid[geom]), body)
    ]


def _bodies_that_collide(model: mujoco.MjModel) -> list[str]:
    solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    return list(dict.fromkeys(model.body(int(body)).name for body in model.geom_bodyid[solid] if body))


def few(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """The first names, for a message."""
    listed: Sequence[str] = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def _id(model: mujoco.MjModel, kind: mujoco.mjtObj, name: str) -> int:
    return mujoco.mj_name2id(model, kind, name)
