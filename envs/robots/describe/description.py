"""Describes a model: kind of robot, drives, standing pose, and what will not work."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mujoco

from envs.robots.describe.armed import describe_arm
from envs.robots.describe.basing import held, looks_back, turned, upright, walks_sideways
from envs.robots.describe.finding import Description, followers_of, unused_joint, with_notes
from envs.robots.describe.frames import Z_UP
from envs.robots.describe.legged import describe_legged
from envs.robots.describe.limbs import Limbs, find_limbs
from envs.robots.describe.notes import Note
from envs.robots.describe.reading import Reading, read
from envs.robots.describe.symmetry import Mirror, mirror


def describe(path: Path, name: str | None = None, floating: bool | None = None, packages: Sequence[Path] = ()) -> Description:
    """Describe a model.

    Args:
        path: MJCF or URDF.
        name: name of the robot; None for the model's own.
        floating: whether its base moves; None to decide by its legs.
        packages: folders of ROS packages.

    Raises:
        RobotError: the file cannot be read as a robot.
    """
    reading = read(path, packages)
    notes = list(reading.notes)
    stood = reading if floating is False else upright(reading)
    if stood is not reading and (reading.free or _facing_forward(reading)[3].legs):
        reading, notes = stood, [note for note in notes if Z_UP not in note.what]
        what = f"its base's z axis is not up: a body {reading.root} above it, with z up, is its base"
        notes.append(Note(kind="mended", what=what, mend="turn the model's base so that its z axis is up"))
    reading, model, symmetry, limbs, turn = _facing_forward(reading)
    if turn:
        where = "x backward" if abs(turn) > 2 else "y"
        what = f"it faces along its base's {where}: a body {reading.root} above it, with x forward, is its base"
        notes.append(Note(kind="mended", what=what, mend="turn the model's base by a quarter if that is wrong"))
    moves = bool(limbs.legs) if floating is None else floating
    if moves and not reading.free:
        reading.spec.body(reading.root).add_freejoint(name=unused_joint(model, "base_free"))
        if floating is None:
            notes.append(Note(kind="mended", what="the base gets a free joint, since the robot has legs", mend="--fixed keeps it in place"))
    elif reading.free and not moves and floating is None:
        mend = "if it is an arm on something that drives or flies, --fixed holds its base"
        notes.append(Note(kind="refused", what="its base is free and no legs were found", mend=mend))
    if not moves:
        reading = held(reading)
    if moves != reading.free or not moves:
        model = reading.spec.compile()
        symmetry = mirror(model)
        limbs = find_limbs(model, symmetry, followers_of(reading, model))
    found = Description(
        name=name or default_name(reading),
        reading=reading,
        model=model,
        kind="",
        floating=moves,
        limbs=limbs,
        mirror=symmetry,
        notes=tuple(notes),
    )
    found = replace(found, kind=kind_of(found))
    if not limbs.joints:
        return with_notes(
            found, Note(kind="refused", what="it has no joint that a policy could move", mend="give a model with hinge or slide joints")
        )
    if moves and limbs.legs:
        return describe_legged(found)
    if moves:
        return with_notes(
            found,
            Note(
                kind="refused",
                what="no legs were found: chains of at least three joints in left-right pairs that reach the ground",
                mend="is the base's frame x forward and z up, and is the robot left-right symmetric? --fixed treats it as an arm",
            ),
        )
    if not limbs.arms:
        return with_notes(
            found,
            Note(
                kind="refused",
                what="no arm was found: a chain of at least three joints",
                mend="robolearn trains legged robots to walk and arms to reach",
            ),
        )
    return describe_arm(found)


def _facing_forward(reading: Reading) -> tuple[Reading, mujoco.MjModel, Mirror, Limbs, float]:
    """The model with a base whose x is forward, its findings, and the angle by which it was turned [rad]."""

    def found(reading: Reading) -> tuple[Reading, mujoco.MjModel, Mirror, Limbs]:
        model = reading.spec.compile()
        symmetry = mirror(model)
        return reading, model, symmetry, find_limbs(model, symmetry, followers_of(reading, model))

    straight = found(reading)
    turn = 0.0
    if not straight[3].legs or walks_sideways(straight[1], straight[3]):
        sideways = found(turned(reading, math.pi / 2))
        if sideways[3].legs and not walks_sideways(sideways[1], sideways[3]):
            straight, turn = sideways, math.pi / 2
    if straight[3].legs and looks_back(straight[1], straight[3]):
        turn = turn - math.pi
        straight = found(turned(reading, turn))
    return *straight, turn


def default_name(reading: Reading) -> str:
    """The model's own name, valid for a file and a policy."""
    name = str(reading.spec.modelname or "")
    if not name or name.lower() in ("robot", "scene", "mujoco model", "urdf"):
        name = reading.path.stem
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_").lower()
    return re.sub(r"_(description|robot|urdf|scene)$", "", name) or "robot"


def kind_of(found: Description) -> str:
    """The kind of robot, in words."""
    legs, arms = len(found.limbs.legs), len(found.limbs.arms)
    if found.floating and legs:
        word = {2: "biped", 4: "quadruped", 6: "hexapod"}.get(legs, f"{legs}-legged robot")
        if legs == 2 and arms == 2:
            return "humanoid"
        return f"{word} with {'an arm' if arms == 1 else f'{arms} arms'}" if arms else word
    if arms and not found.floating:
        return f"arm of {len(found.limbs.arms[0].links)} joints" if arms == 1 else f"fixed robot with {arms} arms"
    return "robot without legs or arms"
