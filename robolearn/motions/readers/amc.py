"""Acclaim motion capture: a skeleton (.asf) and its motion (.amc), as in the CMU database.

In the skeleton's own pose every bone points along `direction` in the world. A bone turns about axes that are themselves turned by `axis`:
its attitude is C M C^-1, C of `axis` and M of the values of its degrees of freedom. A bone's name here means the joint at which it begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from robolearn.errors import UserError
from robolearn.motions.person import Person, person_of
from robolearn.motions.readers.skeleton import joint_positions
from robolearn.motions.readers.text import numbers, text_of
from robolearn.motions.rotation import euler

FPS = 120.0
"""Rate of the CMU database; the format itself has none."""


@dataclass
class Bone:
    """A bone of the skeleton: unit direction, length, axis angles [rad] and their order, and degrees of freedom such as `rx`."""

    name: str
    direction: np.ndarray = field(default_factory=lambda: np.zeros(3))
    length: float = 0.0
    axis: np.ndarray = field(default_factory=lambda: np.zeros(3))
    order: str = "xyz"
    dof: tuple[str, ...] = ()


@dataclass
class Skeleton:
    """Bones, the root first, each with its parent's index."""

    bones: list[Bone]
    parents: list[int]
    degrees: bool


def read(path: Path, fps: float | None = None) -> Person:
    """Read an .amc; its skeleton is the .asf of the same name, of the part of the name before `_`, or the only one in the folder.

    Raises:
        UserError: a file cannot be read, or its content is invalid.
    """
    asf = skeleton_beside(path)
    skeleton = read_skeleton(asf)
    values = _frames(path, skeleton)
    turns, offsets = [], []
    count = len(values[skeleton.bones[0].name])
    for index, bone in enumerate(skeleton.bones):
        given = values[bone.name]
        angles = np.stack([given[:, bone.dof.index(d)] if d in bone.dof else np.zeros(count) for d in ("rx", "ry", "rz")], -1)
        order = "".join(d[1] for d in bone.dof if d[0] == "r") or "xyz"
        angles = angles if not skeleton.degrees else np.radians(angles)
        local = euler(order[::-1], np.stack([angles[:, "xyz".index(letter)] for letter in order[::-1]], -1))
        c = _fixed(bone.order, bone.axis)
        turns.append(c @ local @ c.T)
        parent = skeleton.parents[index]
        above = skeleton.bones[max(parent, 0)]
        offsets.append(above.direction * above.length)
    root = skeleton.bones[0]
    place = np.stack([values["root"][:, root.dof.index(d)] if d in root.dof else np.zeros(count) for d in ("tx", "ty", "tz")], -1)
    position = joint_positions(skeleton.parents, np.array(offsets), np.stack(turns, 1), place)
    remarks = () if fps else (f"the format has no rate: {FPS:g} frames per second are assumed (--fps)",)
    try:
        return person_of(path.stem, fps or FPS, [bone.name for bone in skeleton.bones], position, remarks=remarks)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def skeleton_beside(path: Path) -> Path:
    """The .asf of an .amc.

    Raises:
        UserError: there is none, or several are possible.
    """
    found = sorted(path.parent.glob("*.asf"))
    for stem in (path.stem, path.stem.rpartition("_")[0]):
        for candidate in found:
            if candidate.stem == stem:
                return candidate
    if len(found) == 1:
        return found[0]
    raise UserError(f"{path} needs its skeleton: put {path.stem}.asf or {path.stem.rpartition('_')[0] or 'SUBJECT'}.asf beside it")


