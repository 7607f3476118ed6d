"""Reads any file of motions with the reader for its ending and content."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from envs.robots.robot import Robot
from policies.files import reason
from robolearn.errors import UserError
from robolearn.evaluation.gait.recordings import Recording
from robolearn.motions.person import Person
from robolearn.motions.readers import amc, bvh, c3d, robot_arrays, robot_csv, skeleton34, smpl
from robolearn.motions.readers.pickles import load_arrays

ENDINGS = (".amc", ".bvh", ".c3d", ".npz", ".pkl", ".csv")


def read(path: Path, robot: Robot, fps: float | None = None, solved: bool = False) -> list[Person | Recording]:
    """The motions in a file: people, or a robot's.

    Args:
        path: of the file.
        robot: the robot of robot motions.
        fps: frames per second, if the file does not state them.
        solved: take the robot's motion if a file has both a robot's and a person's.

    Raises:
        UserError: it cannot be read.
    """
    ending = path.suffix.lower()
    if ending in (".amc", ".bvh", ".c3d"):
        return [{".amc": amc, ".bvh": bvh, ".c3d": c3d}[ending].read(path, fps)]
    if ending == ".csv":
        return [robot_csv.read(path, robot, fps)]
    if ending not in (".npz", ".pkl"):
        raise UserError(f"{path}: cannot read motions from {ending or 'a file without an ending'}; valid: {', '.join(ENDINGS)}")
    told = load_arrays(path) if ending == ".pkl" else _arrays(path)
    nested = isinstance(told, Mapping) and told and all(isinstance(value, Mapping) for value in told.values())
    clips = [*told.values()] if nested else [told]
    found: list[Person | Recording] = []
    for place, clip in enumerate(clips):
        name = path.stem if len(clips) == 1 else f"{path.stem}_{place}"
        if not isinstance(clip, Mapping):
            raise UserError(f"{path} holds a {type(clip).__name__}, not a dict of arrays")
        if robot_arrays.is_robot(clip) and (solved or not smpl.is_smpl(clip)):
            found.append(_told(path, lambda clip=clip, name=name: robot_arrays.read(name, clip, robot, fps)))
        elif smpl.is_smpl(clip):
            found.append(_told(path, lambda clip=clip, name=name: smpl.person(name, clip, fps)))
        elif skeleton34.is_skeleton(clip):
            found.append(_told(path, lambda clip=clip, name=name: skeleton34.person(name, clip, fps)))
        else:
            keys = ", ".join(str(key) for key in clip)
            raise UserError(
                f"{path} holds {keys or 'nothing'}, which is not a known motion; known: poses and trans (AMASS), smpl_joints, "
                f"posed_joints (kimodo),"
                f" {'; '.join(', '.join(form) for form in robot_arrays.FORMS)}"
            )
    return found


def _told(path: Path, make: Callable[[], Person | Recording]) -> Person | Recording:
    """The result of a reader of arrays; its errors are raised with the file's name."""
    try:
        return make()
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is not a readable file of arrays: {reason(error)}") from error


def text_beside(path: Path) -> str:
    """The description of a clip, from `text` in a JSON of the same name; empty if there is none."""
    beside = path.with_suffix(".json")
    try:
        told = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    except (OSError, ValueError):
        return ""
    return str(told.get("text", "")) if isinstance(told, dict) else ""
