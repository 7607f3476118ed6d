"""Makes a video of a policy file, with the figures of the shown run."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from envs.robots.robot import Robot
from envs.scene.terrain import TerrainCfg
from robolearn.errors import UserError
from robolearn.evaluation.result import Outcome, outcomes
from robolearn.evaluation.tally import Tally
from robolearn.viewer.eyes import path_beside, size_of
from robolearn.viewer.moment import Moment
from robolearn.viewer.overlay import draw_overlay
from robolearn.viewer.playback import Playback, default_commands
from robolearn.viewer.render import Recorder
from robolearn.viewer.video import VideoWriter
from robolearn.viewer.who import Who, label_of


def record_policy(
    who: Who,
    path: Path | None,
    seconds: float = 16.0,
    commands: Sequence[Sequence[float]] | None = None,
    engine: str = "mujoco",
    randomize: bool = False,
    seed: int = 0,
    width: int = 960,
    height: int = 540,
    fps: int = 25,
    visuals: Path | None = None,
    terrain: TerrainCfg | None = None,
    robot: str | Robot | None = None,
    camera: str | None = None,
) -> dict[str, Any]:
    """Run one world of a policy's task under a schedule of commands and write a video of it.

    Args:
        who: the frozen policy, or a controller.
        path: path of the video, `.mp4` or `.webm`; None for the figures only.
        seconds: simulated time [s].
        commands: each held for an equal share of the time, (K, C); None for a schedule over the trained range.
        engine: physics engine.
        randomize: whether to use the task's randomization, noise, delays and pushes.
        seed: of everything random.
        width, height: size [pixels].
        fps: pictures per second, at most one per control step.
        visuals: MJCF whose meshes are shown in place of our shapes.
        terrain: terrain for a walking robot; None for a flat floor.
        robot: the value of `--robot`, or the robot that `robot_of` returned for it; None for the file's own.
        camera: name of a camera whose images are written as a second video, one frame per control step.

    Returns:
        Plain JSON values: `video`, `camera_video`, `codec`, `frames`, `fps`, `policy`, `task`, `engine`, `seconds`, `falls`, the task's
        figures by name, their details in `figures`, and the series `time_s` (T,), `labels`, `units` (C,), `command`, `measured` (T, C).

    Raises:
        UserError: the video cannot be written, or the command does not fit the task.
    """
    play = Playback(who, engine, randomize, seed, terrain, robot, camera)
    spec = play.command
    schedule = tuple(tuple(float(v) for v in command) for command in commands) if commands else default_commands(play.task, spec)
    for command in schedule:
        if len(command) != len(spec.labels):
            raise UserError(f"{play.task} takes {len(spec.labels)} numbers as its command ({', '.join(spec.labels)})")
    count = max(1, round(seconds / play.control_dt))
    every = max(1, round(1 / (fps * play.control_dt)))
    rate = 1 / (every * play.control_dt)
    moments: list[Moment] = []
    result: dict[str, Any] = {"video": None, "camera_video": None, "codec": None, "frames": 0, "fps": rate}
    units = play.evaluation.play.units

    if path is None:
        figures = _run(play, schedule, count, moments.append)
    else:
        with (
            VideoWriter(path, width, height, rate) as video,
            Recorder(play.env.robot, width, height, play.env.scene(), visuals, spec.kind) as recorder,
            _camera_video(play, path) as eye,
        ):

            def draw(moment: Moment) -> None:
                if len(moments) % every == 0:
                    picture = recorder.draw(moment.qpos, moment)
                    video.write(draw_overlay(picture, moment, spec, f"{play.task}   {engine}", units))
                    result["frames"] += 1
                if eye is not None:
                    eye.write(play.seen())
                moments.append(moment)

            figures = _run(play, schedule, count, draw)
            result |= {"video": str(path), "codec": video.codec, "camera_video": None if eye is None else str(eye.path)}
    return result | {
        "policy": label_of(who),
        "task": play.task,
        "engine": engine,
        "seconds": count * play.control_dt,
        "falls": sum(moment.fell for moment in moments),
        **{name: figure.value for name, figure in figures.items()},
        "figures": {name: dataclasses.asdict(figure) for name, figure in figures.items()},
        "labels": list(spec.labels),
        "units": list(units),
        "time_s": [moment.time_s for moment in moments],
        "command": [list(moment.command) for moment in moments],
        "measured": [[value if math.isfinite(value) else None for value in moment.measured] for moment in moments],
    }


def _camera_video(play: Playback, path: Path) -> contextlib.AbstractContextManager[VideoWriter | None]:
    """The video of what is looked through, a frame a control step."""
    if play.eye is None or play.env.cameras is None:
        return contextlib.nullcontext()
    return VideoWriter(path_beside(path, play.eye), *size_of(play.env.cameras.terms[play.eye]), 1 / play.control_dt)


def _run(play: Playback, schedule: Sequence[Sequence[float]], count: int, show: Callable[[Moment], None]) -> dict[str, Outcome]:
    """Play `count` steps, each command of the schedule for an equal share of them; `show` is called with every moment.

    Returns: The task's figures; each command is an episode that counts from its start, and after a fall nothing counts until the next
        command.
    """
    tally = Tally(play.evaluation, play.env, settle_s=0.0)
    bar = tqdm(total=count, desc="play", unit="step", dynamic_ncols=True, mininterval=0.5)
    with bar:
        for command, steps in itertools.groupby(schedule[index * len(schedule) // count] for index in range(count)):
            length = len(list(steps))
            play.ask(command)
            alive = torch.ones(1, dtype=torch.bool, device=play.env.device)
            tally.begin(length)
            for _ in range(length):
                moment = play.step(command)
                alive = alive & (not moment.fell)
                tally.add(alive)
                show(moment)
                bar.update()
            tally.end()
    return outcomes(play.evaluation, tally.figures(), play.env.robot)
