"""Rendered images for the study of encoders: sets to learn from, and sets with the places of hand and ball in the picture.

Panda moves at random, a ball hangs somewhere, and a world's looks are drawn from one of two families: `seen` or `unseen`, which share no
texture and differ in light, camera and lens. Places come from the renderer itself: the middle of the pixels that show the thing.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs.robots.registry import get_robot
from envs.seeds import uniform
from envs.sensing.camera import CameraTerm
from envs.sensing.cameras import Frame
from envs.tasks.registry import get_task, make_env
from envs.terms import looks, optics
from envs.terms.about import about
from envs.terms.face import Env
from envs.terms.randomization import RandomizationCfg
from envs.terms.term import EventTerm
from envs.vec_env import VecEnv
from policies.files import whole

Arrays = dict[str, NDArray[Any]]
SIDE, WORLDS, STEPS, APART_S = 64, 64, 4, 0.4
VIEWS = {"wrist": "wrist_view", "outside": "outside_view"}
SEEN = {
    "floor": EventTerm(looks.Textures, kinds=("checker", "stripes", "dots", "gradient"), count=24, seed=1),
    "skin": EventTerm(looks.colors, on=("robot",), spread=0.2),
    "sun": EventTerm(looks.Light, turn=0.5),
    "place": EventTerm(looks.CameraPose, position=0.03, angle=0.05),
    "sky": EventTerm(looks.Background, kinds=("checker", "stripes", "dots", "gradient"), count=12, seed=2),
    "distractors": EventTerm(looks.Distractors, count=3),
    "exposure": EventTerm(optics.Exposure),
    "grain": EventTerm(optics.Noise, spread=(0.0, 0.02)),
}
UNSEEN = {
    "floor": EventTerm(looks.Textures, kinds=("noise", "marble"), count=24, seed=3),
    "skin": EventTerm(looks.colors, on=("robot",), spread=0.5),
    "sun": EventTerm(looks.Light, turn=1.0, brightness=(0.4, 1.6), tint=0.3),
    "place": EventTerm(looks.CameraPose, position=0.06, angle=0.1),
    "sky": EventTerm(looks.Background, kinds=("noise", "marble"), count=12, seed=4),
    "distractors": EventTerm(looks.Distractors, count=8),
    "exposure": EventTerm(optics.Exposure),
    "balance": EventTerm(optics.ColorBalance),
    "grain": EventTerm(optics.Noise, spread=(0.02, 0.05)),
}
FAMILIES = {"seen": SEEN, "unseen": UNSEEN}


@about(needs="camera")
class Ball:
    """A ball hangs somewhere in front of the arm, and where it and the hand are seen is written down."""

    def __init__(self, env: Env) -> None:
        cameras = looks.cameras_of(env)
        self._name = cameras.stage.add_distractor(looks.SHAPES[1])
        cameras.will_vary("geom_pos", "geom_rgba", "geom_size")
        cameras.add_effect(list(VIEWS.values()), 10**6, self._see, geoms=True)
        self.places: dict[str, torch.Tensor] = {}

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        stage = looks.cameras_of(env).stage
        geom = int(stage.model.geom(self._name).id)
        place = torch.stack([uniform(*ends, (len(ids),), stage.generator) for ends in ((0.3, 0.7), (-0.35, 0.35), (0.05, 0.6))], 1)
        red = torch.tensor([0.9, 0.08, 0.05, 1.0]).expand(len(ids), 4)
        for name, value in (("geom_pos", place), ("geom_rgba", red), ("geom_size", torch.full((len(ids), 3), 0.04))):
            field = stage.field(name)[ids].clone()
            field[:, geom] = value
            stage.set_field(name, ids, field)

    def _see(self, frame: Frame) -> None:
        """Note the middle (u, v) and the number of pixels of ball and hand, (n, 2, 3)."""
        assert frame.geoms is not None
        model = frame.stage.model
        hand = [i for i in range(model.ngeom) if model.body(int(model.geom_bodyid[i])).name in ("hand", "left_finger", "right_finger")]
        row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        found: list[torch.Tensor] = []
        for ids in ([int(model.geom(self._name).id)], hand):
            shown = torch.isin(frame.geoms, torch.tensor(ids, dtype=frame.geoms.dtype)).float()  # (n, h, w)
            count = shown.sum((1, 2))
            middle = [(shown * axis).sum((1, 2)) / count.clamp(min=1) for axis in (column, row)]
            found.append(torch.stack([*middle, count], 1))
        self.places[frame.name] = torch.stack(found, 1)


def worlds(family: str) -> tuple[VecEnv, Ball]:
    """Worlds of a family, and the ball in them."""
    robot = get_robot("panda")
    cfg = get_task("reach").make(robot)
    every = round(APART_S / cfg.control_dt)
    cameras = {view: CameraTerm(camera=name, height=SIDE, width=SIDE, rate=1 / (every * cfg.control_dt)) for name, view in VIEWS.items()}
    table = RandomizationCfg({**cfg.randomization.entries, **FAMILIES[family], "ball": EventTerm(Ball)})
    env = make_env(
        "reach", robot, dataclasses.replace(cfg, observations={**cfg.observations, **cameras}, randomization=table), num_worlds=WORLDS
    )
    ball = env.events.made("ball")
    assert isinstance(ball, Ball)
    return env, ball


@torch.no_grad()
def make(family: str, count: int, seed: int) -> Arrays:
    """`images` (K, h, w, 3) of both cameras in turn, `places` (K, 2, 3) of ball and hand, and `camera` (K,)."""
    env, ball = worlds(family)
    every = round(APART_S / env.cfg.control_dt)
    images, places, camera = list[NDArray[Any]](), list[NDArray[Any]](), list[NDArray[Any]]()
    generator = torch.Generator().manual_seed(seed)
    number = 0
    while sum(map(len, images)) < count:
        env.reseed(seed * 1000 + number)
        env.reset()
        number += 1
        action = torch.randn(WORLDS, env.spec.action_dim, generator=generator)
        for step in range(STEPS * every):
            if step % every == 0:
                for index, view in enumerate(VIEWS.values()):
                    images.append(env.images[view].numpy().copy())
                    places.append(ball.places[view].numpy().copy())
                    camera.append(np.full(WORLDS, index))
            action = 0.85 * action + 0.5268 * torch.randn(action.shape, generator=generator)
            env.step(action)
    return {"images": np.concatenate(images)[:count], "places": np.concatenate(places)[:count], "camera": np.concatenate(camera)[:count]}


def kept(folder: Path, family: str, count: int, seed: int) -> Arrays:
    """The same from a file, which is made if it is not there."""
    path = folder / f"{family}-{count}-{seed}.npz"
    if not path.is_file():
        with whole(path) as temporary:
            np.savez(temporary, **make(family, count, seed))  # pyright: ignore[reportArgumentType]
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}
