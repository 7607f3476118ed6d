"""Images that are drawn as it goes: the cameras of a preset's worlds, whose looks differ, while the robot moves.

Worlds are rolled out in rounds. A round is a function of seed, process and its number alone, and so is which rounds a batch is drawn from:
a training that is gone on with draws the same images again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from envs.robots.registry import get_robot
from envs.sensing.camera import CameraTerm, cameras_of
from envs.tasks.registry import make_env
from envs.terms import looks, optics
from envs.terms.randomization import RandomizationCfg
from envs.terms.term import EventTerm
from envs.vec_env import VecEnv
from policies.contract.file import PolicyFile
from robolearn.config import loading, schema
from robolearn.config.schema import TrainCfg
from robolearn.errors import UserError
from robolearn.evaluation.actors import FileActor
from robolearn.pretraining.encoder.config import EncoderCfg
from robolearn.pretraining.encoder.frames import Pictures, cut

STEPS = 8
"""Images of a world and camera in a round."""
HELD_OUT = 10**6
"""Number of the round that nothing is learned from."""
LICENCE = "LicenseRef-own"
"""Of images that we draw; the models of our robots may be used for all purposes."""
SMOOTH = 0.85
"""How much of a random action stays from one control step to the next."""
LOOKS: Mapping[str, EventTerm] = {
    "floor": EventTerm(looks.Textures, on=("ground",), count=24),
    "skin": EventTerm(looks.colors, on=("robot",), spread=0.35),
    "sun": EventTerm(looks.Light),
    "place": EventTerm(looks.CameraPose, position=0.03, angle=0.06),
    "view": EventTerm(looks.FieldOfView),
    "sky": EventTerm(looks.Background, count=16),
    "distractors": EventTerm(looks.Distractors, count=4),
    "exposure": EventTerm(optics.Exposure),
    "balance": EventTerm(optics.ColorBalance),
    "grain": EventTerm(optics.Noise, spread=(0.0, 0.02)),
}
"""How the worlds of a preset look that says nothing of cameras."""


class Rendered:
    """The colour cameras of a preset's worlds."""

    def __init__(self, preset: str, how: EncoderCfg, seed: int, rank: int) -> None:
        """Make the worlds; nothing is drawn yet.

        Raises:
            UserError: no such preset, or its robot has no camera.
        """
        self.name, self._how, self._seed, self._rank = preset, how, seed, rank
        self._size = (how.height, how.width)
        self.env = _worlds(preset, how)
        self._terms = cameras_of(self.env.cfg.observations)
        self._cameras = [name for name, term in self._terms.items() if term.modality == "rgb"]
        self._actor: FileActor | None = None
        if how.policy:
            self._actor = FileActor(PolicyFile(how.policy), how.worlds // 2)
            self._actor.watch(self.env)
        self._rounds: dict[int, Pictures] = {}

    @property
    def per_round(self) -> int:
        """Images of a round."""
        return STEPS * self._how.worlds * len(self._cameras)

    def about(self) -> dict[str, Any]:
        """See `Frames`."""
        table = self.env.cfg.randomization.entries
        return {
            "kind": "rendered",
            "preset": self.name,
            "licence": LICENCE,
            "robot": self.env.robot.name,
            "task": self.env.task_name,
            "cameras": [self._terms[name].camera for name in self._cameras],
            "looks": [name for name, entry in table.items() if isinstance(entry, EventTerm)],
            "policy": self._how.policy,
            "config_sha256": hashlib.sha256(loading.dump(self.env.cfg).encode()).hexdigest()[:16],
        }

    def draw(self, count: int, key: Sequence[int], taken: int) -> Pictures:
        """See `Frames`: from the newest rounds, as many as hold `encoder.kept` images."""
        newest = int(taken / (self._how.reuse * self.per_round))
        keep = max(1, round(self._how.kept / self.per_round))
        numbers = range(max(0, newest - keep + 1), newest + 1)
        self._rounds = {number: self._rounds[number] if number in self._rounds else self._roll(number) for number in numbers}
        generator = np.random.default_rng(list(key))
        chosen = generator.integers(len(numbers) * self.per_round, size=count)
        which, place = np.divmod(chosen, self.per_round)
        return np.stack([self._rounds[numbers[int(a)]][b] for a, b in zip(which, place, strict=True)])

    def held_out(self, count: int) -> Pictures:
        """See `Frames`."""
        found = self._roll(HELD_OUT)
        return found[np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)]

    @torch.no_grad()
    def _roll(self, number: int) -> Pictures:
        """The images of a round, (R, h, w, 3), cameras and steps in turn."""
        env, how = self.env, self._how
        seed = int(np.random.default_rng((self._seed, self._rank, number)).integers(2**31))
        generator = torch.Generator().manual_seed(seed)
        env.reseed(seed)
        observation, privileged = env.reset()
        half = 0 if self._actor is None else how.worlds // 2
        if self._actor is not None:
            self._actor.reset(torch.arange(half))
        every = self._terms[self._cameras[0]].every(env.cfg.control_dt)
        action = torch.randn(how.worlds, env.spec.action_dim, generator=generator)
        taken: list[Pictures] = []
        for step in range(STEPS * every):
            if step % every == 0:
                taken += [self._sized(env.images[name]) for name in self._cameras]
            fresh = torch.randn(action.shape, generator=generator)
            action = SMOOTH * action + (1 - SMOOTH**2) ** 0.5 * fresh
            given = action.to(env.device)
            if self._actor is not None:
                given[:half] = self._actor.act(observation[:half], privileged[:half], torch.ones(half, dtype=torch.bool))
            moved = env.step(given)
            observation, privileged = moved.policy, moved.privileged
            ended = (moved.terminated | moved.truncated)[:half].nonzero()[:, 0]
            if self._actor is not None and len(ended):
                self._actor.reset(ended)
        return np.concatenate(taken)

    def _sized(self, images: torch.Tensor) -> Pictures:
        pictures = images.cpu().numpy()
        if pictures.shape[1:3] == self._size:
            return pictures
        return np.stack([cut(picture, self._size, 1.0, None) for picture in pictures])


def _worlds(preset: str, how: EncoderCfg) -> VecEnv:
    """The worlds of a preset, with its own cameras, or with all of its robot's and the usual looks."""
    cfg: TrainCfg = schema.load(preset, [])
    given = {name: term for name, term in cameras_of(cfg.env.observations).items() if term.modality == "rgb"}
    env = cfg.env
    if not given:
        robot = get_robot(cfg.robot)
        if not robot.cameras:
            raise UserError(
                f"--render {preset}: it names no camera, and neither does {robot.name}; add one to its robot.yaml (docs/cameras.md)"
            )
        given = {f"{name}_view": CameraTerm(camera=name, height=how.height, width=how.width) for name in robot.cameras}
        table = env.randomization
        entries = {**table.entries, **LOOKS}
        env = dataclasses.replace(env, randomization=RandomizationCfg(entries, disturbance_ramp=table.disturbance_ramp, noise=table.noise))
    every = max(1, round(how.apart_s / env.control_dt))
    cameras = {name: term.changed(rate=1 / (every * env.control_dt)) for name, term in given.items()}
    kept = {name: term for name, term in env.observations.items() if not isinstance(term, CameraTerm)}
    return make_env(cfg.task, cfg.robot, dataclasses.replace(env, observations={**kept, **cameras}), num_worlds=how.worlds)
