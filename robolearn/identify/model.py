"""The MuJoCo model that is fitted to a recording: the robot held in the air, or standing on the floor."""

from __future__ import annotations

import mujoco
import numpy as np

from envs.robots.robot import Robot
from envs.robots.spots import lowest_point
from envs.terms.ids import actuator_ids
from robolearn.identify.parameters import Nominal, Physical
from robolearn.identify.recording import FloatArray, Mount, Recording, RecordingError

MOVED = 0.3  # rad/s: a base that turns faster is not held


def nominal_of(robot: Robot) -> Nominal:
    """The nominal values of a robot's model."""
    model = robot.compiled
    dofs = [int(model.joint(name).dofadr[0]) for name in robot.joints]
    return Nominal(
        joint_names=robot.joint_names,
        damping=model.dof_damping[dofs].copy(),
        friction=model.dof_frictionloss[dofs].copy(),
        armature=model.dof_armature[dofs].copy(),
        effort_limit=np.array(robot.effort_limit),
        base_mass=float(model.body(robot.base).mass[0]),
    )


def check_robot(recording: Recording, robot: Robot) -> None:
    """Raises `RecordingError` if a recording cannot be of this robot, or cannot be simulated."""
    where = recording.source
    if recording.num_joints != len(robot.joints):
        raise RecordingError(f"{where}: the recording has {recording.num_joints} joints, {robot.name} has {len(robot.joints)}")
    for theirs, ours in zip(recording.joint_names or (), robot.joint_names, strict=False):
        if theirs != ours:
            raise RecordingError(f"{where}: the recording has the joint {theirs} where {robot.name} has {ours}")
    if recording.mount == "held" and robot.floating_base and recording.imu_quat_wxyz is None:
        raise RecordingError(f"{where}: there are no IMU readings, so the attitude of {robot.name} is unknown")
    if recording.mount == "standing" and (len(robot.feet) < 3 or recording.imu_quat_wxyz is None):
        raise RecordingError(f"{where}: a standing recording needs a robot with at least three feet and an IMU; hold the base instead")
    if recording.mount == "held" and robot.floating_base and recording.imu_angular_velocity_b is not None:
        turns = float(np.sqrt(np.mean(np.sum(recording.imu_angular_velocity_b**2, axis=1))))
        if turns > MOVED:
            raise RecordingError(
                f"{where}: the base turned at {turns:.2f} rad/s (root mean square; at most {MOVED:g} for a base that is held):"
                " hang the robot up, or, for a log of squats, give it with --standing"
            )


def make_model(robot: Robot, mount: Mount, base_quat_wxyz: FloatArray | None = None) -> mujoco.MjModel:
    """Compile the robot with torque = ctrl + biasprm[1] q + biasprm[2] dq on each joint.

    Args:
        robot: the robot.
        mount: `held` welds the base to the world, `standing` puts the robot on a floor.
        base_quat_wxyz: attitude of a held base (4,), which determines the effect of gravity. None for upright.
    """
    spec = robot.scene()
    if mount == "held" and robot.floating_base:
        for key in list(spec.keys):  # keyframes have the size of a model with a free base
            spec.delete(key)
        base = spec.body(robot.base)
        while base.parent.name != "world":
            base = base.parent
        for joint in list(base.joints):
            spec.delete(joint)
        if base_quat_wxyz is not None:
            base.quat = base_quat_wxyz
    model = spec.compile()
    actuators = actuator_ids(model, robot.joint_names)
    model.actuator_ctrllimited[actuators] = 0
    model.actuator_forcelimited[actuators] = 1
    model.actuator_gainprm[actuators, 0] = 1.0
    model.actuator_biasprm[actuators, :3] = 0.0
    # solved to convergence: the error of training's loose tolerance would be noise in the derivatives of dry friction
    model.opt.tolerance, model.opt.iterations, model.opt.ls_iterations = 1e-12, 50, 50
    if mount == "standing":  # with training's soft contacts, feet would creep apart until the robot sits
        model.opt.cone, model.opt.impratio = mujoco.mjtCone.mjCONE_ELLIPTIC, 100.0
    if mount == "held":
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    return model


def model_fields(model: mujoco.MjModel, robot: Robot, values: Physical) -> dict[str, np.ndarray]:
    """Model fields that differ from the nominal ones, complete arrays by name.

    A payload scales the base body's inertia with its mass, and an arm's controller still compensates the nominal weight, both as in
    `envs.terms.randomization`. Tilt turns a held base.
    """
    dofs = [int(model.joint(name).dofadr[0]) for name in robot.joints]
    actuators = actuator_ids(model, robot.joint_names)
    base = model.body(robot.base).id
    fields = {
        name: getattr(model, name).copy()
        for name in (
            "dof_damping",
            "dof_frictionloss",
            "dof_armature",
            "body_mass",
            "body_inertia",
            "body_gravcomp",
            "body_quat",
            "actuator_forcerange",
        )
    }
    fields["dof_damping"][dofs] = values.damping
    fields["dof_frictionloss"][dofs] = values.friction
    fields["dof_armature"][dofs] = values.armature
    factor = 1 + values.payload / fields["body_mass"][base]
    fields["body_mass"][base] *= factor
    fields["body_inertia"][base] *= factor
    fields["body_gravcomp"][base] /= factor
    root = model.body_rootid[base]
    if values.tilt.any() and not model.body_jntnum[root]:
        fields["body_quat"][root] = tilted(fields["body_quat"][root], values.tilt)
    limit = np.array(robot.effort_limit) * values.strength
    fields["actuator_forcerange"][actuators] = np.stack([-limit, limit], axis=1)
    return fields


def tilted(quat_wxyz: FloatArray, tilt: FloatArray) -> FloatArray:
    """An attitude (4,) turned further about its own x and y by these angles [rad] (2,)."""
    turn, turned = np.empty(4), np.empty(4)
    mujoco.mju_axisAngle2Quat(turn, np.append(tilt, 0.0) / max(np.linalg.norm(tilt), 1e-12), float(np.linalg.norm(tilt)))
    mujoco.mju_mulQuat(turned, quat_wxyz, turn)
    return turned


def standing_qpos(model: mujoco.MjModel, robot: Robot, quat_wxyz: FloatArray, joints: FloatArray) -> FloatArray:
    """State (nq,) with this attitude (4,) and these joint positions (J,), at the height at which the feet touch the floor on average."""
    data = mujoco.MjData(model)
    data.qpos[3:7] = quat_wxyz / np.linalg.norm(quat_wxyz)
    data.qpos[[int(model.joint(name).qposadr[0]) for name in robot.joints]] = joints
    mujoco.mj_kinematics(model, data)
    data.qpos[2] -= float(np.mean([lowest_point(model, data, geoms)[2] for geoms in robot.foot_geoms(model)]))
    return data.qpos.copy()
