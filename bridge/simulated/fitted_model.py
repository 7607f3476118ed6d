"""Fits any MuJoCo model to a policy's robot: its joints are found by name and get the motors of the policy's contract.

Models may have torque motors, gears, filters, muscles, tendons, or no actuators at all. Whatever moves a joint of the policy is removed,
and each joint gets one motor whose law is set at every command: torque = kp (q* - q) + kd (dq* - dq) + effort, inside the contract's effort
limit. Actuators of other things (a gripper, another robot) are not changed. Everything that does not fit is reported by name, all at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.control.joints import FloatArray
from bridge.simulated.gantry import add_gantry
from bridge.simulated.model_check import feet_of, free_joint, lacks_of, movers, notes_of
from policies.contract.spec import RobotSpec

SUNK, ABOVE, MOST_MOVED = 0.005, 0.02, 3.0  # m: begins further inside the ground, or further above it, than a robot that stands


class ModelError(ValueError):
    """A MuJoCo model is not of the policy's robot, or invalid."""


@dataclass(slots=True)
class Fitted:
    """A compiled model and where the policy's robot is in it.

    Attributes:
        model: the scene with floor, motors and, where it is held, gantry.
        joints, motors: ids of the policy's joints and of their motors, in the order that was asked for, (J,) each.
        base: id of the free joint under them; None for a fixed base.
        held: whether a gantry was added.
        key: the keyframe to begin with, as `mjData` fields; empty for none.
        controls: what the model's other actuators hold, by actuator id.
        notes: notes on what was changed.
    """

    model: Any
    joints: NDArray[np.intp]
    motors: NDArray[np.intp]
    base: int | None
    held: bool
    key: dict[str, FloatArray]
    controls: dict[int, float]
    notes: list[str] = field(default_factory=list[str])


def fit_model(mujoco: Any, path: Path, spec: RobotSpec, names: tuple[str, ...], dt: float, gantry: str, key: str | None) -> Fitted:
    """Read, check and change a model.

    Args:
        mujoco: the module.
        path: the model; a scene with other things in it will do.
        spec: the robot as the policy knows it.
        names: its joints, in the order of the result.
        dt: longest physics step [s]; a model that asks for shorter ones gets them.
        gantry: one of `bridge.simulated.gantry.MODES`.
        key: name of the keyframe to begin with; None for none.

    Raises:
        FileNotFoundError: there is no such file.
        ModelError: MuJoCo cannot read it, or it is not of this robot; says what it has and lacks.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no robot model at {path}")
    try:
        scene = mujoco.MjSpec.from_file(str(path))
        known = [frame.name for frame in scene.keys if frame.name]
        for frame in [frame for frame in scene.keys if frame.name != key]:  # one of another size must not be in the way
            scene.delete(frame)
        given = scene.compile()
    except Exception as error:  # MuJoCo has several types for what is wrong with a file
        said = " ".join(str(error).split())
        raise ModelError(said if str(path) in said else f"{path}: {said}") from error
    if key is not None and key not in known:
        raise ModelError(f"{path} has no keyframe {key!r}; it has {', '.join(known) or 'none with a name'}")
    start = {} if key is None else _keyframe(given)
    lacks = lacks_of(mujoco, given, spec)
    if lacks:
        raise ModelError(f"{path} is no model of {spec.name}: {'; '.join(lacks)}")
    joints = [mujoco.mj_name2id(given, mujoco.mjtObj.mjOBJ_JOINT, name) for name in spec.joint_names]
    base = free_joint(mujoco, given, joints[0]) if spec.floating_base else None
    moving = movers(mujoco, given, joints)
    notes = notes_of(mujoco, given, spec, joints, moving)
    kept = [i for i in range(given.nu) if i not in moving]
    hold = {i: float(start["ctrl"][i]) if start else 0.0 for i in kept}
    held = base is not None and (feet_of(mujoco, given, spec, joints, base) == 2 if gantry == "auto" else gantry != "none")
    carried = next((body for body in scene.bodies if base is not None and body.id == given.jnt_bodyid[base]), None)
    _replace_motors(mujoco, scene, given, spec, moving)
    _prepare_world(mujoco, scene, given)
    if held and carried is not None:
        carried.name = carried.name or "robolearn_base"
        add_gantry(mujoco, scene, carried.name)
    try:
        model = scene.compile()
    except Exception as error:  # something in it needs an actuator that is gone
        raise ModelError(f"{path} cannot be given {spec.name}'s motors: {' '.join(str(error).split())}") from error
    model.opt.timestep = dt / max(1, math.ceil(dt / given.opt.timestep - 1e-9))
    if model.opt.integrator in (mujoco.mjtIntegrator.mjINT_EULER, mujoco.mjtIntegrator.mjINT_RK4):
        model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST  # the motors' damping is as stiff as in training
    model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
    if held:
        model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_EQUALITY)
    ids = np.array([model.joint(name).id for name in names])
    motor_of = {int(model.actuator_trnid[i, 0]): i for i in range(len(kept), model.nu)}  # added last
    controls = {new: hold[old] for new, old in enumerate(kept)}
    return Fitted(model, ids, np.array([motor_of[joint] for joint in ids]), base, held, start, controls, notes)


def _keyframe(model: Any) -> dict[str, FloatArray]:
    """The one keyframe of a model."""
    taken = {name: np.array(getattr(model, f"key_{name}")[0]) for name in ("qpos", "qvel", "ctrl")}
    mocap = model.key_mpos[0].reshape(-1, 3), model.key_mquat[0].reshape(-1, 4)
    return taken | {"mocap_pos": mocap[0].copy(), "mocap_quat": mocap[1].copy()}


def _replace_motors(mujoco: Any, scene: Any, given: Any, spec: RobotSpec, moving: list[int]) -> None:
    """Remove the joints' actuators and everything that depends on them, and add one motor per joint."""
    gone = [actuator for actuator in scene.actuators if actuator.id in moving]
    names = {actuator.name for actuator in gone} - {""}
    armature, damping = _reflected(mujoco, given, moving)
    objects = int(mujoco.mjtObj.mjOBJ_ACTUATOR)
    for sensor in [sensor for sensor in scene.sensors if int(sensor.objtype) == objects and sensor.objname in names]:
        scene.delete(sensor)
    for group in [group for group in scene.tuples if int(objects) in [int(kind) for kind in group.objtype]]:
        scene.delete(group)
    for key in list(scene.keys):  # of another number of controls
        scene.delete(key)
    for actuator in gone:
        scene.delete(actuator)
    enabled = next((group for group in range(31) if not int(given.opt.disableactuator) & (1 << group)), 0)
    zero = mujoco.mjtLimited.mjLIMITED_FALSE
    for joint in (joint for joint in scene.joints if joint.name in spec.joint_names):
        joint.actfrclimited = zero
        limit = spec.effort_limit[spec.joint_names.index(joint.name)]
        motor = scene.add_actuator(trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint.name)
        motor.gear, motor.group, motor.delay, motor.nsample = [1.0, 0, 0, 0, 0, 0], enabled, 0.0, 0  # whatever the model's defaults are
        motor.dyntype, motor.gaintype, motor.biastype = mujoco.mjtDyn.mjDYN_NONE, mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        motor.actdim, motor.actlimited, motor.actearly = 0, zero, 0
        motor.ctrllimited, motor.inheritrange = zero, 0.0
        motor.forcelimited, motor.forcerange = mujoco.mjtLimited.mjLIMITED_TRUE, [-limit, limit]
        motor.armature = armature.get(joint.name, 0.0)
        motor.damping = [damping.get(joint.name, 0.0), 0.0, 0.0] if np.ndim(motor.damping) else damping.get(joint.name, 0.0)
        motor.gainprm[:], motor.biasprm[:], motor.dynprm[:] = 0.0, 0.0, 0.0


