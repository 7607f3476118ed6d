"""One stride as a row of pictures, each seen exactly from the side, as one sees a person walking by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import mujoco
import numpy as np

from envs.robots.robot import Robot
from policies.files import whole
from robolearn.viewer.render import Recorder

WIDTH, HEIGHT = 200, 280  # pixels of one picture of a biped
WIDE = (320, 220)  # of one of a robot with more legs
CAPTION = 22  # pixels
QUALITY = 85  # of a JPEG
SIDE, FRONT = 90.0, 180.0
"""Direction of the camera relative to the robot's heading: a robot that walks ahead is seen from its right, sideways from the front."""
ELEVATION = -4.0
BACKGROUND, INK = (255, 255, 255), (40, 40, 40)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One strip.

    Attributes:
        poses: (frames, nq).
        caption: text above it.
        front: whether it is seen from the front, not from the side.
    """

    poses: np.ndarray
    caption: str
    front: bool = False


def strip(robot: Robot, rows: Sequence[Row]) -> np.ndarray:
    """Strips of poses, one under the other, uint8 RGB.

    Args:
        robot: the robot to draw.
        rows: the strips, all with the same number of poses.

    Raises:
        UserError: OpenGL is not available.
    """
    drawn = []
    size, biped = robot.stand_height or 1.0, len(robot.feet) == 2
    width, height = (WIDTH, HEIGHT) if biped else WIDE
    middle, distance = (0.83 * size, 2.8 * size) if biped else (0.6 * size, 4.2 * size)
    with Recorder(robot, width, height) as recorder:
        for row in rows:
            pictures = []
            for pose in row.poses:
                look_at = np.array([pose[0], pose[1], middle])
                recorder.look(look_at, (FRONT if row.front else SIDE) + _yaw(pose), ELEVATION, distance)
                pictures.append(recorder.draw(pose))
            line = np.concatenate(pictures, axis=1)
            drawn += [_caption(row.caption, line.shape[1]), line]
    return np.concatenate(drawn, axis=0)


def save(picture: np.ndarray, path: Path) -> Path:
    """Write a picture (H, W, 3) uint8 RGB as the path's suffix says, whole or not at all."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if path.suffix == ".jpg" else []
    encoded = cv2.imencode(path.suffix, picture[:, :, ::-1], quality)[1]
    with whole(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
    return path


def _caption(text: str, width: int) -> np.ndarray:
    band = np.full((CAPTION, width, 3), BACKGROUND, np.uint8)
    cv2.putText(band, text, (6, CAPTION - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return band


def _yaw(pose: np.ndarray) -> float:
    """Heading of the base [degrees]."""
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, np.asarray(pose[3:7], np.float64))
    return float(np.degrees(np.arctan2(rotation[3], rotation[0])))
