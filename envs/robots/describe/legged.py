"""Describes a legged robot: soles for feet without any, a pose, gains, a trial, and the feet in `robot.yaml`."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import mujoco
import numpy as np

from envs.robots.describe.finding import Description, FootFound, few, followers_of, unused_joint, with_notes
from envs.robots.describe.gains import Drive, find_drives
from envs.robots.describe.limbs import Chain, find_limbs, gait, leg_names
from envs.robots.describe.limits import efforts_of, file_gains, limit_notes, neat
from envs.robots.describe.notes import Note
from envs.robots.describe.pose import Standing, find_standing
from envs.robots.describe.shapes import collides
from envs.robots.describe.soles import ANKLE_JOINTS
from envs.robots.describe.standing import Trial, stage, stand, without_self_collision
from envs.robots.describe.symmetry import Mirror


def describe_legged(found: Description) -> Description:
    """Describe a robot on legs."""
    found = _add_soles(found)
    model, limbs = found.model, found.limbs
    standing = find_standing(model, limbs, found.mirror, found.reading.keys)
    qpos = standing.qpos.copy()
    for link in limbs.joints:
        address = model.jnt_qposadr[link.joint]
        qpos[address] = round(float(qpos[address]), 3) + 0.0
    standing = replace(standing, qpos=qpos)
    drives = _alike(find_drives(model, qpos, limbs, standing, efforts_of(found), found.reading.velocities, file_gains(found)), found.mirror)
    spec = stage(found.reading.spec, drives, floating=True)
    staged = spec.compile()
    without_self_collision(staged, free=True)
    trial = stand(staged, qpos, standing.height, list(drives))
    notes = [Note(kind="remark", what=remark) for remark in (*limbs.remarks, *found.mirror.remarks)]
    notes += [Note(kind="refused", what=f"no standing pose: {fault}", mend=_pose_mend(found)) for fault in standing.faults]
    notes += limit_notes(found, drives)
    notes += _trial_notes(found, trial, standing)
    arm_links = {link.name for chain in limbs.arms for link in chain.own}
    biped = len(limbs.legs) == 2
    posture = {link.name: _posture(found, qpos, link.joint, link.name in arm_links, biped) for link in limbs.joints}
    found = with_notes(
        replace(
            found,
            standing=standing,
            drives=drives,
            default={link.name: float(qpos[model.jnt_qposadr[link.joint]]) for link in limbs.joints},
            posture=posture,
            feet=_feet(found, standing),
            trial=trial,
        ),
        *notes,
    )
    if not found.asymmetric:
        return found
    what = f"{few(found.asymmetric)} have no mirror image, or are not at the mirrored angle: it learns without symmetry"
    return with_notes(found, Note(kind="remark", what=what, mend="give `default` and `mirror` in robot.yaml"))


def _add_soles(found: Description) -> Description:
    """Give feet without collision shapes a shape to stand on, in place of their visible ones."""
    notes: list[Note] = []
    tree = ET.fromstring(found.reading.xml)
    for chain in found.limbs.legs:
        if chain.collides:
            continue
        body, home = next(iter(chain.tip.bodies.items()))
        name = found.model.body(body).name
        shape, said = _sole_shape(chain, np.linalg.inv(home))
        element = next(element for element in tree.iter("body") if element.get("name") == name)
        ET.SubElement(element, "geom", {"name": f"{name}_sole", "mass": "0", "contype": "1", "conaffinity": "1", "group": "3"} | shape)
        notes.append(
            Note(
                kind="mended",
                what=f"{name} has no collision shape: {said} is added as its foot",
                mend="give the link a <collision> (URDF) or a colliding geom (MJCF)",
            )
        )
    if not notes:
        return found
    text = ET.tostring(tree, encoding="unicode")
    spec = mujoco.MjSpec.from_string(text)
    if not found.reading.free:
        spec.body(found.reading.root).add_freejoint(name=unused_joint(found.model, "base_free"))
    reading, model = replace(found.reading, xml=text, spec=spec), spec.compile()
    limbs = find_limbs(model, found.mirror, followers_of(reading, model))
    return with_notes(replace(found, reading=reading, model=model, limbs=limbs), *notes)


def _sole_shape(chain: Chain, to_body: np.ndarray) -> tuple[dict[str, str], str]:
    """A geom for a foot with only visible shapes: a box around a foot with an ankle, a ball at the end of any other."""

    def text(values: np.ndarray) -> str:
        return " ".join(f"{value:.6g}" for value in values)

    points = chain.cloud.points @ to_body[:3, :3].T + to_body[:3, 3]
    low, high = points.min(axis=0), points.max(axis=0)
    if len(chain.own) >= ANKLE_JOINTS and (high - low).min() > 0:
        size = "x".join(f"{1000 * side:.0f}" for side in high - low)
        return {
            "type": "box",
            "size": text((high - low) / 2),
            "pos": text((low + high) / 2),
        }, f"a box of {size} mm, as large as drawn,"
    off = chain.cloud.points - chain.tip.anchor
    reach = float(np.linalg.norm(off, axis=1).max())
    tip = chain.cloud.points[np.argmax(np.linalg.norm(off, axis=1))]
    radius = 0.08 * reach
    centre = tip - (tip - chain.tip.anchor) / reach * radius
    place = to_body[:3, :3] @ centre + to_body[:3, 3]
    return {"type": "sphere", "size": f"{radius:.6g}", "pos": text(place)}, f"a ball of {1000 * radius:.0f} mm"


def _pose_mend(found: Description) -> str:
    if found.reading.keys:
        return "give the model a keyframe named `stand` in which it stands, or correct `default` in robot.yaml"
    return "check the ranges of its joints, or give the default angles in robot.yaml yourself"


def _alike(drives: dict[str, Drive], symmetry: Mirror) -> dict[str, Drive]:
    """The same gains left and right, rounded as they are written."""
    done: dict[str, Drive] = {}
    for name, drive in drives.items():
        image = symmetry.joints.get(name, (name, 1.0))[0]
        other = drives.get(image, drive)
        both = replace(drive, kp=(drive.kp + other.kp) / 2, kd=(drive.kd + other.kd) / 2, scale=min(drive.scale, other.scale))
        done[name] = neat(both)
    return done


def _posture(found: Description, qpos: np.ndarray, joint: int, arm: bool, biped: bool) -> float:
    """As in our robots: a humanoid's legs may swing and bend freely, and its arms too."""
    if not biped:
        return 1.0
    if arm:
        return 0.1
    data = mujoco.MjData(found.model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(found.model, data)
    root = found.model.body(found.reading.root).id
    axis = data.xmat[root].reshape(3, 3).T @ data.xaxis[joint]
    in_leg = any(link.joint == joint for chain in found.limbs.legs for link in chain.own)
    return 0.1 if in_leg and abs(axis[1]) > 0.9 else 1.0


def _feet(found: Description, standing: Standing) -> tuple[FootFound, ...]:
    model = found.model
    feet = []
    for leg, name, turn in zip(standing.legs, leg_names(len(standing.legs)), gait(len(standing.legs)), strict=True):
        body = leg.sole.body
        position, shape, geoms = leg.sole.position, "flat sole" if leg.sole.flat else "round foot", ()
        if not leg.sole.flat:
            first = int(model.body_geomadr[body])
            own = [g for g in range(first, first + int(model.body_geomnum[body])) if collides(model, g)]
            balls = [g for g in own if model.geom_type[g] == mujoco.mjtGeom.mjGEOM_SPHERE]
            lowest = min(balls, key=lambda g: float(np.linalg.norm(model.geom_pos[g] - position) - model.geom_size[g, 0]), default=None)
            if lowest is not None and np.linalg.norm(model.geom_pos[lowest] - position) < 1.1 * model.geom_size[lowest, 0]:
                position, shape = model.geom_pos[lowest], f"ball of {1000 * model.geom_size[lowest, 0]:.0f} mm"
                if len(own) > 1 and model.geom(lowest).name:
                    geoms = (model.geom(lowest).name,)
        feet.append(
            FootFound(
                name=name, body=model.body(body).name, position=_rounded_all(position), turn=turn, sole=leg.sole.flat,
                up=_rounded_all(leg.sole.up) if leg.sole.flat else (0.0, 0.0, 1.0), geoms=geoms, shape=shape,
            )
        )  # fmt: skip
    return tuple(feet)


def _rounded_all(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) + 0.0 for value in values)


def _trial_notes(found: Description, trial: Trial, standing: Standing) -> list[Note]:
    if not trial.stands:
        if len(found.limbs.legs) == 2:
            return [Note(kind="remark", what=f"it must balance: with its gains alone it falls after {trial.seconds:.1f} s, as bipeds do")]
        return [Note(kind="refused", what=f"it does not stand with its gains: it fell after {trial.seconds:.1f} s", mend=_pose_mend(found))]
    notes = []
    if trial.trembles:
        notes.append(
            Note(
                kind="remark",
                what=f"it trembles while it stands ({trial.speed:.2f} rad/s)",
                mend="lower kp, or raise armature, in robot.yaml",
            )
        )
    if trial.sunk > 0.2 * standing.height:
        notes.append(Note(kind="remark", what=f"it sinks by {trial.sunk:.3f} m under its own weight", mend="raise kp in robot.yaml"))
    return notes
