"""What a policy keeps of its survival in Drake and in other authors' models of its robot, and which part of their physics takes the rest.

python -m benchmarks.elsewhere g1-velocity mjlab/g1.xml holosoma/g1_29dof.xml --json elsewhere.json

Prints a Markdown table: the policy's own model on each engine, then each other model. Where a model lets less than 98 % of the own
survival stand, it is tried again with one part at a time as the policy's own model has it (`--parts` does so for every model): the part
that brings survival back is the one that matters.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from envs.engines.face import EngineError
from envs.robots.describe.reading import read
from envs.robots.robot import Robot
from policies.contract.file import PolicyFile
from policies.contract.spec import RobotSpec
from policies.files import write_text
from robolearn.errors import UserError
from robolearn.evaluation.evaluate import evaluate_file
from robolearn.evaluation.result import EvaluationResult
from robolearn.other_model import Placed, in_model
from robolearn.policy_path import find_policy
from robolearn.policy_robot import robot_of
from robolearn.writing import write_json

KEPT = 0.98
"""Share of its own survival that a policy should keep elsewhere."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy")
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="MJCF or URDF of the same robot")
    parser.add_argument("--seeds", type=int, default=4, help="episodes a command (default: 4)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of an episode (default: 10)")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--engines", nargs="*", default=["precise", *(["drake"] if find_spec("pydrake") else [])], help="beside mujoco")
    parser.add_argument("--parts", action="store_true", help="look at the parts of every model")
    parser.add_argument("--json", metavar="PATH", help="write the result there as well")
    args = parser.parse_intermixed_args()
    try:
        rows = table(args)
    except UserError as error:
        print(f"elsewhere: {error}", file=sys.stderr)
        sys.exit(2)
    if args.json:
        write_json(args.json, {"policy": args.policy, "rows": rows})


