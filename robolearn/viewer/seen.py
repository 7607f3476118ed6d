"""A browser page of what a policy saw, frame by frame: its cameras' images beside the robot, what it did, and how close it came.

One HTML file with everything inside. With a masked autoencoder's checkpoint, what that paints of each image, of which it is shown a
quarter, stands below the image: what the encoder knows of such a scene.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from envs.robots.robot import Robot
from policies.contract.file import PolicyFile
from robolearn.errors import UserError
from robolearn.learning.run import load_checkpoint
from robolearn.pretraining.encoder.model import MaskedAutoencoder
from robolearn.report.page import template, write_page
from robolearn.viewer.eyes import shown
from robolearn.viewer.playback import Playback, default_commands
from robolearn.viewer.render import Recorder
from robolearn.viewer.who import Who, label_of

SIZE = (480, 300)
"""Width and height of the robot's picture [pixels]."""
MOST = 400
"""Frames; more would make the page too large to open."""


def write_seen(
    who: Who,
    path: Path,
    seconds: float = 16.0,
    commands: Sequence[Sequence[float]] | None = None,
    engine: str = "mujoco",
    randomize: bool = False,
    seed: int = 0,
    robot: str | Robot | None = None,
    painter: Path | None = None,
) -> int:
    """Run one world and write the page; arguments as in `robolearn.viewer.film.record_policy`.

    Args:
        who: a policy file that takes images.
        path: of the page.
        seconds: simulated time [s].
        commands: each held for an equal share of the time, (K, C); None for a schedule over the trained range.
        engine: physics engine.
        randomize: whether to use the training's randomization.
        seed: of everything random.
        robot: the value of `--robot`.
        painter: run or checkpoint of `robolearn pretrain encoder`, whose reconstructions are shown.

    Returns:
        The number of frames.

    Raises:
        UserError: the policy takes no images, or the checkpoint is not of a masked autoencoder for such images.
    """
    if not isinstance(who, PolicyFile) or not who.images:
        raise UserError(f"{label_of(who)} takes no images; --camera NAME films what a camera would show it")
    play = Playback(who, engine, randomize, seed, None, robot)
    terms = {name: play.env.cameras.terms[name] for name in who.images} if play.env.cameras is not None else {}
    paint = None if painter is None else Painter(painter)
    schedule = tuple(tuple(map(float, row)) for row in commands) if commands else default_commands(play.task, play.command)
    count = max(1, round(seconds / play.control_dt))
    every = max(min(play.env.spec.group(name).every for name in terms), -(-count // MOST))
    frames: list[dict[str, Any]] = []
    with Recorder(play.env.robot, *SIZE, play.env.scene(), None, play.command.kind) as recorder:
        for step in range(count):
            command = schedule[step * len(schedule) // count]
            play.ask(command)
            images = {name: play.env.images[name][0].cpu().numpy() for name in terms}
            moment = play.step(command)
            if step % every:
                continue
            painted = {} if paint is None else {name: paint(image) for name, image in images.items()}
            frames.append(
                {
                    "time": round(moment.time_s, 3),
                    "robot": _url(recorder.draw(moment.qpos, moment), ".jpg"),
                    "images": {name: _url(shown(image, terms[name], 1), ".png") for name, image in images.items()},
                    "painted": {name: [_url(picture, ".png") for picture in pair] for name, pair in painted.items()},
                    "command": [round(value, 3) for value in moment.command],
                    "measured": [round(value, 3) for value in moment.measured],
                    "action": [round(float(value), 3) for value in play.env.action[0]],
                    "note": moment.note,
                    "reached": moment.reached,
                }
            )
    page = template("seen.html.j2").render(
        title=f"{who.path.name}: what it saw",
        task=play.task,
        engine=engine,
        cameras=[
            {"name": name, "told": f"{term.camera}, {term.height} x {term.width}, {play.env.spec.group(name).every} steps apart"}
            for name, term in terms.items()
        ],
        painted=paint is not None,
        joints=list(who.spec.robot.joint_names),
        clip=who.spec.action.clip,
        labels=list(who.spec.command.labels),
        told=any(term.name == "command" for term in who.spec.terms),
        interval_ms=round(1000 * every * play.control_dt),
        frames=json.dumps(frames),
    )
    write_page(path, page)
    return len(frames)


class Painter:
    """What a masked autoencoder sees of an image, and what it paints from that."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            UserError: not a checkpoint of `robolearn pretrain encoder`.
        """
        from robolearn.config import loading
        from robolearn.pretraining.encoder.config import EncoderTraining

        state = load_checkpoint(path)
        if state["kind"] != "encoder":
            raise UserError(f"{path} is a checkpoint of a {state['kind']}; reconstructions need one of: robolearn pretrain encoder")
        how = loading.loads(EncoderTraining, state["config"], str(path)).encoder
        self._net = MaskedAutoencoder(how.vit, how)
        self._net.load_state_dict(state["policy"])
        self._order = self._net.order(1, torch.Generator().manual_seed(0))

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of an image (height, width, 3) uint8: what is seen of it, and what is painted.

        Raises:
            UserError: the autoencoder is for images of another size.
        """
        net = self._net.encoder
        if image.shape != (*net.size, net.channels):
            raise UserError(f"the autoencoder is for images {net.size[0]} x {net.size[1]} x {net.channels}, and these are {image.shape}")
        seen, painted = self._net.pictures(torch.from_numpy(image)[None], self._order)
        return seen[0].numpy(), painted[0].numpy()


def _url(picture: np.ndarray, kind: str) -> str:
    """A picture (h, w, 3) uint8 RGB as a data URL."""
    data = cv2.imencode(kind, np.ascontiguousarray(picture[..., ::-1]))[1].tobytes()
    return f"data:image/{'jpeg' if kind == '.jpg' else 'png'};base64,{base64.b64encode(data).decode('ascii')}"
