"""Which renderer draws, where nobody says: one rule, measured by `python -m benchmarks.cameras --rule`.

Without a GPU, the ray tracer's time grows with the number of pixels; OpenGL's hardly changes below 200 x 200 pixels, since most of it is
the setup of a scene. Shadows cost the ray tracer one more ray per pixel, and OpenGL a second rendering of the scene. Measured with
Panda's 26 geoms in processor time per image, ray tracer against OpenGL: with shadows 6.7 times as fast at 64 x 64 pixels, 1.6 times at
160 x 160, 0.87 times at 224 x 224; without shadows 2.9 times at 64 x 64, 1.6 times at 96 x 96, 0.78 times at 128 x 128. The number of
worlds changes the ratios (3.5 and 1.7 for a single world at 64 x 64) but hardly the sizes at which they cross 1, so the rule leaves it
aside.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import torch

from envs.sensing.face import Renderer, View
from envs.sensing.stage import Stage

MOST_PIXELS = {True: 200 * 200, False: 112 * 112}
"""Largest image with and without shadows that the ray tracer draws faster than OpenGL without a GPU [pixels]."""


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
