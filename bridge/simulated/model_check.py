"""Checks a MuJoCo model against a policy's robot: its joints and base, their actuators, and its number of feet.

The functions read a compiled model and do not change it.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from policies.contract.spec import RobotSpec

MOST_NAMES = 12
SAG = 0.01  # rad: an arm that bends more by its own weight is not carried by its controller
LIFTED = 0.01  # of its weight: what carries so much is told
FEET_SHARE = 0.15  # of the base's height: limbs that end so little above the lowest one are feet


def free_joint(mujoco: Any, model: Any, joint: int) -> int | None:
    """Id of the free joint of the tree that a joint is in; None for a tree that is fixed to the world."""
    first = int(model.body_jntadr[model.body_rootid[model.jnt_bodyid[joint]]])
    return first if first >= 0 and model.jnt_type[first] == mujoco.mjtJoint.mjJNT_FREE else None


def lacks_of(mujoco: Any, model: Any, spec: RobotSpec) -> list[str]:
    """Everything that keeps a model from being this robot; empty if nothing does."""
    ids = {name: int(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name)) for name in spec.joint_names}
    lacks: list[str] = []
    missing = [name for name, joint in ids.items() if joint < 0]
    if missing:
        others = [_name(model, i) for i in range(model.njnt) if _single(mujoco, model, i) and i not in ids.values()]
        lacks.append(f"it lacks the joints {_few(missing)}, and has {_few(others) or 'no others'}")
    wrong = [name for name, joint in ids.items() if joint >= 0 and not _single(mujoco, model, joint)]
    if wrong:
        lacks.append(f"{_few(wrong)} turn about more than one axis in it")
    found = {name: joint for name, joint in ids.items() if joint >= 0 and name not in wrong}
    for name, pose in zip(spec.joint_names, spec.default_pose, strict=True):
        joint = found.get(name, -1)
        if joint >= 0 and model.jnt_limited[joint] and not model.jnt_range[joint, 0] <= pose <= model.jnt_range[joint, 1]:
            low, high = model.jnt_range[joint]
            lacks.append(f"the range of {name} is [{low:.3g}, {high:.3g}] there, and the default pose has it at {pose:.3g}")
    if found and not lacks:
        held = _held(mujoco, model, spec, list(found.values()))
        lacks += [f"{_few(held)} holds it: an equality whose other end is the world or the robot itself; take it out"] if held else []
    return lacks + (_lacks_base(mujoco, model, spec, found) if spec.floating_base and found else [])


def _lacks_base(mujoco: Any, model: Any, spec: RobotSpec, found: dict[str, int]) -> list[str]:
    """What keeps these joints from standing on a base of their own."""
    lacks: list[str] = []
    trees = sorted({int(model.body_rootid[model.jnt_bodyid[joint]]) for joint in found.values()})
    bare = [name for name, joint in found.items() if free_joint(mujoco, model, joint) is None]
    if bare:
        lacks.append(f"no free joint carries {_few(bare)}, and the policy's robot {spec.name} has a floating base")
    elif len(trees) > 1:
        lacks.append("its joints are on several bases: " + ", ".join(model.body(tree).name or "(no name)" for tree in trees))
    shapes = np.isin(model.body_rootid[model.geom_bodyid], trees) & ((model.geom_contype | model.geom_conaffinity) != 0)
    off = int(mujoco.mjtDisableBit.mjDSBL_CONTACT) | int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
    if not shapes.any() or model.opt.disableflags & off:
        why = "its options disable contacts" if shapes.any() else "it has no shapes that collide"
        lacks.append(f"nothing of it can touch the ground: {why}")
    weightless = bool(model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_GRAVITY))
    if weightless or model.opt.gravity[2] >= 0:
        why = "its options disable gravity" if weightless else f"its gravity is {_vector(model.opt.gravity)} m/s^2"
        lacks.append(f"nothing pulls it to the ground: {why}")
    return lacks


def _held(mujoco: Any, model: Any, spec: RobotSpec, joints: list[int]) -> list[str]:
    """Names of the active equalities that bind nothing but the policy's joints and their base: no linkage, no mimic joint, no load."""
    dense = copy.copy(model)
    dense.opt.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    data = mujoco.MjData(dense)
    data.qpos[model.jnt_qposadr[joints]] = [spec.default_pose[spec.joint_names.index(_name(model, joint))] for joint in joints]
    mujoco.mj_forward(dense, data)
    own = np.isin(np.arange(model.nv), _dofs(mujoco, model, joints))
    bound = np.abs(np.reshape(data.efc_J, (data.nefc, model.nv))) > 1e-9
    alone = (data.efc_type == int(mujoco.mjtConstraint.mjCNSTR_EQUALITY)) & bound.any(axis=1) & ~bound[:, ~own].any(axis=1)
    ids = sorted({int(i) for i in data.efc_id[alone]})
    return [str(model.equality(i).name) or f"equality {i} (no name)" for i in ids]


def _dofs(mujoco: Any, model: Any, joints: list[int]) -> list[int]:
    """Degrees of freedom of these joints and of the free joints that carry them."""
    bases = {base for joint in joints if (base := free_joint(mujoco, model, joint)) is not None}
    return [int(model.jnt_dofadr[joint]) for joint in joints] + [int(model.jnt_dofadr[base]) + i for base in bases for i in range(6)]


