"""Shows motions as a video or in the browser: the robot follows a clip, without physics."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from envs.robots.robot import Robot
from robolearn.viewer.render import Recorder
from robolearn.viewer.strip import Row, save, strip
from robolearn.viewer.video import VideoWriter

INK = (40, 40, 40)
FPS = 25.0
PICTURES = 10  # of a strip


def film(robot: Robot, motions: Sequence[tuple[str, np.ndarray]], dt: float, path: Path, width: int = 960, height: int = 540) -> int:
    """Write a video of motions, one after the other.

    Args:
        robot: the robot.
        motions: name and poses (T, nq) of each.
        dt: time between poses [s].
        path: the video file, .mp4 or .webm. width, height: size [pixels].

    Returns: Its number of pictures.

    Raises:
        UserError: the video cannot be written, or nothing can be drawn.
    """
    every, count = max(1, round(1 / (FPS * dt))), 0
    with VideoWriter(path, width, height, 1 / (every * dt)) as video:
        for name, qpos in motions:
            with Recorder(robot, width, height) as recorder:  # its camera starts again
                for pose in qpos[::every]:
                    picture = np.ascontiguousarray(recorder.draw(pose))
                    cv2.putText(picture, name, (16, 32), cv2.FONT_HERSHEY_SIMPLEX, 0.7, INK, 1, cv2.LINE_AA)
                    video.write(picture)
                    count += 1
    return count


def pictures(robot: Robot, motions: Sequence[tuple[str, np.ndarray]], path: Path) -> Path:
    """Write a strip of pictures of each motion, from its beginning to its end.

    Raises:
        UserError: nothing can be drawn.
    """
    rows = [Row(poses=qpos[np.linspace(0, len(qpos) - 1, PICTURES).astype(int)], caption=name) for name, qpos in motions]
    return save(strip(robot, rows), path)


def show(robot: Robot, motions: Sequence[tuple[str, np.ndarray]], dt: float, port: int, stop: threading.Event | None = None) -> None:
    """Play motions in the browser, over and over, until `stop` or Ctrl-C; on this computer only.

    Raises:
        UserError: no port is free.
    """
    import mujoco

    from robolearn.viewer.browser import add_scene, open_server, url_of

    server = open_server(f"motions of {robot.name}", port)
    model = robot.scene().compile()
    data, scene = mujoco.MjData(model), add_scene(server, model, follow=robot.floating_base)
    chosen = server.gui.add_dropdown("motion", [name for name, _ in motions])
    frame = server.gui.add_slider("share", min=0.0, max=1.0, step=0.001, initial_value=0.0)
    paused = server.gui.add_checkbox("pause", False)
    print(f"{url_of(server)} shows {len(motions)} motions; Ctrl-C ends")
    clips, at = dict(motions), 0.0
    try:
        while stop is None or not stop.is_set():
            qpos = clips[str(chosen.value)]
            if paused.value:
                at = float(frame.value) * (len(qpos) - 1)
            else:
                at = (at + 0.04 / dt) % len(qpos)
                frame.value = at / max(len(qpos) - 1, 1)
            data.qpos[:] = qpos[min(int(at), len(qpos) - 1)]
            mujoco.mj_forward(model, data)
            scene.update_from_mjdata(data)
            time.sleep(0.04)
    finally:
        server.stop()
