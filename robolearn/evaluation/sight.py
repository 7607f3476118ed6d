"""What a student with eyes sees in the worlds: features of their cameras' present images, each image encoded once, when it comes."""

from __future__ import annotations

import dataclasses

import torch

from envs.env_cfg import EnvCfg
from envs.sensing.camera import CameraTerm, cameras_of
from envs.vec_env import VecEnv
from policies.networks.protocol import Network
from policies.networks.registry import make_network
from policies.networks.vision import Seeing, Shape, VisionCfg
from robolearn.config.schema import StudentCfg
from robolearn.errors import UserError, suggestion


def worlds_of(env: EnvCfg, student: StudentCfg) -> EnvCfg:
    """The config of a student's worlds: with the cameras that it sees, and no other.

    Raises:
        UserError: it sees a camera that the observations do not have, or none.
    """
    if student.vision is None:
        return env.blind()
    names = seen(env, student.vision)
    return dataclasses.replace(env, observations={**env.sensed(), **{name: env.observations[name] for name in names}})


def seen(env: EnvCfg, vision: VisionCfg) -> tuple[str, ...]:
    """Names of the entries that a student sees, in order. Errors as in `worlds_of`."""
    there = list(cameras_of(env.observations))
    if not there:
        raise UserError(
            "student.vision needs a camera, and env.observations has none; add one, e.g. "
            "--env.observations.view='{camera: outside, height: 64, width: 64, rate: 10}'"
        )
    for name in vision.cameras:
        if name not in there:
            near = suggestion(name, there)
            raise UserError(f"student.vision.cameras: {name!r} is no camera of env.observations{near}; valid: {', '.join(there)}")
    return tuple(name for name in there if not vision.cameras or name in vision.cameras)


def views_of(env: EnvCfg, vision: VisionCfg) -> dict[str, Shape]:
    """Shape of the images of each camera that a student sees. Errors as in `worlds_of`."""
    terms = cameras_of(env.observations)
    return {name: _shape(terms[name]) for name in seen(env, vision)}


def _shape(term: CameraTerm) -> Shape:
    return term.height, term.width, 3 if term.modality == "rgb" else 1


def make_student(state: int, action: int, env: EnvCfg, student: StudentCfg) -> Network:
    """An untrained student.

    Args:
        state: entries of the group `state`.
        action: entries of an action.
        env: its worlds' config.
        student: its own.

    Raises:
        UserError: it cannot see what it should.
    """
    if student.vision is None:
        return make_network(state, action, student.network)
    views = views_of(env, student.vision)
    try:
        return Seeing(state, action, student.network, student.vision, views)
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"student.vision: {error}") from error


class Sight:
    """The features of N worlds' present images.

    Attributes:
        latents: of the last images, by camera, (N, D); only of a frozen encoder, since others' soon mean something else.
        features: of the last images, all cameras side by side, (N, F).
        fresh: the worlds whose image was new at the last `look`, by camera.
    """

    def __init__(self, net: Seeing, env: VecEnv) -> None:
        """Look at worlds through a network's encoders; `look` begins."""
        self._net, self._env = net, env
        self._device = next(net.parameters()).device
        self._every = {name: env.spec.group(name).every for name in net.views}
        self._everywhere = torch.arange(env.num_worlds, device=env.device)
        self.fresh: dict[str, torch.Tensor] = {}
        self.features = torch.zeros(env.num_worlds, net.feature_dim, device=self._device)
        held = net.widths if net.frozen else {}
        self.latents = {name: torch.zeros(env.num_worlds, width, device=self._device) for name, width in held.items()}
        self.forget()

    def forget(self) -> None:
        """Take all images for new at the next `look`: worlds or encoders have changed."""
        self._known = False

    @torch.no_grad()
    def look(self) -> torch.Tensor:
        """Encode the images that came since the last call, which must be before each action. Returns `features`, a new tensor."""
        net, features = self._net, self.features.clone()
        for name, where in self._columns():
            steps = self._env.episode_steps
            due = (steps % self._every[name] == 0).nonzero()[:, 0] if self._known else self._everywhere
            self.fresh[name] = due
            if not len(due):
                continue
            images, rows = self._env.images[name][due].to(self._device), due.to(self._device)
            latents = torch.cat([net.encode(name, part) for part in images.split(BATCH)])
            features[rows, where] = net.read(name, latents)
            if name in self.latents:
                self.latents[name] = self.latents[name].index_copy(0, rows, latents)
        self.features, self._known = features, True
        return features

    @torch.no_grad()
    def read_again(self) -> None:
        """Renew the features: what is made of images has been learned further."""
        if not self._net.frozen or not self._known:
            self.forget()
            self.look()
            return
        self.features = torch.cat([self._net.read(name, self.latents[name]) for name in self._net.views], dim=-1)

    def restore(self, latents: dict[str, torch.Tensor]) -> None:
        """Continue with the `latents` of an earlier `look`; call `read_again` then."""
        self.latents = {name: value.to(self._device) for name, value in latents.items()}
        self._known = True

    def _columns(self) -> list[tuple[str, slice]]:
        """Where each camera's features are."""
        size = self._net.vision.width
        return [(name, slice(index * size, (index + 1) * size)) for index, name in enumerate(self._net.views)]


BATCH = 256
"""Images that are encoded at a time, so that their feature maps fit into a cache."""
