"""Everything that robolearn finds out about a model, in one place: what the robot is, how it is driven, how it stands, what will not work."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import mujoco
import numpy as np

from envs.robots.describe.gains import GRAVITY, Drive, find_drives
from envs.robots.describe.limbs import Limbs, find_limbs, gait, leg_names
from envs.robots.describe.notes import Note
from envs.robots.describe.pose import Standing, find_standing
from envs.robots.describe.reach import Reach, find_reach
from envs.robots.describe.reading import Reading, read
from envs.robots.describe.shapes import collides
from envs.robots.describe.standing import Trial, stage, stand, without_self_collision
from envs.robots.describe.symmetry import Mirror, mirror

FEW_WORLDS_KG = 400.0  # heavier than any robot that was tried


@dataclass(frozen=True, kw_only=True)
class FootFound:
    """A foot, as `robot.yaml` has it."""

    name: str
    body: str
    position: tuple[float, ...]
    turn: float
    sole: bool
    up: tuple[float, ...]
    geoms: tuple[str, ...]
    shape: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What was found.

    Attributes:
        name: of the robot.
        reading: the model as it was read; spheres that feet lacked are in its `spec`.
        model: the robot alone, compiled; with a free joint where it stands on legs.
        kind: in words.
        floating: whether its base moves.
        limbs, mirror: what it is made of.
        standing: of a legged robot.
        reach: of an arm.
        drives: joint -> its drive, in policy order.
        default: joint -> angle in the default pose.
        posture: joint -> share of the posture reward.
        feet: in the order of `robot.yaml`.
        trial: what it did under its gains in simulation.
        notes: the reading's and what was found since; a `refused` one means that it will not work as it is.
    """

    name: str
    reading: Reading
    model: mujoco.MjModel
    kind: str
    floating: bool
    limbs: Limbs
    mirror: Mirror
    standing: Standing | None = None
    reach: Reach | None = None
    drives: dict[str, Drive] = field(default_factory=dict)
    default: dict[str, float] = field(default_factory=dict)
    posture: dict[str, float] = field(default_factory=dict)
    feet: tuple[FootFound, ...] = ()
    trial: Trial | None = None
    notes: tuple[Note, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a task can be trained on it as it is."""
        return bool(self.drives) and not any(note.kind == "refused" for note in self.notes)

    @property
    def mass(self) -> float:
        """[kg]."""
        return float(self.model.body_mass.sum())

    @property
    def base(self) -> str:
        """The body that carries payloads and takes pushes."""
        return self.reading.root if self.reach is None else self.model.body(self.reach.load_body).name

    def range(self, joint: str) -> tuple[float, float] | None:
        """The range of a joint [rad or m]; None where the file sets none."""
        index = self.model.joint(joint).id
        low, high = self.model.jnt_range[index]
        return (float(low), float(high)) if self.model.jnt_limited[index] else None


def describe(path: Path, name: str | None = None, floating: bool | None = None, packages: Sequence[Path] = ()) -> Description:
    """Find out all about a model.

    Args:
        path: MJCF or URDF.
        name: of the robot; the model's own where None.
        floating: whether its base moves; None to decide by its legs.
        packages: folders of ROS packages.

    Raises:
        RobotError: the file cannot be read as a robot.
    """
    reading = read(path, packages)
    notes = list(reading.notes)
    model = reading.spec.compile()
    symmetry = mirror(model)
    limbs = find_limbs(model, symmetry, _followers(reading, model))
    moves = bool(limbs.legs) if floating is None else floating
    if moves and not reading.free:
        reading.spec.body(reading.root).add_freejoint(name=_unused(model, "base_free"))
        if floating is None:
            notes.append(Note(kind="mended", what="the base gets a free joint, since the robot has legs", mend="--fixed keeps it in its place"))
    elif reading.free and not moves:
        if floating is None:
            notes.append(
                Note(kind="refused", what="its base is free and no legs were found", mend="--fixed holds its base, where it is an arm on something that drives or flies")
            )
        for joint in list(reading.spec.joints):
            if joint.type == mujoco.mjtJoint.mjJNT_FREE:
                reading.spec.delete(joint)
    if moves != reading.free:
        model = reading.spec.compile()
        symmetry = mirror(model)
        limbs = find_limbs(model, symmetry, _followers(reading, model))
    found = Description(
        name=name or default_name(reading), reading=reading, model=model, kind="", floating=moves, limbs=limbs, mirror=symmetry, notes=tuple(notes)
    )
    found = replace(found, kind=_kind(found))
    if not limbs.joints:
        return _with(found, Note(kind="refused", what="it has no joint that a policy could move", mend="give a model with hinges or slides"))
    if moves and limbs.legs:
        return _legged(found)
    if moves:
        return _with(found, Note(kind="refused", what="no legs were found: chains of at least three joints in left-right pairs that reach the ground", mend="is the base's frame x forward and z up, and is the robot left-right symmetrical? --fixed takes it for an arm"))
    if not limbs.arms:
        return _with(found, Note(kind="refused", what="no arm was found: a chain of at least three joints", mend="robolearn trains legged robots to walk and arms to reach"))
    return _arm(found)


def default_name(reading: Reading) -> str:
    """The model's own name, as a file and a policy can have it."""
    name = str(reading.spec.modelname or "")
    if not name or name.lower() in ("robot", "scene", "mujoco model", "urdf"):
        name = reading.path.stem
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_").lower()
    return re.sub(r"_(description|robot|urdf|scene)$", "", name) or "robot"


def _with(found: Description, *notes: Note) -> Description:
    return replace(found, notes=(*found.notes, *notes))


def _unused(model: mujoco.MjModel, name: str) -> str:
    taken = {model.joint(i).name for i in range(model.njnt)}
    while name in taken:
        name += "_"
    return name


def _followers(reading: Reading, model: mujoco.MjModel) -> dict[str, str]:
    followers = {name: "no motor moves it" for name in reading.passive}
    followers |= {name: f"follows {leader}" for name, (leader, _, _) in reading.mimics.items()}
    for joint in range(model.njnt):
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL:
            followers[model.joint(joint).name] = "a ball joint"
    return followers


def _kind(found: Description) -> str:
    legs, arms = len(found.limbs.legs), len(found.limbs.arms)
    if found.floating and legs:
        word = {2: "biped", 4: "quadruped", 6: "hexapod"}.get(legs, f"{legs}-legged robot")
        if legs == 2 and arms == 2:
            return "humanoid"
        return f"{word} with {'an arm' if arms == 1 else f'{arms} arms'}" if arms else word
    if arms and not found.floating:
        return f"arm of {len(found.limbs.arms[0].links)} joints" if arms == 1 else f"fixed robot with {arms} arms"
    return "robot without legs or arms"


def _efforts(found: Description) -> dict[str, float | None]:
    return {
        link.name: motor.effort if (motor := found.reading.motors.get(link.name)) and motor.effort else found.reading.efforts.get(link.name)
        for link in found.limbs.joints
    }


def _file_gains(found: Description) -> dict[str, tuple[float, float]]:
    return {name: (motor.kp, motor.kd or 0.0) for name, motor in found.reading.motors.items() if motor.kp}


def _rounded(value: float, digits: int = 4) -> float:
    """To so many significant digits."""
    return float(f"{value:.{digits}g}") + 0.0


def _neat(drive: Drive) -> Drive:
    return replace(
        drive, effort=_rounded(drive.effort), velocity=_rounded(drive.velocity), armature=_rounded(drive.armature, 3),
        kp=_rounded(drive.kp, 3), kd=_rounded(drive.kd, 3), scale=_rounded(drive.scale, 3),
    )  # fmt: skip


def _legged(found: Description) -> Description:
    model, limbs = found.model, found.limbs
    found = _add_soles(found)
    model = found.model
    standing = find_standing(model, limbs, found.mirror, found.reading.keys)
    qpos = standing.qpos.copy()
    for link in limbs.joints:
        address = model.jnt_qposadr[link.joint]
        qpos[address] = round(float(qpos[address]), 3) + 0.0
    standing = replace(standing, qpos=qpos)
    drives = _alike(find_drives(model, qpos, limbs, standing, _efforts(found), found.reading.velocities, _file_gains(found)), found.mirror)
    spec = stage(found.reading.spec, drives, floating=True)
    staged = spec.compile()
    without_self_collision(staged, free=True)
    trial = stand(staged, qpos, standing.height, list(drives))
    notes = [Note(kind="remark", what=remark) for remark in (*limbs.remarks, *found.mirror.remarks)]
    notes += [Note(kind="remark", what=f"symmetry: {fault}", mend="give `mirror: {}` to learn without") for fault in found.mirror.faults]
    notes += [Note(kind="refused", what=f"no pose to stand in: {fault}", mend=_pose_mend(found)) for fault in standing.faults]
    notes += _limit_notes(found, drives, standing)
    notes += _trial_notes(found, trial, standing)
    arm_links = {link.name for chain in limbs.arms for link in chain.own}
    biped = len(limbs.legs) == 2
    posture = {link.name: _posture(found, qpos, link.joint, link.name in arm_links, biped) for link in limbs.joints}
    return _with(
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


def _add_soles(found: Description) -> Description:
    """Give feet that nothing collides with a sphere each to stand on, in the place of what is seen of them."""
    notes: list[Note] = []
    for chain in found.limbs.legs:
        if chain.collides or not len(chain.cloud):
            continue
        body, home = next(iter(chain.tip.bodies.items()))
        off = chain.cloud.points - chain.tip.anchor
        reach = float(np.linalg.norm(off, axis=1).max())
        tip = chain.cloud.points[np.argmax(np.linalg.norm(off, axis=1))]
        radius = 0.08 * reach
        centre = tip - (tip - chain.tip.anchor) / reach * radius
        to_body = np.linalg.inv(home)
        name = found.model.body(body).name
        found.reading.spec.body(name).add_geom(
            name=f"{name}_sole", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[radius, 0, 0], pos=to_body[:3, :3] @ centre + to_body[:3, 3],
            mass=0.0, contype=1, conaffinity=1, group=3,
        )  # fmt: skip
        notes.append(Note(kind="mended", what=f"nothing of {name} collides: a sphere of {radius:.3f} m is added to it as a foot", mend="give the link a <collision> (URDF) or a colliding geom (MJCF)"))
    if not notes:
        return found
    model = found.reading.spec.compile()
    limbs = find_limbs(model, found.mirror, _followers(found.reading, model))
    return _with(replace(found, model=model, limbs=limbs), *notes)


def _pose_mend(found: Description) -> str:
    if found.reading.keys:
        return "give the model a keyframe named `stand` in which it stands, or correct `default` in robot.yaml"
    return "check the ranges of its joints, or give the default angles in robot.yaml yourself"


def _alike(drives: dict[str, Drive], symmetry: Mirror) -> dict[str, Drive]:
    """Left and right with the same gains, rounded as they are written."""
    done: dict[str, Drive] = {}
    for name, drive in drives.items():
        image = symmetry.joints.get(name, (name, 1.0))[0]
        other = drives.get(image, drive)
        both = replace(drive, kp=(drive.kp + other.kp) / 2, kd=(drive.kd + other.kd) / 2, scale=min(drive.scale, other.scale))
        done[name] = _neat(both)
    return done


def _posture(found: Description, qpos: np.ndarray, joint: int, arm: bool, biped: bool) -> float:
    """As our robots have it: a humanoid's legs may swing and bend freely, its arms as they like."""
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
                name=name, body=model.body(body).name, position=tuple(round(float(v), 4) + 0.0 for v in position), turn=turn, sole=leg.sole.flat,
                up=tuple(round(float(v), 4) + 0.0 for v in leg.sole.up) if leg.sole.flat else (0.0, 0.0, 1.0), geoms=geoms, shape=shape,
            )
        )  # fmt: skip
    return tuple(feet)


