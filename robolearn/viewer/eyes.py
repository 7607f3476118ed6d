"""What a camera shows the policy, for people: as large as it needs to be seen, every pixel a square, depths and labels as colours."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np

from envs.env_cfg import EnvCfg
from envs.robots.robot import Robot
from envs.sensing.camera import CameraTerm, cameras_of
from robolearn.errors import UserError, suggestion

SIDE = 96  # pixels of a camera that the policy does not have
LEAST = 384  # pixels of a video's shorter side
LABELS = np.array([[30, 30, 34], [150, 152, 156], [64, 132, 224], [236, 140, 40], [90, 180, 90], [200, 80, 150], [220, 210, 90]], np.uint8)


def with_camera(cfg: EnvCfg, robot: Robot, name: str) -> tuple[EnvCfg, str]:
    """A config whose worlds have a camera, and the entry of its observations that is it.

    Args:
        cfg: of the worlds.
        robot: in them.
        name: an entry of the observations, or a camera of the robot, through which a policy without it would see pictures of 96 x 96.

    Raises:
        UserError: there is neither; lists what there is.
    """
    terms = cameras_of(cfg.observations)
    for entry, term in terms.items():
        if name in (entry, term.camera):
            return cfg, entry
    if name not in robot.cameras and name not in [camera.name for camera in robot.scene().cameras]:
        valid = list(dict.fromkeys([*terms, *robot.cameras]))
        there = f"valid: {', '.join(valid)}" if valid else f"{robot.name} has none; describe one under `cameras` in its robot.yaml"
        raise UserError(f"there is no camera {name!r}{suggestion(name, valid)}; {there}")
    entry = next(text for text in (name, f"{name}_view", f"{name}_of_play") if text not in cfg.observations)
    return dataclasses.replace(cfg, observations={**cfg.observations, entry: CameraTerm(camera=name, height=SIDE, width=SIDE)}), entry


def shown(picture: np.ndarray, term: CameraTerm, least: int = LEAST) -> np.ndarray:
    """A picture (height, width, channels) of a camera as people see it, (h, w, 3) uint8 RGB with even sides of at least `least` pixels."""
    if term.modality == "depth":
        share = np.where(picture > 0, 1 - (picture - term.near) / (term.far - term.near), 0.0)
        color = cv2.applyColorMap((255 * share.clip(0, 1) ** 2).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        color[picture[..., 0] == 0] = 0
    elif term.modality == "segmentation":
        color = LABELS[picture[..., 0] % len(LABELS)]
    else:
        color = picture
    scale = max(1, -(-least // min(color.shape[:2])))
    large = cv2.resize(np.ascontiguousarray(color), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    return np.pad(large, ((0, large.shape[0] % 2), (0, large.shape[1] % 2), (0, 0)))


def size_of(term: CameraTerm) -> tuple[int, int]:
    """Width and height of `shown` [pixels]."""
    blank = np.zeros((term.height, term.width, 3 if term.modality == "rgb" else 1), np.float32 if term.modality == "depth" else np.uint8)
    height, width = shown(blank, term).shape[:2]
    return width, height


def path_beside(path: Path, name: str) -> Path:
    """Where the video of a camera goes: `play.mp4` -> `play-wrist.mp4`."""
    return path.with_stem(f"{path.stem}-{name}")
