"""A robot's scene: the model as read, with the motors, sensors, keyframe and collision filter of the robot's constants.

Gains are rounded to the six digits of an MJCF file, so that a scene does not change when it is written and read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco

from envs.robots import spots
from envs.robots.describe.reading import read
from envs.robots.errors import RobotError, raise_faults
from envs.robots.faults import model_faults
from envs.robots.locking import lock, passive_pose

if TYPE_CHECKING:
    from envs.robots.robot import Joint, Robot

FLOOR, STAND = "floor", "stand"
SOLE_FRICTION = (0.8, 0.005, 0.0001)
_SENSOR, _SITE = mujoco.mjtSensor, mujoco.mjtObj.mjOBJ_SITE


@dataclass(frozen=True, kw_only=True)
class Built:
    """A scene, and how it was made.

    Attributes:
        spec: the scene; copy it before changing it.
        foot_geoms: names of the geoms that each foot stands on.
        locked: joints of the model that are held in place, since nothing moves them.
        passive: joints of the model that move without a motor.
    """

    spec: mujoco.MjSpec
    foot_geoms: dict[str, tuple[str, ...]]
    locked: tuple[str, ...]
    passive: tuple[str, ...]


def build(robot: Robot) -> Built:
    """Build a robot's scene; see `Robot.scene` for what is in it.

    Raises:
        RobotError: the model cannot be read, or does not match the constants; lists everything that is missing or contradictory.
    """
    spec, unmoved = _read(robot)
    model = spec.compile()
    raise_faults(f"{robot.where} with the model {robot.model.name}", model_faults(robot, model))
    locked, passive = lock(spec, model, robot.joints, unmoved)
    _free_base(spec, model, robot)
    for joint in spec.joints:
        if joint.name in robot.joints:
            _fit_joint(joint, robot.joints[joint.name])
    try:
        geoms = spots.gather_feet(spec, robot)
        _filter_collisions(spec, robot, {name for names in geoms.values() for name in names})
        spots.add_sites(spec, robot, geoms)
        _add_actuators(spec, robot)
        _add_sensors(spec, robot)
        _add_floor(spec)
        _add_key(spec, robot, passive)
        if robot.self_collision:
            _exclude_neighbours(spec)
        spec.compile()
    except ValueError as error:  # something in the model needs a removed part
        said = " ".join(str(error).split())
        raise RobotError(f"{robot.where}: {robot.model} cannot be given the robot's motors and sensors: {said}") from error
    return Built(spec=spec, foot_geoms=geoms, locked=locked, passive=passive)


def _read(robot: Robot) -> tuple[mujoco.MjSpec, tuple[str, ...]]:
    """The robot alone, and the joints that have no motor in its file on purpose."""
    try:
        reading = read(robot.model)
    except RobotError as error:
        raise error if robot.source is None else RobotError(f"{robot.where}: model: {error}") from None
    return reading.spec, reading.passive


def _free_base(spec: mujoco.MjSpec, model: mujoco.MjModel, robot: Robot) -> None:
    """Add or remove the root's free joint, and put a free root at its standing height."""
    root = next(body for body in spec.bodies if body.name == model.body(int(model.body_rootid[model.body(robot.base).id])).name)
    free = [joint for joint in root.joints if joint.type == mujoco.mjtJoint.mjJNT_FREE]
    if robot.stand_height is None:
        for joint in free:
            spec.delete(joint)
        return
    if not free:
        taken = {joint.name for joint in spec.joints}
        root.add_freejoint(name=next(name for name in ("base", "free_base", "robolearn_free_base") if name not in taken))
    root.pos = [0.0, 0.0, robot.stand_height]
    root.quat = [1.0, 0.0, 0.0, 0.0]
    root.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT


def _fit_joint(joint: mujoco.MjsJoint, constants: Joint) -> None:
    """Apply the constants of the joint itself; only its motor may limit its torque."""
    joint.actfrclimited, joint.actgravcomp = mujoco.mjtLimited.mjLIMITED_FALSE, False
    if constants.range is not None:
        joint.range, joint.limited = list(constants.range), mujoco.mjtLimited.mjLIMITED_TRUE
    if constants.armature is not None:
        joint.armature = constants.armature
    if constants.damping is not None:
        joint.damping = [constants.damping, 0.0, 0.0]
    if constants.friction is not None:
        joint.frictionloss = constants.friction


def _filter_collisions(spec: mujoco.MjSpec, robot: Robot, feet: set[str]) -> None:
    """Make the robot collide with the ground and thrown objects (contype 1), with itself if its constants say so, and in pairs that the
    model names.
    """
    for geom in (geom for geom in spec.geoms if geom.contype or geom.conaffinity):
        geom.contype, geom.conaffinity = (2, 3) if robot.self_collision else (0, 1)
        geom.condim, geom.priority = min(geom.condim, 3), 0
        geom.margin, geom.gap = 0.0, 0.0
        geom.solref, geom.solimp = [0.02, 1.0], [0.9, 0.95, 0.001, 0.5, 2.0]
        if geom.name in feet:
            geom.condim, geom.priority, geom.friction = 3, 1, list(SOLE_FRICTION)
    if robot.gravity_compensated:
        for body in spec.bodies:
            if body.name != "world":
                body.gravcomp = 1.0


