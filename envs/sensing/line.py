"""The way of pictures from the camera to the policy: they come late by whole pictures, and some never come."""

from __future__ import annotations

import torch


class Line:
    """The last pictures of each world.

    Attributes:
        delay: by how many pictures each world's come late, (N,).
        lost: the share of pictures that never come, of each world, (N,).
    """

    def __init__(
        self, worlds: int, shape: tuple[int, int, int], dtype: torch.dtype, most: int, device: torch.device, generator: torch.Generator
    ) -> None:
        """A line for pictures (height, width, channels) of N worlds, with room for a delay of `most`."""
        self.delay = torch.zeros(worlds, dtype=torch.long, device=device)
        self.lost = torch.zeros(worlds, device=device)
        self._past = torch.zeros(worlds, most + 1, *shape, dtype=dtype, device=device)  # newest first
        self._given = torch.zeros(worlds, *shape, dtype=dtype, device=device)
        self._generator = generator

    def widen(self, most: int) -> None:
        """Make room for a longer delay."""
        if most + 1 > self._past.shape[1]:
            shape = (self._past.shape[0], most + 1 - self._past.shape[1], *self._past.shape[2:])
            self._past = torch.cat([self._past, self._past.new_zeros(shape)], dim=1)

    def through(self, ids: torch.Tensor, picture: torch.Tensor, fresh: torch.Tensor) -> torch.Tensor:
        """Send new pictures (n, ...) of worlds `ids` (n,). Returns what arrives: an earlier one, or the last that arrived again.

        Args:
            ids: the worlds.
            picture: what their cameras saw.
            fresh: worlds whose episode begins, (n,) bool: before the first picture there was none but it, and it is not lost.
        """
        past = torch.cat([picture[:, None], self._past[ids, :-1]], dim=1)
        past = torch.where(fresh.view(-1, 1, 1, 1, 1), picture[:, None].expand_as(past), past)
        self._past[ids] = past
        late = past[torch.arange(len(ids), device=ids.device), self.delay[ids]]
        drawn = torch.rand(len(ids), generator=self._generator, device=ids.device)
        gone = (drawn < self.lost[ids]) & ~fresh
        arrived = torch.where(gone.view(-1, 1, 1, 1), self._given[ids], late)
        self._given[ids] = arrived
        return arrived

    def restart(self) -> None:
        """Begin anew."""
        self.delay.zero_()
        self.lost.zero_()

    def state(self) -> dict[str, torch.Tensor]:
        """All of it, on the CPU."""
        return {name: getattr(self, name).cpu().clone() for name in ("delay", "lost", "_past", "_given")}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go back to what `state` gave."""
        for name, value in state.items():
            if getattr(self, name).shape == value.shape:
                getattr(self, name).copy_(value)
