"""Makes short videos from a record, without simulating again. If a picture cannot be drawn or a video written, the clip says why."""

from __future__ import annotations

import re

import numpy as np

from envs.vec_env import VecEnv
from policies.files import reason
from robolearn.evaluation.locomotion.record import Record
from robolearn.evaluation.locomotion.result import Clip
from robolearn.evaluation.locomotion.setup import Setup
from robolearn.viewer.moment import Moment
from robolearn.viewer.overlay import draw_overlay
from robolearn.viewer.render import Recorder
from robolearn.viewer.video import VideoWriter

WIDTH, HEIGHT = 640, 360
FPS, QUICK_FPS = 25, 10
UNITS = ("m/s", "m/s", "rad/s")


def film(setup: Setup, env: VecEnv, record: Record, world: int, start_s: float, end_s: float, title: str, pace: float = 1.0) -> Clip:
    """A video of one world between two times [s], as far as it was recorded, at `pace` times real speed; a fall ends it."""
    if setup.folder is None:
        return Clip(title=title, failure="left out")
    steps = int(record.alive[:, world].sum())
    every = max(1, round(pace / ((QUICK_FPS if setup.quick else FPS) * record.dt)))
    path = setup.folder / (re.sub(r"\W+", "-", title) + ".mp4")
    command = setup.spec.command
    try:
        with (
            VideoWriter(path, WIDTH, HEIGHT, pace / (every * record.dt)) as video,
            Recorder(env.robot, WIDTH, HEIGHT, env.scene(), kind=command.kind) as recorder,
        ):
            for index in range(max(0, round(start_s / record.dt)), min(steps, round(end_s / record.dt)), every):
                moment = moment_of(record, world, index)
                picture = recorder.draw(moment.qpos, moment)
                video.write(draw_overlay(picture, moment, command, title, UNITS))
    except Exception as error:  # any error of graphics and codecs: the figures are useful without videos
        return Clip(title=title, failure=reason(error))
    return Clip(title=title, path=path)


def moment_of(record: Record, world: int, index: int) -> Moment:
    """A step of a record in the form of a picture."""
    command, measured = record.command[index, world], record.velocity[index, world]
    off = float(np.linalg.norm((measured - command)[:2]))
    return Moment(
        time_s=index * record.dt,
        command=tuple(command.tolist()),
        measured=tuple(measured.tolist()),
        qpos=record.qpos[index, world],
        note=f"planar velocity error {off:.2f} m/s",
    )
