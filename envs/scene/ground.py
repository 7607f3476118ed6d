"""What robots stand on, where it is no plane: a map of terrain, or something of one's own."""

from __future__ import annotations

from typing import Protocol

import mujoco
import torch


class Ground(Protocol):
    """Anything that lies in the scene and knows how high it is. What heights of bases and feet are counted from."""

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """Add it to a scene, whose geom `floor` is the plane z = 0."""
        ...

    def height(self, xy: torch.Tensor) -> torch.Tensor:
        """At points (..., 2) [m], (...)."""
        ...