def _add_actuators(spec: mujoco.MjSpec, robot: Robot) -> None:
    """Add one position actuator per joint: torque = kp (target - q) - kd dq within the effort limit."""
    for old in list(spec.actuators):
        spec.delete(old)
    no, yes = mujoco.mjtLimited.mjLIMITED_FALSE, mujoco.mjtLimited.mjLIMITED_TRUE
    for name, joint in robot.joints.items():
        actuator = spec.add_actuator(name=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=name)
        actuator.set_to_position(_six(joint.kp), kv=_six(joint.kd))
        actuator.gear, actuator.group, actuator.actdim = [1.0, 0, 0, 0, 0, 0], 0, -1  # independent of the model's defaults
        actuator.ctrllimited, actuator.inheritrange, actuator.actlimited, actuator.actearly = no, 0.0, no, 0
        actuator.forcelimited, actuator.forcerange = yes, [-joint.effort, joint.effort]


def _six(value: float) -> float:
    """Round to six digits, as MuJoCo writes numbers into a file."""
    return float(f"{value:.6g}")


def _add_sensors(spec: mujoco.MjSpec, robot: Robot) -> None:
    for old in list(spec.sensors):
        spec.delete(old)

    def add(kind: mujoco.mjtSensor, name: str, site: str) -> None:
        spec.add_sensor(name=name, type=kind, objtype=_SITE, objname=site)

    if robot.imu is not None:
        add(_SENSOR.mjSENS_FRAMEQUAT, "imu_quat", spots.IMU)
        add(_SENSOR.mjSENS_GYRO, "imu_gyro", spots.IMU)
        add(_SENSOR.mjSENS_VELOCIMETER, "imu_velocity", spots.IMU)
    if robot.trunk is not None:
        add(_SENSOR.mjSENS_FRAMEQUAT, "trunk_quat", spots.TRUNK)
        add(_SENSOR.mjSENS_GYRO, "trunk_gyro", spots.TRUNK)
    for kind, label in (
        (_SENSOR.mjSENS_TOUCH, "touch"),
        (_SENSOR.mjSENS_FRAMEPOS, "position"),
        (_SENSOR.mjSENS_FRAMELINVEL, "velocity"),
        (_SENSOR.mjSENS_FRAMEZAXIS, "upright"),
    ):
        for name, foot in robot.feet.items():
            if label != "upright" or foot.sole:
                add(kind, f"{name}_{label}", spots.foot_site(name))
    if robot.tool is not None:
        add(_SENSOR.mjSENS_FRAMEPOS, "end_effector_position", spots.TOOL)
        add(_SENSOR.mjSENS_FRAMEQUAT, "end_effector_quat", spots.TOOL)
        add(_SENSOR.mjSENS_FRAMELINVEL, "end_effector_velocity", spots.TOOL)
    for name in robot.joints:
        spec.add_sensor(name=torque_sensor(name), type=_SENSOR.mjSENS_ACTUATORFRC, objtype=mujoco.mjtObj.mjOBJ_ACTUATOR, objname=name)


def torque_sensor(joint: str) -> str:
    """Name of the sensor of a joint's torque [N m]."""
    return f"{joint}_torque"


def _add_floor(spec: mujoco.MjSpec) -> None:
    plane = mujoco.mjtGeom.mjGEOM_PLANE
    spec.worldbody.add_geom(name=FLOOR, type=plane, size=[0, 0, 1], contype=1, conaffinity=0, rgba=[0.82, 0.84, 0.86, 1])


def _add_key(spec: mujoco.MjSpec, robot: Robot, passive: Iterable[str]) -> None:
    """The robot standing in its default pose, held by its motors."""
    for old in list(spec.keys):
        spec.delete(old)
    model = spec.compile()
    qpos = model.qpos0.copy()
    for name, joint in robot.joints.items():
        qpos[model.jnt_qposadr[model.joint(name).id]] = joint.default
    passive_pose(model, qpos, passive)
    spec.add_key(name=STAND, qpos=qpos.tolist(), ctrl=list(robot.default_pose))


def _exclude_neighbours(spec: mujoco.MjSpec) -> None:
    """Exclude contacts of links that overlap in the default pose: they are neighbours with oversized shapes and must not push each other
    apart.
    """
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_forward(model, data)
    bodies = {tuple(sorted(int(model.geom_bodyid[geom]) for geom in contact.geom)) for contact in data.contact}
    named = [model.pair_geom1, model.pair_geom2]
    wanted = {tuple(sorted(int(model.geom_bodyid[geom]) for geom in pair)) for pair in zip(*named, strict=True)}
    known = {frozenset((exclude.bodyname1, exclude.bodyname2)) for exclude in spec.excludes}
    for first, second in sorted(bodies - wanted):
        names = model.body(first).name, model.body(second).name
        if first and frozenset(names) not in known:
            spec.add_exclude(bodyname1=names[0], bodyname2=names[1])
