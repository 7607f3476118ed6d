"""The cameras of a robot's description, put into a scene. Scenes for physics have none: only what is looked at carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np

if TYPE_CHECKING:
    from envs.robots.robot import Camera, Robot

WORLD = "world"
"""The body of a camera that stands beside the robot."""


def add_cameras(spec: mujoco.MjSpec, robot: Robot) -> None:
    """Put the cameras of a robot's description into its scene; one of the model's own of the same name gives way."""
    for old in [camera for camera in spec.cameras if camera.name in robot.cameras]:
        spec.delete(old)
    for name, camera in robot.cameras.items():
        body = spec.worldbody if camera.body == WORLD else spec.body(camera.body)
        added = body.add_camera(name=name, pos=list(camera.position), quat=optical_quat(camera).tolist(), fovy=camera.fovy_deg)
        added.mode = mujoco.mjtCamLight.mjCAMLIGHT_FIXED


def optical_quat(camera: Camera) -> np.ndarray:
    """The attitude of MuJoCo's camera frame (x right, y up, z backward) in the body's frame, wxyz (4,)."""
    backward = -np.array(camera.forward, float) / np.linalg.norm(camera.forward)
    right = np.cross(np.array(camera.up, float), backward)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(backward, right), backward], axis=1)
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, axes.ravel())
    return quat
