"""Full meshes for display, attached to the bodies of our own model, which is the one that is simulated.

The meshes come from a model of the same robot, by default MuJoCo Menagerie's (package `mujoco-menagerie`, which downloads on first use).
Bodies are matched by the joints that move them, never by their names or order, and shapes are placed by comparing both models in the
same pose.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mujoco
import numpy as np

from envs.robots.robot import Robot
from policies.files import reason
from robolearn.errors import UserError

MENAGERIE = {"go1": ("unitree_go1", "go1.xml"), "g1": ("unitree_g1", "g1.xml"), "panda": ("franka_emika_panda", "panda.xml")}
"""Robot -> its name in Menagerie, and the file."""


def find_visuals(source: str, robot: Robot) -> Path:
    """The MJCF that `--visuals` names: a path, or `menagerie`.

    Raises:
        UserError: no such file, or the package is missing or cannot download.
    """
    if source != "menagerie":
        if not Path(source).is_file():
            raise UserError(f"--visuals takes 'menagerie' or the path of an MJCF, and there is no file {source}")
        return Path(source)
    if robot.name not in MENAGERIE:
        raise UserError(f"--visuals=menagerie is for {', '.join(MENAGERIE)}; give --visuals PATH, an MJCF of {robot.name} with meshes")
    try:
        import mujoco_menagerie  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError("--visuals=menagerie needs its package: pip install mujoco-menagerie (it downloads on first use)") from error
    name, file = MENAGERIE[robot.name]
    print(f"{name} from MuJoCo Menagerie: downloading on first use (without a network it fails after three minutes)", file=sys.stderr)
    try:
        path = Path(mujoco_menagerie.get(name).path()) / file
    except (mujoco_menagerie.MenagerieError, OSError) as error:
        raise UserError(f"mujoco-menagerie could not fetch {name}: {reason(error)}") from error
    if not path.is_file():
        raise UserError(f"mujoco-menagerie has no {path}")
    return path


def hang_meshes(spec: mujoco.MjSpec, robot: Robot, path: Path) -> int:
    """Add the meshes of the model at `path` to a scene with our robot, whose own shapes become invisible. Returns their number.

    Raises:
        UserError: the model is of another robot, or has no meshes.
    """
    try:
        theirs = mujoco.MjSpec.from_file(str(path))
        for key in list(theirs.keys):  # not needed here, and one that does not fit would cause an error
            theirs.delete(key)
        for number, body in enumerate(theirs.bodies):
            body.name = body.name or f"nameless_{number}"
        their_model = theirs.compile()
    except ValueError as error:
        raise UserError(f"MuJoCo cannot read {path}: {' '.join(str(error).split())}") from error
    our_model = spec.copy().compile()
    pairs = _match_bodies(our_model, their_model, robot, path)
    our_frames, their_frames = _frames(our_model), _frames(their_model)
    folder = path.parent / theirs.meshdir
    known: dict[str, str] = {}
    count = 0
    for their_body, our_body in _carried(their_model, pairs).items():
        rotation, offset = _relative(our_frames[our_body], their_frames[their_body])
        for geom in theirs.body(their_body).geoms:
            if geom.type != mujoco.mjtGeom.mjGEOM_MESH or geom.contype or geom.conaffinity:
                continue
            if geom.meshname not in known:
                mesh = theirs.mesh(geom.meshname)
                known[geom.meshname] = f"looks_{len(known)}"
                spec.add_mesh(name=known[geom.meshname], file=str((folder / mesh.file).resolve()), scale=mesh.scale,
                              refpos=mesh.refpos, refquat=mesh.refquat)  # fmt: skip
            quat = np.zeros(4)
            mujoco.mju_mulQuat(quat, rotation, geom.quat)
            position = np.zeros(3)
            mujoco.mju_rotVecQuat(position, geom.pos, rotation)
            color = theirs.material(geom.material).rgba if geom.material else geom.rgba
            spec.body(our_body).add_geom(type=geom.type, meshname=known[geom.meshname], pos=position + offset, quat=quat, rgba=color,
                                         contype=0, conaffinity=0, group=2, mass=0)  # fmt: skip
            count += 1
    if not count:
        raise UserError(f"{path} has no meshes to show")
    for body in _carried(our_model, {body: body for body in pairs}):
        for geom in spec.body(body).geoms:
            if geom.type != mujoco.mjtGeom.mjGEOM_MESH:
                geom.rgba = [0, 0, 0, 0]
    return count


def _match_bodies(ours: mujoco.MjModel, theirs: mujoco.MjModel, robot: Robot, path: Path) -> dict[str, str]:
    """Our body -> their body, by the joints that move them; the base by the free joint, or as the parent of the first joint's body."""
    pairs: dict[str, str] = {}
    for name in robot.joints:
        short = name.removeprefix(f"{robot.name}_")
        found = next(
            (candidate for candidate in (name, short) if mujoco.mj_name2id(theirs, mujoco.mjtObj.mjOBJ_JOINT, candidate) >= 0), None
        )
        if found is None:
            raise UserError(f"{path} has no joint {name}: it is not a model of {robot.name}")
        pairs[ours.body(ours.joint(name).bodyid[0]).name] = theirs.body(theirs.joint(found).bodyid[0]).name
        if name == robot.joint_names[0]:
            pairs[_parent(ours, name)] = _parent(theirs, found)
    pairs.pop("world", None)
    return pairs


def _carried(model: mujoco.MjModel, pairs: dict[str, str]) -> dict[str, str]:
    """Each body of a model (second of the pairs) -> our body (first) that carries it: its match, or the match of the body it is fixed
    to.
    """
    ours = {body: our_body for our_body, body in pairs.items()}
    carried = {}
    for i in range(1, model.nbody):
        at = i
        while at and model.body(at).name not in ours:
            at = int(model.body_parentid[at])
        if at:
            carried[model.body(i).name] = ours[model.body(at).name]
    return carried


def _parent(model: mujoco.MjModel, joint: str) -> str:
    """The parent of a joint's body."""
    return model.body(model.body_parentid[model.joint(joint).bodyid[0]]).name


def _frames(model: mujoco.MjModel) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Position and attitude of every body, with all joints at zero and the base at the origin."""
    data = mujoco.MjData(model)
    data.qpos[:] = 0.0
    for joint in range(model.njnt):
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            data.qpos[model.jnt_qposadr[joint] + 3] = 1.0
    mujoco.mj_kinematics(model, data)
    return {model.body(i).name: (data.xpos[i].copy(), data.xquat[i].copy()) for i in range(model.nbody)}


def _relative(ours: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (wxyz) and offset of their frame in ours."""
    inverse, rotation, offset = np.zeros(4), np.zeros(4), np.zeros(3)
    mujoco.mju_negQuat(inverse, ours[1])
    mujoco.mju_mulQuat(rotation, inverse, theirs[1])
    mujoco.mju_rotVecQuat(offset, theirs[0] - ours[0], inverse)
    return rotation, offset
