"""Reads what a file's actuators, tendons and keyframes say about the robot's joints, before they are removed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import mujoco

from envs.robots.describe.draft import Motor
from envs.robots.describe.markup import MUJOCO_ERRORS
from envs.robots.describe.notes import Log, listed

SINGLE = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
POSITIONS = {mujoco.mjtJoint.mjJNT_FREE: 7, mujoco.mjtJoint.mjJNT_BALL: 4}


def joints_in_order(body: mujoco.MjsBody) -> Iterator[mujoco.MjsJoint]:
    """Joints below a body in the order of `qpos`."""
    yield from body.joints
    for child in body.bodies:
        yield from joints_in_order(child)


def motors(spec: mujoco.MjSpec, robot: set[str], log: Log) -> tuple[dict[str, Motor], set[str]]:
    """Motors by joint, and the joints that actuators move by tendons or cranks.

    Args:
        spec: the whole file.
        robot: names of the robot's joints.
        log: gets notes on what cannot be represented.
    """
    found: dict[str, Motor] = {}
    indirect: set[str] = set()
    joints = {joint.name: joint for joint in spec.joints}
    tendons = {tendon.name: tendon for tendon in spec.tendons}
    lost: list[str] = []
    biases = _compiled_biases(spec)
    for index, actuator in enumerate(spec.actuators):
        kind, target = actuator.trntype, actuator.target
        name = actuator.name or f"number {index}"
        if kind in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
            if target not in robot or target not in joints:
                continue
            if joints[target].type not in SINGLE:
                log.fault(
                    f"actuator {name} drives {target}, which is not a joint with one degree of freedom",
                    "write it as hinges, each with an actuator",
                )
                continue
            motor = _motor(actuator, joints[target], biases.get(index))
            found[target] = _together(found[target], motor) if target in found else motor
        elif kind == mujoco.mjtTrn.mjTRN_TENDON and target in tendons:
            indirect |= _moved_by(tendons[target]) & robot
        elif kind == mujoco.mjtTrn.mjTRN_SLIDERCRANK:
            indirect |= {joint.name for joint in (spec.site(target).parent.joints if spec.site(target) else [])} & robot
        else:
            lost.append(name)
    if lost:
        log.refused(f"actuators that do not act on a joint are left out: {listed(lost)}", "robolearn only drives joints")
    return found, indirect - set(found)


def _compiled_biases(spec: mujoco.MjSpec) -> dict[int, tuple[float, float]]:
    """Position and velocity bias of actuators whose damping is given as a ratio, which only compiling resolves."""
    if not any(actuator.biasprm[2] > 0 for actuator in spec.actuators):
        return {}
    try:
        model = spec.copy().compile()
    except MUJOCO_ERRORS:
        return {}
    return {index: (float(model.actuator_biasprm[index, 1]), float(model.actuator_biasprm[index, 2])) for index in range(model.nu)}


def _motor(actuator: mujoco.MjsActuator, joint: mujoco.MjsJoint, bias: tuple[float, float] | None) -> Motor:
    gear = float(actuator.gear[0])
    stiffness, damping = bias or (float(actuator.biasprm[1]), float(actuator.biasprm[2]))
    affine = actuator.biastype == mujoco.mjtBias.mjBIAS_AFFINE
    kp = -stiffness * gear**2 if affine and stiffness < 0 else None
    kd = -damping * gear**2 if affine and damping < 0 else None
    limits = []
    if (force := _largest(actuator.forcerange, actuator.forcelimited)) is not None:
        limits.append(force * abs(gear))
    elif not affine and actuator.dyntype == mujoco.mjtDyn.mjDYN_NONE:
        control = _largest(actuator.ctrlrange, actuator.ctrllimited)
        if control is not None:
            limits.append(control * abs(float(actuator.gainprm[0]) * gear))
    if (force := _largest(joint.actfrcrange, joint.actfrclimited)) is not None:
        limits.append(force)
    limits = [limit for limit in limits if 0 < limit < 1e6]
    return Motor(kp=kp, kd=kd, effort=min(limits) if limits else None, gear=gear)


def _largest(bounds: object, limited: object) -> float | None:
    low, high = (float(value) for value in bounds)  # pyright: ignore[reportGeneralTypeIssues]
    if limited == mujoco.mjtLimited.mjLIMITED_FALSE or low >= high or not math.isfinite(low + high):
        return None
    return max(abs(low), abs(high))


def _together(one: Motor, other: Motor) -> Motor:
    """Two actuators on one joint, such as a position and a velocity servo."""
    efforts = [motor.effort for motor in (one, other) if motor.effort is not None]
    return Motor(kp=one.kp or other.kp, kd=one.kd or other.kd, effort=max(efforts) if efforts else None, gear=one.gear)


def _moved_by(tendon: mujoco.MjsTendon) -> set[str]:
    """Joints that a tendon pulls: those it lists, or those between its first site and its others."""
    names: set[str] = set()
    chains: list[set[str]] = []
    for wrap in tendon.path:
        if wrap.target is None:
            continue  # the file names something that does not exist
        if wrap.type == mujoco.mjtWrap.mjWRAP_JOINT:
            names.add(wrap.target.name)
        elif wrap.type == mujoco.mjtWrap.mjWRAP_SITE:
            chain, body = set(), wrap.target.parent
            while body is not None and body.name != "world":
                chain |= {joint.name for joint in body.joints if joint.type in SINGLE}
                body = body.parent
            chains.append(chain)
    if chains:
        names |= set.union(*chains) - set.intersection(*chains)
    return names


def efforts(spec: mujoco.MjSpec, robot: set[str]) -> dict[str, float | None]:
    """Largest torques stated by the joints themselves (`actuatorfrcrange`)."""
    return {
        joint.name: _largest(joint.actfrcrange, joint.actfrclimited)
        for joint in spec.joints
        if joint.name in robot and joint.type in SINGLE
    }


def keys(spec: mujoco.MjSpec, given: dict[str, list[float]], robot: set[str], log: Log) -> dict[str, dict[str, float]]:
    """Keyframes as joint angles, if their size is that of the whole file or of the robot alone."""
    everything = [*joints_in_order(spec.worldbody)]
    alone = [joint for joint in everything if joint.name in robot]
    jointed = [joint for joint in alone if joint.type in SINGLE]
    layouts = [everything, alone, jointed]
    found: dict[str, dict[str, float]] = {}
    misfit: list[str] = []
    for name, values in given.items():
        layout = next((joints for joints in layouts if sum(POSITIONS.get(j.type, 1) for j in joints) == len(values)), None)
        if layout is None:
            misfit.append(f"{name} ({len(values)} numbers)")
            continue
        at, angles = 0, {}
        for joint in layout:
            if joint.type in SINGLE and joint.name in robot:
                angles[joint.name] = values[at]
            at += POSITIONS.get(joint.type, 1)
        found[name] = angles
    if misfit:
        sizes = sorted({sum(POSITIONS.get(j.type, 1) for j in joints) for joints in layouts})
        log.dropped(f"keyframes that do not fit the model: {listed(misfit)}; it has {' or '.join(map(str, sizes))} positions")
    return found