def _vector(values: Any) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def movers(mujoco: Any, model: Any, joints: list[int]) -> list[int]:
    """Ids of the actuators that move one of the joints, through whatever transmission."""
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    moved = np.zeros(model.nu, bool)
    for _ in range(3 if model.nu else 0):  # a lever may be at its dead centre once
        mujoco.mj_integratePos(model, data.qpos, rng.uniform(-0.1, 0.1, model.nv), 1.0)
        mujoco.mj_fwdPosition(model, data)
        moment = np.zeros((model.nu, model.nv))
        mujoco.mju_sparse2dense(moment, data.actuator_moment, data.moment_rownnz, data.moment_rowadr, data.moment_colind)
        moved |= (np.abs(moment[:, model.jnt_dofadr[joints]]) > 1e-9).any(axis=1)
    pushes = np.isin(model.actuator_trntype, [int(mujoco.mjtTrn.mjTRN_BODY), int(mujoco.mjtTrn.mjTRN_SITE)])
    pushes &= model.actuator_trnid[:, 1] < 0  # suction and thrusters push a body; a place that refers to another one is a lever
    return [int(i) for i in np.flatnonzero(moved & ~pushes)]


def notes_of(mujoco: Any, model: Any, spec: RobotSpec, joints: list[int], moving: list[int]) -> list[str]:
    """Differences from our models, one line each."""
    notes: list[str] = []
    if moving and (len(moving) != len(joints) or not all(_is_impedance(mujoco, model, i) for i in moving)):
        there = f"the model's {len(moving)} actuators on {spec.name}'s {len(joints)} joints"
        notes.append(f"{there} give way to motors of the policy's contract")
    trees = {int(model.body_rootid[model.jnt_bodyid[joint]]) for joint in joints}
    rest = [i for i in range(model.njnt) if i not in joints and int(model.body_rootid[model.jnt_bodyid[i]]) in trees]
    rest = [i for i in rest if _single(mujoco, model, i)]
    driven = set(model.actuator_trnid[model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT, 0].tolist())
    held, free = [_name(model, i) for i in rest if i in driven], [_name(model, i) for i in rest if i not in driven]
    notes += [f"the policy does not move {_few(held)}; actuators of the model's own do, at rest"] if held else []
    notes += [f"the policy does not move {_few(free)}, and no actuator is on them"] if free else []
    sprung = _sprung(mujoco, model, joints)
    notes += [f"springs of the model's own push {_few(sprung)}"] if sprung else []
    bodies = np.flatnonzero(np.isin(model.body_rootid, sorted(trees)))
    lifted = float((model.body_gravcomp * model.body_mass)[bodies].sum() / max(model.body_mass[bodies].sum(), 1e-9))
    if spec.floating_base and abs(lifted) > LIFTED:
        notes.append(f"its bodies' gravcomp carries {lifted:.0%} of its weight, which nothing does for a real robot")
    if not spec.floating_base:
        sag = _sag(mujoco, model, spec, joints)
        worst = int(np.argmax(sag))
        weight = f"its weight alone bends {spec.joint_names[worst]} by {sag[worst]:.2f} rad against the policy's gain"
        notes += [f"{weight}; the bundled arm's bodies have gravcomp=1, as arms' controllers carry them"] if sag[worst] > SAG else []
    return notes


def feet_of(mujoco: Any, model: Any, spec: RobotSpec, joints: list[int], base: int) -> int:
    """Number of limbs that end at the ground in the default pose."""
    data = mujoco.MjData(model)
    data.qpos[model.jnt_qposadr[joints]] = spec.default_pose
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    moved, inner = {int(model.jnt_bodyid[joint]) for joint in joints}, set[int]()
    for body in moved:
        while body := int(model.body_parentid[body]):
            inner.add(body)
    ends = data.xipos[sorted(moved - inner), 2]
    height = float(data.xpos[model.jnt_bodyid[base], 2] - ends.min())
    return int(np.count_nonzero(ends <= ends.min() + FEET_SHARE * height))


def _sprung(mujoco: Any, model: Any, joints: list[int]) -> list[str]:
    """Names of the joints, among them the base's, that springs of joints or tendons push in some pose."""
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    own, pushed = _dofs(mujoco, model, joints), np.zeros(model.nv, bool)
    for _ in range(3):  # one may be at rest once
        mujoco.mj_integratePos(model, data.qpos, rng.uniform(-0.1, 0.1, model.nv), 1.0)
        mujoco.mj_forward(model, data)
        pushed |= np.abs(data.qfrc_spring) > 1e-9
    return list(dict.fromkeys(_name(model, int(model.dof_jntid[dof])) for dof in own if pushed[dof]))


def _sag(mujoco: Any, model: Any, spec: RobotSpec, joints: list[int]) -> Any:
    """How far [rad] (J,) gravity bends each joint in the default pose, held by the policy's gains."""
    data, dofs = mujoco.MjData(model), model.jnt_dofadr[joints]
    data.qpos[model.jnt_qposadr[joints]] = spec.default_pose
    mujoco.mj_forward(model, data)
    return np.abs(data.qfrc_bias[dofs] - data.qfrc_gravcomp[dofs]) / np.maximum(np.array(spec.kp), 1e-9)


def _single(mujoco: Any, model: Any, joint: int) -> bool:
    """Whether a joint is one number: a hinge or a slide."""
    return int(model.jnt_type[joint]) in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)


def _is_impedance(mujoco: Any, model: Any, actuator: int) -> bool:
    """Whether it is what the joints get anyway: force = gain target + bias, straight on the joint."""
    return bool(
        model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_JOINT
        and model.actuator_gaintype[actuator] == mujoco.mjtGain.mjGAIN_FIXED
        and model.actuator_biastype[actuator] == mujoco.mjtBias.mjBIAS_AFFINE
        and model.actuator_dyntype[actuator] == mujoco.mjtDyn.mjDYN_NONE
        and model.actuator_gear[actuator, 0] == 1.0
    )


def _name(model: Any, joint: int) -> str:
    return str(model.joint(joint).name) or "(no name)"


def _few(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