def _limit_notes(found: Description, drives: dict[str, Drive], standing: Standing | None) -> list[Note]:
    notes: list[Note] = []
    guessed = [name for name, drive in drives.items() if "guess" in drive.effort_from]
    if guessed:
        notes.append(Note(kind="remark", what=f"no torque limit in the file for {_few(guessed)}: guessed", mend="set `effort` in robot.yaml to your motors'"))
    guessed = [name for name, drive in drives.items() if "guess" in drive.velocity_from]
    if guessed:
        notes.append(Note(kind="remark", what=f"no speed limit in the file for {_few(guessed)}: guessed", mend="set `velocity` in robot.yaml to your motors'"))
    weak = [name for name, drive in drives.items() if drive.share > 0.6]
    if weak:
        notes.append(Note(kind="remark", what=f"{_few(weak)} need more than 60 % of their torque limit to stand", mend="check the limits and the masses"))
    if standing is not None:
        huge = [name for name, drive in drives.items() if drive.effort > 3 * found.mass * GRAVITY * standing.leg_length]
        if huge:
            notes.append(Note(kind="remark", what=f"the torque limits of {_few(huge)} are beyond three times m g l: no motor's", mend="set `effort` in robot.yaml to your motors'"))
    free = [name for name in drives if found.range(name) is None]
    if free:
        notes.append(Note(kind="remark", what=f"no range in the file for {_few(free)}: they turn without end", mend="set `range` in robot.yaml"))
    if found.mass > FEW_WORLDS_KG or found.mass < 0.2:
        notes.append(Note(kind="remark", what=f"it weighs {found.mass:.3g} kg: are the units right?", mend="masses are in kg, lengths in m"))
    return notes


