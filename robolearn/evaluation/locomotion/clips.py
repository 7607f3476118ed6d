"""Short videos from a record: nothing is simulated twice. Where a picture cannot be drawn or a video not written, the clip says why."""

from __future__ import annotations

import re

import numpy as np

from envs.tasks.velocity import VelocityEnv
from envs.terms.disturbance import add_ball
from policies.files import reason
from robolearn.evaluation.locomotion.result import Clip
from robolearn.evaluation.locomotion.rollout import Record
from robolearn.evaluation.locomotion.setup import Setup
from robolearn.viewer.overlay import draw_overlay
from robolearn.viewer.playback import Sample
from robolearn.viewer.render import Recorder
from robolearn.viewer.video import VideoWriter

WIDTH, HEIGHT = 640, 360
FPS, QUICK_FPS = 25, 10


def film(setup: Setup, env: VelocityEnv, record: Record, world: int, start_s: float, end_s: float, title: str, pace: float = 1.0) -> Clip:
    """A video of one world between two times [s], as far as it was recorded, `pace` times as fast as it was; a fall ends it."""
    if setup.folder is None:
        return Clip(title=title, failure="left out")
    steps = int(record.alive[:, world].sum())
    every = max(1, round(pace / ((QUICK_FPS if setup.quick else FPS) * record.dt)))
    path = setup.folder / (re.sub(r"\W+", "-", title) + ".mp4")
    scene = env.build_scene()
    if env.cfg.randomization.thrown_mass is not None:
        add_ball(scene)
    try:
        with VideoWriter(path, WIDTH, HEIGHT, pace / (every * record.dt)) as video, Recorder(env.robot, WIDTH, HEIGHT, scene) as recorder:
            for index in range(max(0, round(start_s / record.dt)), min(steps, round(end_s / record.dt)), every):
                sample = _sample(record, world, index)
                picture = recorder.draw(sample.qpos, sample)
                video.write(draw_overlay(picture, sample, setup.file.spec.command, title))
    except Exception as error:  # whatever graphics and codecs raise: the figures are worth having without
        return Clip(title=title, failure=reason(error))
    return Clip(title=title, path=path)


def _sample(record: Record, world: int, index: int) -> Sample:
    command, measured = record.command[index, world], record.velocity[index, world]
    off = measured - command
    return Sample(
        time_s=index * record.dt,
        command=tuple(command.tolist()),
        measured=tuple(measured.tolist()),
        qpos=record.qpos[index, world],
        error=float(np.linalg.norm(off[:2])),
        error_yaw=float(abs(off[2])),
        fell=False,
    )
