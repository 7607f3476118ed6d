"""What a student saw in a rollout: the images if their encoder learns, or else their latents.

An image is kept once, however many control steps it is looked at: at 10 Hz and 50 Hz control a fifth of T N h w c bytes.

    images of world 0:   a . . . . b . . . . c      row of the store at each step: 0 0 0 0 0 7 7 7 7 7 9
"""

from __future__ import annotations

import math
import os

import torch

from envs.vec_env import VecEnv
from policies.networks.vision import Seeing
from robolearn.errors import UserError
from robolearn.evaluation.sight import BATCH, Sight

MOST_MEMORY = 0.5
"""Share of the computer's memory that the images of a rollout may take."""


class Pictures:
    """The images of one rollout of T steps in N worlds, or their latents if the encoder is frozen.

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
        self._rows = {name: torch.zeros(steps, env.num_worlds, dtype=torch.long, device=device) for name in net.views}
        self._at: dict[str, torch.Tensor] = {}  # the present image's row of each world, (N,)
        self._parts: dict[str, list[torch.Tensor]] = {}
        self._store: dict[str, torch.Tensor] = {}
        _check_memory(net, env, steps)

    @property
    def features(self) -> torch.Tensor:
        """Of the present images, (N, F)."""
        return self.sight.features

    def begin(self) -> None:
        """Begin a rollout: what is made of images has been learned further since the last."""
        self.sight.read_again()
        everywhere = torch.arange(self._env.num_worlds, device=self.features.device)
        self._store, self._at = {}, dict.fromkeys(self._net.views, everywhere)
        self._parts = {name: [self._now(name, everywhere)] for name in self._net.views}

    def note(self, t: int) -> None:
        """Keep what is seen at step t."""
        for name, rows in self._rows.items():
            rows[t] = self._at[name]

    def look(self) -> None:
        """Look after a step of the worlds."""
        self.sight.look()
        for name, parts in self._parts.items():
            ids = self.sight.fresh[name]
            if len(ids):
                count = sum(len(part) for part in parts)
                parts.append(self._now(name, ids))
                self._at[name] = self._at[name].index_copy(0, ids, torch.arange(count, count + len(ids), device=ids.device))

    def _now(self, name: str, ids: torch.Tensor) -> torch.Tensor:
        """What is kept of the present images of worlds `ids` (n,)."""
        return (self.sight.latents if self._net.frozen else self._env.images)[name][ids]

    def chunk(self, ids: torch.Tensor) -> torch.Tensor:
        """Features of worlds `ids` (n,) over the rollout, (n, T, F), with gradients of all that learns."""
        net, found = self._net, list[torch.Tensor]()
        for name, rows in self._rows.items():
            if name not in self._store:
                self._store[name] = torch.cat(self._parts.pop(name))
            seen, back = rows[:, ids].T.unique(return_inverse=True)
            latents = kept = self._store[name][seen]
            if not net.frozen:
                latents = torch.cat([net.encode(name, part) for part in kept.split(BATCH)])
            found.append(net.read(name, latents)[back])
        return torch.cat(found, dim=-1)


def _check_memory(net: Seeing, env: VecEnv, steps: int) -> None:
    """Raises `UserError` if the images of a rollout do not fit; they are kept twice for a moment."""
    needed = 0
    for name in net.views:
        group = env.spec.group(name)
        size = 4 * net.widths[name] if net.frozen else {"uint8": 1, "float32": 4}[group.dtype] * math.prod(group.shape)
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
