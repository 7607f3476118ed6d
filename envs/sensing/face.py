"""What a renderer is: pictures of some worlds, each in its own pose and with its own looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True, kw_only=True)
class View:
    """What is drawn through a camera.

    Attributes:
        camera: its id in the stage's model.
        width, height: of a picture [pixels].
        color, depth, geoms: what is wanted of it.
    """

    camera: int
    width: int
    height: int
    color: bool = False
    depth: bool = False
    geoms: bool = False


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What a view gave in n worlds; None for what was not wanted.

    Attributes:
        color: (n, height, width, 3), uint8.
        depth: distance along the optical axis [m], 0 where there is nothing, (n, height, width), float32.
        geoms: id of the geom that is seen, -1 for none, (n, height, width), int32.
    """

    color: torch.Tensor | None = None
    depth: torch.Tensor | None = None
    geoms: torch.Tensor | None = None


class Renderer(Protocol):
    """Draws views of a stage.

    Attributes:
        name: `raytracer` or `opengl`.
    """

    name: str

    def draw(self, ids: torch.Tensor, qpos: torch.Tensor) -> Sequence[Shot]:
        """Pictures of the worlds `ids` (n,), n > 0, in the poses `qpos` (n, nq): a shot for each of the renderer's views."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class RenderError(RuntimeError):
    """A renderer that is not installed, or cannot draw here."""
