"""A person made of arithmetic who walks straight on: feet that stand still and swing, knees by two links, arms that hang and swing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from envs.robots.describe.description import describe
from envs.robots.describe.writing import robot_yaml
from envs.robots.loading import load_robot
from envs.robots.robot import Robot
from robolearn.motions.readers.smpl import JOINTS

THIGH = SHANK = 0.41
ANKLE = 0.07
STEP, PERIOD, SWING, LIFT = 0.55, 1.1, 0.4, 0.09  # m a step, s a stride, share of it in the air, m


def feet(times: np.ndarray) -> np.ndarray:
    """Positions of the left and the right ankle [m], (T, 2, 3)."""
    found = []
    for phase, y in ((0.0, 0.09), (0.5, -0.09)):
        cycle = times / PERIOD + phase
        share = np.clip((cycle % 1.0 - (1 - SWING)) / SWING, 0.0, 1.0)
        x = 2 * STEP * (np.floor(cycle) + share * share * (3 - 2 * share)) - phase * 2 * STEP
        z = ANKLE + LIFT * np.sin(np.pi * share) ** 2
        found.append(np.stack([x, np.full_like(x, y), z], -1))
    return np.stack(found, 1)


def joints(seconds: float = 4.0, fps: float = 60.0) -> np.ndarray:
    """Joints of SMPL, z up [m], (T, 24, 3)."""
    times = np.arange(round(seconds * fps)) / fps
    at: dict[str, np.ndarray] = {}
    middle = np.stack([2 * STEP * times / PERIOD - 0.1, 0 * times, 0.85 + 0 * times], -1)
    ankles = feet(times)
    at["pelvis"] = middle + np.array([0, 0, 0.05])
    for i, (side, y) in enumerate((("left", 1.0), ("right", -1.0))):
        hip, ankle = middle + np.array([0, 0.09 * y, 0]), ankles[:, i]
        line = ankle - hip
        length = np.minimum(np.linalg.norm(line, axis=-1, keepdims=True), 0.995 * (THIGH + SHANK))
        ahead = np.cross([0.0, 1.0, 0.0], line)
        ahead = -ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)
        at[f"{side}_hip"], at[f"{side}_ankle"] = hip, ankle
        at[f"{side}_knee"] = hip + line / 2 + ahead * np.sqrt(THIGH**2 - (length / 2) ** 2)
        at[f"{side}_toe"] = ankle + np.array([0.13, 0.0, -0.05])
        swing = 0.4 * np.sin(2 * np.pi * (times / PERIOD + 0.5 * i))
        shoulder = middle + np.array([0, 0.18 * y, 0.5])
        down = np.stack([np.sin(swing), 0 * swing, -np.cos(swing)], -1)
        at[f"{side}_arm"], at[f"{side}_elbow"] = shoulder, shoulder + 0.28 * down
        at[f"{side}_wrist"] = at[f"{side}_elbow"] + 0.25 * (down + np.array([0.3, 0, 0])) / np.linalg.norm(
            down + np.array([0.3, 0, 0]), axis=-1, keepdims=True
        )
        at[f"{side}_fingers"], at[f"{side}_collar"] = at[f"{side}_wrist"], middle + np.array([0, 0.08 * y, 0.47])
    at |= {
        name: middle + np.array([0, 0, z])
        for name, z in (("spine1", 0.15), ("spine2", 0.28), ("spine3", 0.33), ("neck", 0.55), ("head", 0.65))
    }
    return np.stack([at[name] for name in JOINTS], 1)


def write(path: Path, positions: np.ndarray | None = None, fps: float = 60.0, **more: np.ndarray) -> Path:
    """Write the walker, or other positions, as an .npz of SMPL joints."""
    arrays = {"smpl_joints": joints(fps=fps) if positions is None else positions, "fps": np.array(fps), **more}
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return path


def described(folder: Path, text: str) -> Robot:
    """The robot that a model describes, as `robolearn robot new` finds it."""
    folder.mkdir(exist_ok=True)
    model = folder / "model.xml"
    model.write_text(text, encoding="utf-8")
    (folder / "robot.yaml").write_text(robot_yaml(describe(model), model.name), encoding="utf-8")
    return load_robot(folder / "robot.yaml")
