"""Checks a `robot.yaml` against its model: it must compile, stand with its gains, and be symmetric."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from envs.robots.describe.gains import ABSURD_SPEED
from envs.robots.describe.standing import stand
from envs.robots.describe.symmetry import mirror
from envs.robots.robot import Robot


def check_written(robot: Robot) -> tuple[dict[str, Any], list[str], bool]:
    """Check a description.

    Returns: Plain values for JSON, lines of text, and whether it can be trained.

    Raises:
        RobotError: it contradicts its model; lists all contradictions.
    """
    model = robot.compiled
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
    qpos = data.qpos.copy()
    mujoco.mj_forward(model, data)
    faults, remarks = _pose(robot, model, data)
    trial = stand(model, qpos, robot.stand_height, list(robot.joints), seconds=5.0 if robot.floating_base else 2.0)
    if trial.stands:
        held = f"stands {trial.seconds:g} s with its gains" if robot.floating_base else "holds its pose with its gains"
    elif len(robot.feet) == 2:
        held = f"must balance: with its gains alone it falls after {trial.seconds:.1f} s, as bipeds do"
    else:
        held = f"falls after {trial.seconds:.1f} s with its gains"
        faults.append(f"it {held}: raise kp, or correct `default` and `stand_height`")
    if trial.stands and trial.trembles:
        remarks.append(f"it trembles while it stands ({trial.speed:.2f} rad/s): lower kp or raise `armature`")
    remarks += _symmetry(robot, model, qpos)
    inertia = _inertias(model, data)
    lines = [
        f"{robot.name}: {sum(model.body_mass):.3g} kg, {robot.num_joints} joints, {len(robot.feet)} feet, {robot.model.name}",
        f"  simulated  {held}",
    ]
    lines += [f"  locked     {', '.join(robot.built.locked)}"] if robot.built.locked else []
    lines += [f"  passive    {', '.join(robot.built.passive)}"] if robot.built.passive else []
    lines += ["", *_table(robot, model, inertia)]
    for title, entries in (("will not work", faults), ("to know", remarks)):
        lines += ["", f"{title}:", *(f"  - {entry}" for entry in entries)] if entries else []
    task = "velocity-flat" if robot.floating_base else "reach"
    lines += ["", "not usable as it is" if faults else f"usable; next: robolearn train {task} --robot {robot.source}"]
    values = {
        "name": robot.name,
        "usable": not faults,
        "mass_kg": float(model.body_mass.sum()),
        "floating_base": robot.floating_base,
        "joints": {name: {"kp": joint.kp, "kd": joint.kd, "default": joint.default, "effort": joint.effort, "velocity": joint.velocity,
                          "scale": joint.scale, "inertia_kg_m2": inertia[name]} for name, joint in robot.joints.items()},
        "feet": {name: {"body": foot.body, "sole": foot.sole, "turn": foot.turn} for name, foot in robot.feet.items()},
        "seconds_simulated": trial.seconds,
        "stands": trial.stands,
        "notes": [{"kind": "refused", "what": fault, "mend": ""} for fault in faults]
        + [{"kind": "remark", "what": remark, "mend": ""} for remark in remarks],
    }  # fmt: skip
    return values, lines, not faults


def _pose(robot: Robot, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[list[str], list[str]]:
    """Feet and floor in the default pose."""
    faults: list[str] = []
    remarks: list[str] = []
    if not robot.floating_base:
        return faults, remarks
    deep = [contact.dist for contact in data.contact if contact.dist < 0]
    if deep and -min(deep) > 0.02 * robot.leg_length:
        faults.append(f"in the default pose it is {-min(deep):.3f} m below the ground: raise `stand_height` by that much")
    if not data.ncon:
        lowest = min(float(data.site(f"{foot}_foot").xpos[2]) for foot in robot.feet)
        if lowest > 0.15 * robot.leg_length:
            faults.append(f"in the default pose its feet are {lowest:.3f} m above the ground: lower `stand_height`")
    return faults, remarks


def _symmetry(robot: Robot, model: mujoco.MjModel, qpos: np.ndarray) -> list[str]:
    if not robot.floating_base or robot.mirror == {}:
        return []
    found = mirror(model, qpos)
    remarks = [fault for fault in found.faults if "default pose" in fault]
    for name, (image, sign) in (robot.mirror or {}).items():
        if name in found.joints and found.joints[name] != (image, sign):
            other, other_sign = found.joints[name]
            remarks.append(f"mirror.{name} is [{image}, {sign:g}]; by geometry it is [{other}, {other_sign:g}]")
    return remarks


def _inertias(model: mujoco.MjModel, data: mujoco.MjData) -> dict[str, float]:
    matrix = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, matrix)
    return {model.joint(i).name: float(matrix[model.jnt_dofadr[i], model.jnt_dofadr[i]]) for i in range(model.njnt)}


def _table(robot: Robot, model: mujoco.MjModel, inertia: dict[str, float]) -> list[str]:
    width = max(len("joint"), *(len(name) for name in robot.joints))
    lines = [f"{'joint':{width}} {'range':>15} {'default':>8} {'effort':>8} {'speed':>7} {'inertia':>9} {'kp':>7} {'kd':>7} {'scale':>6}"]
    for name, joint in robot.joints.items():
        index = model.joint(name).id
        limits = "{:.2f} .. {:.2f}".format(*model.jnt_range[index]) if model.jnt_limited[index] else "none"
        speed = f"{joint.velocity:.3g}{'!' if joint.velocity > ABSURD_SPEED else ''}"
        lines.append(
            f"{name:{width}} {limits:>15} {joint.default:8.3f} {joint.effort:8.4g} {speed:>7} {inertia[name]:9.4f}"
            f" {joint.kp:7.4g} {joint.kd:7.3g} {joint.scale:6.2f}"
        )
    return lines
