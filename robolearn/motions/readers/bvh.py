"""Biovision hierarchies (.bvh): any order of channels, end sites, and positions as channels of any joint.

A joint's rotations are applied in the order of its channels, each about the axis as rotated by the previous ones. Lengths have no unit,
and the up axis is not defined: `person_of` infers both from the body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from robolearn.errors import UserError
from robolearn.motions.person import Person, person_of
from robolearn.motions.readers.skeleton import joint_positions
from robolearn.motions.readers.text import numbers, table, text_of
from robolearn.motions.rotation import euler


@dataclass
class Hierarchy:
    """Joints, the root first: names, parents, offsets (B, 3), and each one's channels such as `zrotation`."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[np.ndarray] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)


def read(path: Path, fps: float | None = None) -> Person:
    """Read a .bvh.

    Raises:
        UserError: it cannot be read, or its content is invalid.
    """
    lines = [line.strip() for line in text_of(path).splitlines()]
    start = next((i for i, line in enumerate(lines) if line.upper() == "MOTION"), None)
    if start is None or not lines or not lines[0].upper().startswith("HIERARCHY"):
        raise UserError(f"{path} is not a BVH: it needs a HIERARCHY and a MOTION")
    tree = _hierarchy(path, lines[:start])
    values, rate, remarks = _motion(path, lines, start, sum(len(channels) for channels in tree.channels))
    rate = rate or fps or 0.0
    if not rate:
        raise UserError(f"{path}: its MOTION has no 'Frame Time:' above 0; give the rate: --fps 120")
    count, column = len(values), 0
    offsets = np.tile(np.array(tree.offsets), (count, 1, 1))
    turns = np.empty((count, len(tree.names), 3, 3))
    for joint, channels in enumerate(tree.channels):
        own = values[:, column : column + len(channels)]
        column += len(channels)
        order = [i for i, name in enumerate(channels) if name.endswith("rotation")]
        turns[:, joint] = euler("".join(channels[i][0] for i in order), np.radians(own[:, order])) if order else np.eye(3)
        for i, name in enumerate(channels):
            if name.endswith("position"):  # replaces the offset, as in all programs
                offsets[:, joint, "xyz".index(name[0])] = own[:, i]
    position = joint_positions(tree.parents, offsets, turns, offsets[:, 0])
    try:
        return person_of(path.stem, rate, tree.names, position, remarks=remarks)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _hierarchy(path: Path, lines: list[str]) -> Hierarchy:
    tree, open_, ended = Hierarchy(), [], False
    for number, line in enumerate(lines[1:], 2):
        words, where = line.split(), f"{path}:{number}"
        key = words[0].upper() if words else ""
        if key in ("OFFSET", "CHANNELS") and not tree.names:
            raise UserError(f"{where}: {key} comes before any ROOT")
        if key in ("ROOT", "JOINT"):
            if key == "ROOT" and tree.names:
                raise UserError(f"{where}: a second root; only one person per file is read")
            tree.names.append(" ".join(words[1:]))
            tree.parents.append(open_[-1] if open_ else -1)
            tree.offsets.append(np.zeros(3))
            tree.channels.append([])
        elif key == "END":
            ended = True
        elif key == "{" and not ended:
            open_.append(len(tree.names) - 1)
        elif key == "}":
            if not ended and not open_:
                raise UserError(f"{where}: an unmatched closing brace")
            ended = False if ended else (open_.pop(), False)[1]
        elif key == "OFFSET" and not ended:
            tree.offsets[-1] = numbers(words[1:], where, 3)
        elif key == "CHANNELS":
            tree.channels[-1] = [word.lower() for word in words[2:]]
            odd = [name for name in tree.channels[-1] if name[1:] not in ("rotation", "position") or name[0] not in "xyz"]
            if odd or len(words) - 2 != int(numbers(words[1:2], where, 1)[0]):
                raise UserError(f"{where}: channels are like '3 Zrotation Xrotation Yrotation', not {line!r}")
    if not tree.names or open_:
        raise UserError(f"{path}: its HIERARCHY {'does not end' if open_ else 'has no ROOT'}")
    return tree


def _motion(path: Path, lines: list[str], start: int, width: int) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Values (T, width), frames per second (0 if not stated), and remarks."""
    rate, told, begin = 0.0, "", start + 1
    while begin < len(lines):
        words = lines[begin].lower().split()
        if words[:2] == ["frame", "time:"]:
            seconds = float(numbers(words[2:3], f"{path}:{begin + 1}", 1)[0])
            rate = 1.0 / seconds if seconds > 0 else 0.0
        elif words and words[0] == "frames:":
            told = "".join(words[1:2])
        elif words:
            break
        begin += 1
    rows = [line.split() for line in lines[begin:] if line]
    if not rows:
        raise UserError(f"{path} has no frames")
    values = table(rows, begin + 1, path)
    if values.shape[1] != width:
        raise UserError(f"{path}: {values.shape[1]} numbers per frame, but {width} channels")
    odd = np.flatnonzero(~np.isfinite(values).all(1))
    if len(odd):
        raise UserError(f"{path}: frame {odd[0] + 1} has numbers that are not finite")
    remarks = (f"{told} frames were announced, but there are {len(rows)}",) if told.isdigit() and int(told) != len(rows) else ()
    return values, rate, remarks
