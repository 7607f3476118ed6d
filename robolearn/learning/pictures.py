"""What a student saw in a rollout: latents, or the images themselves if their encoder learns.

An image is kept once, however many control steps it is looked at: at 10 Hz and 50 Hz control a fifth of T N h w c bytes.

    images of world 0:   a . . . . b . . . . c      row of the store at each step: 0 0 0 0 0 7 7 7 7 7 9
"""

from __future__ import annotations

import os

import torch

from envs.vec_env import VecEnv
from policies.networks.vision import Seeing
from robolearn.errors import UserError
from robolearn.evaluation.sight import BATCH, Sight

MOST_MEMORY = 0.5
"""Share of the computer's memory that the images of a rollout may take."""


class Pictures:
    """The images or latents of one rollout of T steps in N worlds.

    Attributes:
        sight: looks at the worlds.
    """

    def __init__(self, net: Seeing, env: VecEnv, steps: int) -> None:
        """Make room.

        Raises:
            UserError: the images of a rollout would not fit into memory.
        """
        self.sight, self._net, self._env = Sight(net, env), net, env
        device = next(net.parameters()).device
        self._latents = torch.zeros(steps if net.frozen else 0, env.num_worlds, net.latent_dim, device=device)
        self._rows = {} if net.frozen else {name: torch.zeros(steps, env.num_worlds, dtype=torch.long, device=device) for name in net.views}
        self._at: dict[str, torch.Tensor] = {}  # the present image's row of each world, (N,)
        self._stored: dict[str, list[torch.Tensor]] = {}
        self._store: dict[str, torch.Tensor] = {}
        if not net.frozen:
            _check_memory(net, env, steps)

    @property
    def latents(self) -> torch.Tensor:
        """Of the present images, (N, L)."""
        return self.sight.latents

    def begin(self) -> None:
        """Begin a rollout: what learned encoders see has changed since the last."""
        if self._net.frozen:
            return
        self.sight.forget()
        self.sight.look()
        self._store = {}
        self._stored = {name: [self._env.images[name]] for name in self._net.views}
        self._at = {name: torch.arange(self._env.num_worlds, device=rows.device) for name, rows in self._rows.items()}

    def note(self, t: int) -> None:
        """Keep what is seen at step t."""
        if self._net.frozen:
            self._latents[t] = self.sight.latents
        for name, rows in self._rows.items():
            rows[t] = self._at[name]

    def look(self) -> torch.Tensor:
        """Look after a step of the worlds. Returns the latents (N, L)."""
        latents = self.sight.look()
        for name, stored in self._stored.items():
            ids = self.sight.fresh[name]
            if len(ids):
                count = sum(len(images) for images in stored)
                stored.append(self._env.images[name][ids])
                self._at[name] = self._at[name].index_copy(0, ids, torch.arange(count, count + len(ids), device=ids.device))
        return latents

    def chunk(self, ids: torch.Tensor) -> torch.Tensor:
        """Latents of worlds `ids` (n,) over the rollout, (n, T, L); with gradients of the encoders that learn."""
        if self._net.frozen:
            return self._latents[:, ids].transpose(0, 1)
        parts: list[torch.Tensor] = []
        for name, rows in self._rows.items():
            if name not in self._store:
                self._store[name] = torch.cat(self._stored[name])
            seen, back = rows[:, ids].T.unique(return_inverse=True)
            images = self._store[name][seen]
            latents = torch.cat([self._net.encode(name, part) for part in images.split(BATCH)])
            parts.append(latents[back])
        return torch.cat(parts, dim=-1)


def _check_memory(net: Seeing, env: VecEnv, steps: int) -> None:
    """Raises `UserError` if the images of a rollout do not fit; they are kept twice for a moment."""
    needed = 0
    for name in net.views:
        group = env.spec.group(name)
        size = {"uint8": 1, "float32": 4}[group.dtype] * group.shape[0] * group.shape[1] * group.shape[2]
        needed += 2 * size * env.num_worlds * (2 + steps // group.every)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if env.device.type == "cuda":
        there = torch.cuda.get_device_properties(env.device).total_memory
    if needed > MOST_MEMORY * there:
        raise UserError(
            f"the images of a rollout would take {needed / 2**30:.1f} GiB of {there / 2**30:.1f} GiB: use fewer worlds "
            "(--env.num_worlds), shorter rollouts (--student.ppo.rollout_steps), smaller or rarer images, or a frozen encoder "
            "(--student.vision.frozen=true), which keeps latents instead"
        )
