"""A small dataset to look at: a Go1 that waves its legs while it goes in a circle, with gaps, a fault, and a camera."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from envs.robots.go1 import GO1
from robolearn.data.columns import ACTION, COMMAND, CONTACT, IS_VALID, ROOT, STATE, camera, mark_of, robot_columns
from robolearn.data.source import Episode, Source
from robolearn.data.writer import DatasetWriter

FPS = 50
FRONT = "observation.images.front"
FEET = tuple(GO1.feet)
COLUMNS = robot_columns(GO1.joint_names, FEET, ("vx", "vy", "yaw_rate"), extra=[camera(FRONT, 64, 96)])
OWN = Source(kind="log", robot="go1", joint_names=GO1.joint_names, fps=FPS, licence="LicenseRef-own", note="<b>made up</b>")
FOREIGN = dataclasses.replace(OWN, kind="mocap", licence="CC-BY-NC-4.0", note="")
UNKNOWN_ROBOT = dataclasses.replace(OWN, robot="nobody knows it")
GAP = slice(60, 90)
"""Rows without root and action in the first episode."""


def episode(
    steps: int, source: Source = OWN, gap: bool = False, jump: bool = False, rooted: bool = True, pictures: bool = False
) -> Episode:
    """`steps` rows; `gap`: without root and action in some, `jump`: one knee leaps in row 50, `rooted`: whether the base is known."""
    time_s, joints = np.arange(steps) / FPS, len(GO1.joint_names)
    phase = 2 * np.pi * (1.5 * time_s[:, None] + np.arange(joints) / joints)
    position = np.array(GO1.default_pose) + 0.2 * np.sin(phase)
    if jump:
        position[50, 5] += 0.8
    velocity = 0.2 * 3 * np.pi * np.cos(phase)
    yaw = 0.6 * time_s
    turn = np.tile([0.0, 0.0, 0.6], (steps, 1))
    turn += 1e-3 * np.sin(40 * time_s)[:, None]
    state = np.concatenate([position, velocity, np.tile([0.0, 0.0, -1.0], (steps, 1)), turn], axis=1)
    zero = np.zeros(steps)
    place = [np.sin(yaw), 1 - np.cos(yaw), np.full(steps, GO1.stand_height)]
    attitude = [np.cos(yaw / 2), zero, zero, np.sin(yaw / 2)]
    root = np.stack([*place, *attitude, 0.6 * np.cos(yaw), 0.6 * np.sin(yaw), zero, *turn.T], axis=1)
    columns: dict[str, np.ndarray] = {
        STATE: state,
        COMMAND: np.tile([0.6, 0.0, 0.6], (steps, 1)),
        ACTION: 0.5 * np.sin(phase),
        CONTACT: (np.sin(phase[:, :: joints // len(FEET)]) > 0).astype(float),
    }
    if rooted:
        columns[ROOT] = root
    columns = {name: rows.astype(np.float32) for name, rows in columns.items()}
    if gap:
        known = np.ones(steps, dtype=bool)
        known[GAP] = False
        columns |= {ROOT + IS_VALID: known, ACTION + IS_VALID: known}
    if pictures:
        columns[FRONT] = frames(steps)
        columns[mark_of(FRONT)] = np.arange(steps) >= 20
    return Episode(columns=columns, task="<i>circle</i>", source=source)


def frames(steps: int) -> np.ndarray:
    """Pictures (T, 64, 96, 3): a bright bar that goes from left to right."""
    pictures = np.full((steps, 64, 96, 3), 40, np.uint8)
    for row in range(steps):
        left = round(80 * row / steps)
        pictures[row, :, left : left + 16] = (250, 160, 30)
    return pictures


def dataset(path: Path) -> Path:
    """Four episodes: with gaps and pictures, with a fault, shorter and of another licence, without a root."""
    with DatasetWriter(path, COLUMNS, FPS) as writer:
        writer.add(episode(150, gap=True, pictures=True), episode(120, jump=True), episode(80, FOREIGN), episode(100, rooted=False))
    return path


def strangers(path: Path) -> Path:
    """Twelve short episodes of a robot that nobody knows."""
    with DatasetWriter(path, COLUMNS, FPS) as writer:
        writer.add(*(episode(30 + index, UNKNOWN_ROBOT) for index in range(12)))
    return path
