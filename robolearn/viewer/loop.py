"""Makes a small endless animation for a page: a robot at its task, whose end continues into its beginning without a jump.

A walking robot walks, turns to one side, stops, turns to the other and walks on; other robots do what their task shows. Begin and end are
two moments, about as far apart as requested, at which pose and speed of the robot are most similar, so a walk is cut at one phase of its
gait. The camera turns evenly by as much as the robot has turned in between; the remaining difference, mainly the floor, is blended over a
few pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from envs.robots.robot import Robot
from policies.contract.spec import CommandSpec
from policies.files import whole
from robolearn.errors import UserError
from robolearn.viewer.playback import Playback, default_commands
from robolearn.viewer.render import VIEW_DEG, Recorder
from robolearn.viewer.who import Who, label_of

ENDINGS = (".webp", ".gif")
EVERY = 3  # control steps per picture: 17 per second at 50 Hz
LEAD_S, SEARCH_S = 3.0, 1.5  # s before the loop; s in which its two ends are searched for, fewer for a short loop
FADE = 6  # pictures
QUALITY = 85  # of a WebP
AHEAD, TURN = 0.6, 0.6  # of the largest speed, and of the largest yaw rate
SPEED_S = 0.1  # s: weight of a joint's speed relative to its angle
STEADY_S = 1.0  # s, over which the camera's path is averaged


def record_loop(
    who: Who,
    path: Path,
    seconds: float,
    command: Sequence[float] | None = None,
    engine: str = "mujoco",
    seed: int = 0,
    width: int = 400,
    height: int = 300,
    visuals: Path | None = None,
    robot: str | Robot | None = None,
) -> dict[str, Any]:
    """Write an endless animation of a policy.

    Args:
        who: the frozen policy, or a controller.
        path: path of the animation, with one of `ENDINGS`.
        seconds: approximate length of a loop [s].
        command: command to hold, (C,); None for the sequence above.
        engine: physics engine.
        seed: of everything random.
        width, height: size [pixels].
        visuals: MJCF whose meshes are shown in place of our shapes.
        robot: the value of `--robot`, or the robot that `robot_of` returned for it; None for the file's own.

    Returns:
        Plain JSON values: `video`, `codec`, `frames`, `fps`, `policy`, `task`, `engine`, `seconds`, `falls`, and no `figures`.

    Raises:
        UserError: the robot fell, or the animation cannot be written.
    """
    play = Playback(who, engine, seed=seed, robot=robot)
    dt = play.control_dt
    schedule = [tuple(command)] if command else shown(play.task, play.command)
    search = round(min(SEARCH_S, seconds / 4) / dt)
    lead, length, run_out = round(LEAD_S / dt), round(seconds / dt), search + FADE * EVERY + 1
    poses = []
    for step in range(lead + length + run_out):
        part = min(max(step - lead, 0) * len(schedule) // length, len(schedule) - 1)
        moment = play.step(schedule[part])
        if moment.fell:
            raise UserError(
                f"the robot fell after {moment.time_s:.1f} s: no loop is possible; try another --seed, or make a video to see why"
            )
        poses.append(moment.qpos)
    poses = np.array(poses)
    floating = play.env.robot.floating_base
    begin, end = cut(pose_features(poses, floating, dt), (lead - search, lead), (lead + length - search, lead + length + search), EVERY)
    pictures = _drawn(play, poses, begin, end, (width, height), visuals)
    _write(pictures, path, round(1000 * EVERY * dt))
    made = {"video": str(path), "codec": path.suffix[1:], "frames": len(pictures), "fps": 1 / (EVERY * dt), "policy": label_of(who)}
    return made | {"task": play.task, "engine": engine, "seconds": (end - begin) * dt, "falls": 0, "figures": {}}


def shown(task: str, command: CommandSpec) -> list[tuple[float, ...]]:
    """The commands of equal shares of a loop; the first and the last are the same."""
    if command.kind != "velocity":
        commands = [*default_commands(task, command)]
        return [*commands, commands[0]]
    ahead, turn = AHEAD * command.upper[0], TURN * command.upper[2]
    return [(ahead, 0.0, 0.0), (ahead, 0.0, turn), (0.0, 0.0, 0.0), (ahead, 0.0, -turn), (ahead, 0.0, 0.0)]


def pose_features(poses: np.ndarray, floating: bool, dt: float) -> np.ndarray:
    """Features that two moments must share to follow each other, (T, F): joints and their speeds, height and tilt, not place.

    Args:
        poses: (T, nq).
        floating: whether the base moves.
        dt: time between poses [s].
    """
    joints = poses[:, 7:] if floating else poses
    features = [joints, SPEED_S * np.gradient(joints, dt, axis=0)]
    if floating:
        w, x, y, z = poses[:, 3:7].T
        down = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=1)  # the world's z in the base's frame
        features += [poses[:, 2:3], down]
    return np.concatenate(features, axis=1)


def cut(features: np.ndarray, begins: tuple[int, int], ends: tuple[int, int], every: int) -> tuple[int, int]:
    """The begin and end, each in its range of steps and a multiple of `every` apart, with the most similar features (T, F)."""
    pairs = [(begin, end) for begin in range(*begins) for end in range(*ends) if (end - begin) % every == 0]
    rows = np.array(pairs)
    return pairs[int(np.argmin(np.square(features[rows[:, 0]] - features[rows[:, 1]]).sum(axis=1)))]


def _drawn(play: Playback, poses: np.ndarray, begin: int, end: int, size: tuple[int, int], visuals: Path | None) -> list[np.ndarray]:
    """The pictures of one loop."""
    robot, reach = play.env.robot, round(STEADY_S / play.control_dt / 2)
    height = robot.stand_height or 0.0
    tall = len(robot.feet) == 2
    view = (0.82 * height, -8.0, 2.5 * height) if tall else (0.55 * height, -18.0, 4.2 * height)
    yaw = np.zeros(len(poses))  # an arm may have fewer joints than a base has coordinates
    if robot.floating_base:
        w, x, y, z = poses[:, 3:7].T
        yaw = np.unwrap(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y**2 + z**2)))
    heading = float(yaw[begin : begin + reach].mean())
    turned = float(yaw[end : end + reach].mean()) - heading
    with Recorder(robot, *size, play.env.scene(), visuals) as recorder:

        def draw(step: int) -> np.ndarray:
            if robot.floating_base:
                middle = poses[max(step - reach, 0) : step + reach + 1, :2].mean(axis=0)
                azimuth = VIEW_DEG + float(np.degrees(heading + turned * (step - begin) / (end - begin)))
                recorder.look(np.array([*middle, view[0]]), azimuth, view[1], view[2])
            return recorder.draw(poses[step])

        pictures = [draw(step) for step in range(begin, end, EVERY)]
        for index in range(min(FADE, len(pictures))):
            share, after = (index + 0.5) / FADE, draw(end + index * EVERY)
            pictures[index] = np.round(share * pictures[index] + (1 - share) * after).astype(np.uint8)
    return pictures


def _write(pictures: list[np.ndarray], path: Path, duration_ms: int) -> None:
    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(picture[:, :, ::-1]) for picture in pictures]
    animation.durations = [duration_ms] * len(pictures)
    animation.loop_count = 0  # endless
    options = [cv2.IMWRITE_WEBP_QUALITY, QUALITY] if path.suffix == ".webp" else []
    encoded, data = cv2.imencodeanimation(path.suffix, animation, options)
    if not encoded:
        raise UserError(f"this OpenCV ({cv2.__version__}) cannot write {path.name}; install opencv-python-headless from PyPI")
    with whole(path) as temporary:
        temporary.write_bytes(data.tobytes())
