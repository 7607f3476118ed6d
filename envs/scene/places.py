"""Who stands where on a map of terrain."""

from __future__ import annotations

import torch

from envs.scene.terrain import Terrain, TerrainCfg
from envs.seeds import uniform


class Places:
    """Which tile each world starts on: harder after a good episode, easier after a bad one (Rudin et al. 2021, arXiv 2109.11978).

    Attributes:
        level, column: (N,) long.
        start: where each world's episode began [m], (N, 2).
    """

    def __init__(self, terrain: Terrain, worlds: int, generator: torch.Generator, everywhere: bool = False) -> None:
        """Spread `worlds` over the easy levels, or over all of them."""
        device = terrain.heights.device
        self.terrain, self._generator = terrain, generator
        cfg = terrain.cfg
        self._levels = cfg.levels if everywhere else max(1, min(cfg.start_levels, cfg.levels))
        self.level = torch.zeros(worlds, dtype=torch.long, device=device)
        self.column = torch.zeros_like(self.level)
        self._flat = torch.tensor([kind == "flat" for kind in cfg.kinds], device=device)
        self.restart()
        self.start = torch.zeros(worlds, 2, device=device)

    def restart(self) -> None:
        """Begin anew, see `envs.parts.Stateful`."""
        self.level.random_(0, self._levels, generator=self._generator)
        self.column.copy_(torch.arange(len(self.column), device=self.column.device) % len(self.terrain.cfg.kinds))

    def origins(self, ids: torch.Tensor) -> torch.Tensor:
        """Where worlds `ids` start [m], (n, 2)."""
        return self.terrain.origins[self.level[ids], self.column[ids]]

    def put(self, ids: torch.Tensor, level: torch.Tensor, column: torch.Tensor) -> None:
        """Say which tile the worlds `ids` (n,) start on, (n,) long each."""
        self.level[ids], self.column[ids] = level, column

    def place(self, ids: torch.Tensor) -> torch.Tensor:
        """Draw where worlds `ids` start, and take it down [m], (n, 3)."""
        spread = self.terrain.cfg.start_spread
        xy = self.origins(ids) + uniform(-spread, spread, (len(ids), 2), self._generator)
        self.start[ids] = xy
        return torch.cat([xy, self.terrain.height(xy)[:, None]], dim=1)

    def difficulty(self) -> torch.Tensor:
        """How hard the ground is that each world started on, from 0 (flat, or the easiest level) to 1, (N,)."""
        share = self.level.float() / max(1, self.terrain.cfg.levels - 1)
        return torch.where(self._flat[self.column], 0.0, share)

    def update(self, ids: torch.Tensor, walked: torch.Tensor, succeeded: torch.Tensor, fell: torch.Tensor) -> None:
        """Move worlds after an episode: who crossed the tile goes on to harder ground, who fell or got nowhere to easier ground.

        Who was asked to stand or to turn stays where it is, and so does who walks, only slower than it was asked to.

        Args:
            ids: (n,).
            walked: straight distance from the start [m], (n,).
            succeeded: whether the episode went well, as the task sees it, (n,) bool.
            fell: whether it ended in a fall, (n,) bool.
        """
        levels, tile = self.terrain.cfg.levels, self.terrain.cfg.tile
        up = succeeded & (walked > 0.4 * tile)
        down = fell | (~succeeded & (walked < 0.2 * tile))
        level = self.level[ids] + up.long() - down.long()
        anywhere = torch.randint(0, levels, level.shape, generator=self._generator, device=level.device)
        self.level[ids] = torch.where(level >= levels, anywhere, level.clamp(min=0))

    def state(self) -> dict[str, torch.Tensor]:
        """What the future depends on."""
        state = {name: getattr(self, name).cpu().clone() for name in ("level", "column", "start")}
        return {**state, "levels": torch.tensor(self._levels)}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go back to what `state` gave; where worlds are to begin on other levels than those did, they begin anew."""
        if int(state.get("levels", TerrainCfg.start_levels)) == self._levels:
            self.level.copy_(state["level"].clamp(max=self.terrain.cfg.levels - 1))  # of a map that may have had more
        self.column.copy_(state["column"] % len(self.terrain.cfg.kinds))
        self.start.copy_(state["start"])
