"""Handles joints of a model that no policy moves: they are held in place, unless a spring, a mimic or a tendon moves them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import mujoco
import numpy as np

from envs.robots.errors import RobotError

_EQUALITY = mujoco.mjtEq.mjEQ_JOINT


def lock(
    spec: mujoco.MjSpec, model: mujoco.MjModel, controlled: Collection[str], unmoved: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Remove the joints that nothing moves; a locked joint is at the angle of its range nearest to zero.

    Args:
        spec: spec of the robot; it is changed.
        model: the same, compiled.
        controlled: joints that get a motor.
        unmoved: joints that have no motor in the file on purpose.

    Returns:
        The joints that were locked, and those that are passive.

    Raises:
        RobotError: a joint cannot be locked, since it shares its body with one that moves.
    """
    others = [i for i in range(model.njnt) if model.joint(i).name not in controlled and model.jnt_type[i] != mujoco.mjtJoint.mjJNT_FREE]
    leader = _leaders(model)
    passive = {i for i in others if _sprung(model, i) or model.joint(i).name in unmoved or i in leader or _on_tendon(model, i)}
    while idle := {i for i in passive if i in leader and leader[i][0] in others and leader[i][0] not in passive}:
        passive -= idle  # they follow locked joints
    locked = [i for i in others if i not in passive]
    if locked:
        _hold(spec, model, locked, leader)
    return tuple(model.joint(i).name for i in locked), tuple(model.joint(i).name for i in others if i in passive)


def passive_pose(model: mujoco.MjModel, qpos: np.ndarray, passive: Iterable[str]) -> None:
    """Set joints that follow others to the angles these imply, in `qpos` (nq,)."""
    leader, names = _leaders(model), set(passive)
    for _ in names:  # chains of them
        for joint, (other, polynomial) in leader.items():
            if model.joint(joint).name in names and other >= 0:
                start = qpos[model.jnt_qposadr[other]] - model.qpos0[model.jnt_qposadr[other]]
                qpos[model.jnt_qposadr[joint]] = model.qpos0[model.jnt_qposadr[joint]] + np.polyval(polynomial[::-1], start)


def _leaders(model: mujoco.MjModel) -> dict[int, tuple[int, np.ndarray]]:
    """Joint -> the joint that it follows by an equality constraint (-1 for none) and the polynomial (5,)."""
    joints = [i for i in range(model.neq) if model.eq_type[i] == _EQUALITY and model.eq_active0[i]]
    return {int(model.eq_obj1id[i]): (int(model.eq_obj2id[i]), model.eq_data[i, :5]) for i in joints}


def _sprung(model: mujoco.MjModel, joint: int) -> bool:
    return bool(np.any(model.jnt_stiffness[joint] != 0)) or model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL


def _on_tendon(model: mujoco.MjModel, joint: int) -> bool:
    return bool(np.any((model.wrap_type == mujoco.mjtWrap.mjWRAP_JOINT) & (model.wrap_objid == joint)))


def _hold(spec: mujoco.MjSpec, model: mujoco.MjModel, locked: list[int], leader: dict[int, tuple[int, np.ndarray]]) -> None:
    names = {model.joint(i).name for i in locked}
    data = mujoco.MjData(model)
    for i in locked:
        low, high = model.jnt_range[i] if model.jnt_limited[i] else (-np.inf, np.inf)
        data.qpos[model.jnt_qposadr[i]] = min(max(0.0, low), high)
    passive_pose(model, data.qpos, {model.joint(i).name for i in locked if i in leader})
    moved = {int(model.jnt_bodyid[i]) for i in locked if abs(data.qpos[model.jnt_qposadr[i]] - model.qpos0[model.jnt_qposadr[i]]) > 1e-12}
    shared = [body for body in moved if any(model.joint(j).name not in names for j in _joints_of(model, body))]
    if shared:
        held = ", ".join(model.joint(i).name for i in locked if int(model.jnt_bodyid[i]) in shared)
        raise RobotError(
            f"{held}: cannot be locked at an angle other than zero, since its body has another joint that moves; list it under `joints`"
        )
    mujoco.mj_kinematics(model, data)
    for body in (body for body in spec.bodies if body.name in {model.body(i).name for i in moved}):
        place = model.body(body.name).id
        parent = int(model.body_parentid[place])
        inverse = np.empty(4)
        mujoco.mju_negQuat(inverse, data.xquat[parent])
        quat, pos = np.empty(4), np.empty(3)
        mujoco.mju_mulQuat(quat, inverse, data.xquat[place])
        mujoco.mju_rotVecQuat(pos, data.xpos[place] - data.xpos[parent], inverse)
        body.pos, body.quat, body.alt.type = pos, quat, mujoco.mjtOrientation.mjORIENTATION_QUAT
    for constraint in [item for item in spec.equalities if item.type == _EQUALITY and {item.name1, item.name2} & names]:
        spec.delete(constraint)
    for joint in [joint for joint in spec.joints if joint.name in names]:
        spec.delete(joint)


def _joints_of(model: mujoco.MjModel, body: int) -> range:
    start = int(model.body_jntadr[body])
    return range(start, start + int(model.body_jntnum[body]))