def read_skeleton(path: Path) -> Skeleton:
    """Read an .asf.

    Raises:
        UserError: it cannot be read.
    """
    bones = {"root": Bone("root", dof=("tx", "ty", "tz", "rx", "ry", "rz"))}
    parents: dict[str, str] = {}
    degrees, section, bone, tree = True, "", None, False
    for number, raw in enumerate(text_of(path).splitlines(), 1):
        words = raw.split("#")[0].split()
        if not words:
            continue
        where = f"{path}:{number}"
        key = words[0].lower()
        if key.startswith(":"):
            section = key[1:]
        elif section == "units" and key == "angle":
            degrees = len(words) < 2 or words[1].lower().startswith("deg")
        elif len(words) < 2 and key in ("name", "axis", "order"):
            raise UserError(f"{where}: a value is missing after {words[0]}")
        elif section == "root" and key == "order":
            bones["root"].dof = tuple(word.lower() for word in words[1:])
        elif section == "root" and key == "axis":
            bones["root"].order = words[1].lower()
        elif section == "root" and key == "orientation":
            bones["root"].axis = numbers(words[1:4], where, 3)
        elif section == "bonedata":
            if key == "begin":
                bone = Bone("")
            elif key == "end" and bone is not None:
                bones[bone.name], bone = bone, None
            elif bone is not None:
                _bone_line(bone, key, words, where)
        elif section == "hierarchy":
            tree = key == "begin" or (tree and key != "end")
            for child in words[1:] if tree and key != "begin" else ():
                parents[child] = words[0]
    parents.pop("root", None)  # the root has no parent; with one the loop below would not end
    lost = sorted({*parents, *parents.values()} - {*bones})
    if lost or len(bones) == 1:
        raise UserError(f"{path} is not a readable ASF skeleton: {'no bones for ' + ', '.join(lost) if lost else 'it has no bones'}")
    for one in bones.values():
        if sorted(one.order) != ["x", "y", "z"]:
            raise UserError(f"{path}: the axis of {one.name} is given in the order {one.order.upper()}; valid: XYZ in any order")
        one.axis = np.radians(one.axis) if degrees else one.axis
    order = ["root"]
    for name in order:
        order += [child for child, parent in parents.items() if parent == name]
    return Skeleton([bones[name] for name in order], [-1] + [order.index(parents[name]) for name in order[1:]], degrees)


def _bone_line(bone: Bone, key: str, words: list[str], where: str) -> None:
    if key == "name":
        bone.name = words[1]
    elif key == "direction":
        direction = numbers(words[1:4], where, 3)
        bone.direction = direction / max(float(np.linalg.norm(direction)), 1e-12)
    elif key == "length":
        bone.length = float(numbers(words[1:2], where, 1)[0])
    elif key == "axis":
        bone.axis = numbers(words[1:4], where, 3)
        bone.order = words[4].lower() if len(words) > 4 else "xyz"
    elif key == "dof":
        bone.dof = tuple(word.lower() for word in words[1:])


def _fixed(order: str, angles: np.ndarray) -> np.ndarray:
    """Rotations about fixed axes, in this order: the first one's matrix is the last factor."""
    return euler(order[::-1], angles[["xyz".index(letter) for letter in order[::-1]]])


def _frames(path: Path, skeleton: Skeleton) -> dict[str, np.ndarray]:
    """Values of every bone's degrees of freedom, (T, dofs); zero for bones that the file leaves out."""
    wanted = {bone.name: len(bone.dof) for bone in skeleton.bones}
    frames: list[dict[str, list[str]]] = []
    for number, raw in enumerate(text_of(path).splitlines(), 1):
        words = raw.split()
        if not words or words[0][0] in "#:":
            skeleton.degrees = skeleton.degrees and words[:1] != [":RADIANS"]
        elif len(words) == 1 and words[0].isdigit():
            frames.append({})
        elif not frames or words[0] not in wanted or len(words) - 1 != wanted[words[0]]:
            there = f"{wanted[words[0]]} numbers for {words[0]}" if words[0] in wanted else "a bone of its skeleton"
            raise UserError(f"{path}:{number}: there should be {there if frames else 'a frame number'}, not {raw.strip()[:60]!r}")
        else:
            frames[-1][words[0]] = words[1:]
    if not frames:
        raise UserError(f"{path} has no frames")
    zeros = {name: ["0"] * count for name, count in wanted.items()}
    try:
        return {name: np.array([frame.get(name, zeros[name]) for frame in frames], float).reshape(len(frames), -1) for name in wanted}
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