def _few(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _trial_notes(found: Description, trial: Trial, standing: Standing) -> list[Note]:
    if not trial.stands:
        if len(found.limbs.legs) == 2:
            return [Note(kind="remark", what=f"it needs balance: under its gains alone it falls after {trial.seconds:.1f} s, as bipeds do")]
        return [Note(kind="refused", what=f"it does not stand under its gains: it fell after {trial.seconds:.1f} s", mend=_pose_mend(found))]
    notes = []
    if trial.trembles:
        notes.append(Note(kind="remark", what=f"it trembles while it stands ({trial.speed:.2f} rad/s)", mend="lower kp, or raise armature, in robot.yaml"))
    if trial.sunk > 0.2 * standing.height:
        notes.append(Note(kind="remark", what=f"it sinks by {trial.sunk:.3f} m under its own weight", mend="raise kp in robot.yaml"))
    return notes


def _arm(found: Description) -> Description:
    model, limbs = found.model, found.limbs
    reach = find_reach(model, limbs, found.reading.keys)
    qpos = reach.qpos.copy()
    chain = limbs.arms[0]
    others = [link.name for link in limbs.joints if link not in chain.links]
    for name in others:
        limbs.locked[name] = "not of the arm that reaches"
    for link in chain.links:
        address = model.jnt_qposadr[link.joint]
        qpos[address] = round(float(qpos[address]), 3) + 0.0
    drives = find_drives(model, qpos, limbs, None, _efforts(found), found.reading.velocities, _file_gains(found))
    drives = {name: _neat(drive) for name, drive in drives.items() if name not in others}
    spec = stage(found.reading.spec, drives, floating=False)
    for body in spec.bodies:
        body.gravcomp = 1.0 if body.name != "world" else 0.0
    staged = spec.compile()
    without_self_collision(staged, free=False)
    trial = stand(staged, qpos, None, list(drives), seconds=2.0)
    notes = [Note(kind="refused", what=fault, mend="set `default`, `tool` and `workspace` in robot.yaml yourself") for fault in reach.faults]
    notes += [Note(kind="remark", what=remark) for remark in limbs.remarks]
    notes += _limit_notes(found, drives, None)
    if not trial.stands or trial.trembles:
        notes.append(Note(kind="refused", what="its gains do not hold it still in simulation", mend="raise `armature` or lower `kp` in robot.yaml"))
    if others:
        notes.append(Note(kind="remark", what=f"{_few(others)} are held: they are not of the arm that reaches"))
    return _with(
        replace(
            found,
            reach=replace(reach, qpos=qpos),
            drives=drives,
            default={link.name: float(qpos[model.jnt_qposadr[link.joint]]) for link in chain.links},
            posture={link.name: 1.0 for link in chain.links},
            trial=trial,
        ),
        *notes,
    )


def natural_frequency(drive: Drive) -> float:
    """Of a joint against what its motor sees with the limb free [Hz]."""
    return math.sqrt(drive.kp / drive.inertia) / (2 * math.pi)
