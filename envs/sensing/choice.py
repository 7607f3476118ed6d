"""Which renderer draws, where nobody says: one rule, measured by `python -m benchmarks.cameras --rule`.

Without a GPU the ray tracer's time grows with the pixels, and OpenGL's hardly below some 200 x 200, where most of it is setting up a scene.
With shadows, which a ray tracer gets for one more ray and OpenGL by drawing a map of the scene, the ray tracer wins further up. How many
worlds there are decides little: more than one are shared out among the cores, and for one alone both have the same core.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import torch

from envs.sensing.face import Renderer, View
from envs.sensing.stage import Stage

MOST_PIXELS = {True: 160 * 160, False: 96 * 96}
"""Of a picture with and without shadows that the ray tracer draws faster than OpenGL without a GPU."""


def choose(pixels: int, shadows: bool, worlds: int, device: torch.device) -> str:
    """`raytracer` or `opengl`.

    Args:
        pixels: of a picture.
        shadows: whether lights cast them.
        worlds: how many are drawn together.
        device: where the worlds are.
    """
    if importlib.util.find_spec("mujoco_warp") is None:
        return "opengl"
    if device.type == "cuda":
        return "raytracer"  # the worlds never leave the device
    del worlds
    return "raytracer" if pixels <= MOST_PIXELS[shadows] else "opengl"


def make(name: str, stage: Stage, views: Sequence[View], shadows: bool, threads: int, varying: Sequence[str]) -> Renderer:
    """Make a renderer by name, importing what only it needs.

    Raises:
        envs.sensing.face.RenderError: it is not installed, or cannot draw here.
    """
    if name == "opengl":
        from envs.sensing.opengl import OpenGL

        return OpenGL(stage, views, shadows)
    from envs.sensing.raytracer import Raytracer

    return Raytracer(stage, views, shadows, threads, varying)
