"""Motions of a robot as text: one row per frame with root position, attitude (xyzw) and joints in the robot's order (Unitree, LAFAN1)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from envs.robots.robot import Robot
from robolearn.errors import UserError
from robolearn.evaluation.gait.recordings import Recording
from robolearn.motions.readers.robot_arrays import recording
from robolearn.motions.readers.text import table, text_of


def read(path: Path, robot: Robot, fps: float | None) -> Recording:
    """Read a .csv, with or without a line of names.

    Raises:
        UserError: no rate was given, or it is not a motion of this robot.
    """
    if fps is None:
        raise UserError(f"{path} does not say its rate; give it: --fps 60 (Unitree's dances), --fps 30 (LAFAN1's)")
    rows = [line.split(",") for line in text_of(path).splitlines() if line.strip()]
    names = bool(rows) and not _is_number(rows[0][0])
    values = table(rows[names:], 1 + names, path) if rows[names:] else np.zeros((0, 0))
    if not len(values) or values.shape[1] < 8:
        raise UserError(f"{path} is not a motion of a robot: a row must have 7 numbers for the root and one per joint")
    try:
        return recording(path.stem, robot, fps, values[:, :3], values[:, 3:7], values[:, 7:])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