def table(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Evaluate everywhere, printing a row each as it is found."""
    file = PolicyFile(find_policy(args.policy))
    own, rows = robot_of(file), list[dict[str, Any]]()

    def judged(where: str, part: str, robot: Robot, engine: str = "mujoco") -> EvaluationResult | None:
        try:
            result = evaluate_file(file, engine, args.seeds, args.seconds, args.seed, robot=robot)
        except EngineError as error:
            print(f"{where} on {engine}: {error}", file=sys.stderr)
            return None
        if not rows:
            titles = [outcome.label for outcome in result.figures.values()]
            print("| model | engine | own part | kept | " + " | ".join(titles) + " | episodes |\n" + "|---" * (len(titles) + 5) + "|")
        kept = result.score / max(rows[0][result.score_name], 1e-9) if rows else 1.0
        rows.append({"where": where, "part": part, "kept": kept} | result.to_dict())
        figures = [outcome.figure.text(outcome.unit) for outcome in result.figures.values()]
        cells = [f"{value} [{ends}]" if ends else value for value, ends in figures]
        print("| " + " | ".join([where, engine, part, f"{kept:.1%}", *cells, str(result.episodes)]) + " |", flush=True)
        return result

    for engine in ("mujoco", *args.engines):
        judged("own", "", own, engine)
    for path in args.models:
        other = in_model(own, path, file.spec.robot)
        name = "/".join(path.parts[-4:])
        for engine in ("mujoco", *args.engines):
            judged(name, "", other, engine)
        kept = next(row["kept"] for row in rows if row["where"] == name)
        if not args.parts and kept >= KEPT:
            continue
        known = {other.fingerprint}
        for parts in (*([part] for part in PARTS), list(PARTS)):
            with tempfile.TemporaryDirectory() as folder:
                mended = with_own(own, path, file.spec.robot, parts, Path(folder))
                if mended.fingerprint not in known:  # else that part is no other there
                    judged(name, parts[0] if len(parts) == 1 else "all of these", mended)
                known.add(mended.fingerprint)
    return rows


def with_own(own: Robot, path: Path, spec: RobotSpec, parts: Sequence[str], folder: Path) -> Robot:
    """The robot in another author's model of it, but for some parts, which are as in its own.

    Args:
        own: the robot.
        path: the other model.
        spec: the robot as the policy knows it.
        parts: names of `PARTS`.
        folder: where a model is written that has to be made.
    """
    model = read(path).spec.copy()
    ours, theirs = Placed(own.compiled, own), Placed(model.compile(), own)
    for change in (IN_FILE[part] for part in parts if part in IN_FILE):
        change(model, ours, theirs)
    model.compile()
    written = folder / f"{path.stem}.xml"
    write_text(written, model.to_xml())
    other = in_model(own, written, spec)
    told = {joint: {part: _told(own.compiled, joint, part) for part in parts if part in OF_JOINTS} for joint in own.joints}
    other = replace(other, joints={name: replace(joint, **told[name]) for name, joint in other.joints.items()})
    return Robot(**{field.name: getattr(other, field.name) for field in fields(Robot)}) if "contacts" in parts else other


def _told(model: mujoco.MjModel, name: str, what: str) -> Any:
    """What a compiled model says of a joint."""
    joint, dof = model.joint(name).id, int(model.jnt_dofadr[model.joint(name).id])
    if what == "range":
        return tuple(model.jnt_range[joint].tolist()) if model.jnt_limited[joint] else None
    return float(getattr(model, OF_JOINTS[what])[dof])


def _masses(spec: mujoco.MjSpec, ours: Placed, theirs: Placed) -> None:
    """Mass, centre of mass and inertia of each link, with all that is fixed to it."""
    for joint in (None, *ours.robot.joints):
        mass, center, inertia = _weight(ours, joint)
        link = theirs.carried(joint)
        turn = theirs.data.xmat[link].reshape(3, 3).T
        moments, axes = np.linalg.eigh(turn @ inertia @ turn.T)
        axes[:, 0] *= np.linalg.det(axes)
        quat = np.empty(4)
        mujoco.mju_mat2Quat(quat, axes.ravel())
        for name in (theirs.model.body(body).name for body in _carried(theirs, joint)):
            body = spec.body(name)
            body.explicitinertial, body.mass, body.inertia = True, 0.0, [0.0] * 3
            body.ialt.type, body.fullinertia = mujoco.mjtOrientation.mjORIENTATION_QUAT, [np.nan] * 6
            if name == theirs.model.body(link).name:
                body.mass, body.inertia, body.iquat = mass, moments, quat
                body.ipos = turn @ (center + theirs.anchor(joint) - theirs.data.xpos[link])


def _weight(placed: Placed, joint: str | None) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass [kg], centre from the joint [m] (3,) and inertia about the centre [kg m^2] (3, 3) of a link, in axes of the world."""
    model, data, bodies = placed.model, placed.data, _carried(placed, joint)
    mujoco.mj_comPos(model, data)
    mass = float(model.body_mass[bodies].sum())
    center = model.body_mass[bodies] @ data.xipos[bodies] / mass
    inertia = np.zeros((3, 3))
    for body in bodies:
        axes, off = data.ximat[body].reshape(3, 3), data.xipos[body] - center
        inertia += axes @ np.diag(model.body_inertia[body]) @ axes.T + model.body_mass[body] * (off @ off * np.eye(3) - np.outer(off, off))
    return mass, center - placed.anchor(joint), inertia


def _feet(spec: mujoco.MjSpec, ours: Placed, theirs: Placed) -> None:
    """The shapes of the feet, and of the links that carry them."""
    for foot in ours.robot.feet.values():
        joint = ours.carrier(ours.model.body(foot.body).id)
        for body in _carried(theirs, joint):
            for geom in spec.body(theirs.model.body(body).name).geoms:
                geom.contype = geom.conaffinity = 0
        link = theirs.carried(joint)
        turn = theirs.data.xmat[link].reshape(3, 3).T
        for number in (number for body in _carried(ours, joint) for number in np.flatnonzero(ours.model.geom_bodyid == body)):
            if not ours.model.geom_contype[number] and not ours.model.geom_conaffinity[number]:
                continue
            quat = np.empty(4)
            mujoco.mju_mat2Quat(quat, (turn @ ours.data.geom_xmat[number].reshape(3, 3)).ravel())
            place = ours.data.geom_xpos[number] - ours.anchor(joint) + theirs.anchor(joint) - theirs.data.xpos[link]
            kind, size = mujoco.mjtGeom(int(ours.model.geom_type[number])), ours.model.geom_size[number]
            name = f"own_{ours.model.geom(number).name or number}"
            shape = spec.body(theirs.model.body(link).name).add_geom(name=name, type=kind, size=size, pos=turn @ place, quat=quat, mass=0.0)
            shape.contype = shape.conaffinity = 1


def _gravity(spec: mujoco.MjSpec, ours: Placed, theirs: Placed) -> None:
    """Who carries the robot's weight."""
    for joint in (None, *ours.robot.joints):
        for body in _carried(theirs, joint):
            spec.body(theirs.model.body(body).name).gravcomp = ours.model.body_gravcomp[ours.carried(joint)]


def _carried(placed: Placed, joint: str | None) -> list[int]:
    """The bodies that one joint carries."""
    return [body for body in range(1, placed.model.nbody) if placed.carrier(body) == joint]


IN_FILE = {"masses": _masses, "feet": _feet, "gravity compensation": _gravity}
OF_JOINTS = {"armature": "dof_armature", "damping": "dof_damping", "friction": "dof_frictionloss", "range": ""}
PARTS = (*IN_FILE, *OF_JOINTS, "contacts")
"""What of the physics a model's author decides, but for the lengths of links: `friction` is that of joints, `contacts` that of shapes."""


if __name__ == "__main__":
    main()