def _reflected(mujoco: Any, model: Any, moving: list[int]) -> tuple[dict[str, float], dict[str, float]]:
    """Rotor inertia and damping that the actuators bring to each joint: the motors that take their place have them too."""
    armature: dict[str, float] = {}
    damping: dict[str, float] = {}
    for i in (i for i in moving if model.actuator_trntype[i] == mujoco.mjtTrn.mjTRN_JOINT):
        joint, ratio = str(model.joint(model.actuator_trnid[i, 0]).name), float(model.actuator_gear[i, 0]) ** 2
        armature[joint] = armature.get(joint, 0.0) + ratio * float(getattr(model, "actuator_armature", np.zeros(model.nu))[i])
        damping[joint] = damping.get(joint, 0.0) + ratio * float(getattr(model, "actuator_damping", np.zeros(model.nu))[i])
    return armature, damping


def _prepare_world(mujoco: Any, scene: Any, given: Any) -> None:
    """Add a floor to a model without one."""
    ground = np.isin(given.geom_type, [int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD)])
    ground &= (given.body_weldid[given.geom_bodyid] == 0) & ((given.geom_contype | given.geom_conaffinity) != 0)
    if not ground.any():
        taken = any(geom.name == "floor" for geom in scene.geoms)
        floor = scene.worldbody.add_geom(name="" if taken else "floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
        floor.contype, floor.conaffinity = 1, 1  # as MuJoCo's own default: it meets whatever collides with anything ordinary


def put_on_ground(mujoco: Any, model: Any, data: Any, base: int) -> None:
    """Move a robot that begins inside the ground, or hangs above it, so that it just touches; one that stands stays where it is.

    Args:
        mujoco: the module.
        model: of the scene.
        data: its state; the height of the base is changed, and what follows from it is for the caller to compute.
        base: id of the free joint.
    """
    height = int(model.jnt_qposadr[base]) + 2
    begin = float(data.qpos[height])
    ours = model.body_rootid[model.geom_bodyid] == int(model.jnt_bodyid[base])
    ground = model.body_weldid[model.geom_bodyid] == 0

    def depth(z: float) -> float:
        """How far the robot is inside the ground [m] with its base at height z [m]; 0 where they do not touch."""
        data.qpos[height] = z
        mujoco.mj_fwdPosition(model, data)
        touching = (c.dist for c in data.contact if (ours[c.geom[0]] and ground[c.geom[1]]) or (ours[c.geom[1]] and ground[c.geom[0]]))
        return -min(touching, default=0.0)

    z = begin
    if depth(z) > SUNK:
        while (inside := depth(z)) > 1e-4 and z < begin + MOST_MOVED:
            z += inside
    elif depth(z) <= 0.0:
        while depth(z) <= 0.0 and z > begin - MOST_MOVED:
            z -= ABOVE
        touches = depth(z) > 0.0 and z < begin - ABOVE  # else it stands as good as on the ground, or there is none below
        z = z + depth(z) if touches else begin
    data.qpos[height] = z
