"""Panda's arms that see: two cameras in every world, looks and lenses that differ, and one sheet of pictures to look at.

    python examples/cameras.py pictures.png

A row is a world; a column is what one camera shows: the hand in colour, the whole arm in colour, its depth and its labels.
"""

import argparse
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import torch

from envs.robots.registry import get_robot
from envs.sensing.camera import CameraTerm
from envs.tasks.registry import get_task, make_env
from envs.terms import looks, optics
from envs.terms.randomization import RandomizationCfg
from envs.terms.term import EventTerm

WORLDS, STEPS = 4, 20
CAMERAS = {
    "hand": CameraTerm(camera="wrist", height=64, width=64, rate=10),
    "room": CameraTerm(camera="outside", height=64, width=64, rate=25),
    "room_depth": CameraTerm(camera="outside", height=64, width=64, rate=25, modality="depth", far=4.0),
    "room_parts": CameraTerm(camera="outside", height=64, width=64, rate=25, modality="segmentation"),
}
SEEN = {
    "textures": EventTerm(looks.Textures, on=("ground",)),
    "colors": EventTerm(looks.colors, on=("robot",), spread=0.3),
    "sun": EventTerm(looks.Light),
    "place": EventTerm(looks.CameraPose, on=("outside",), position=0.05, angle=0.05),
    "distractors": EventTerm(looks.Distractors, count=4),
    "exposure": EventTerm(optics.Exposure),
    "grain": EventTerm(optics.Noise, spread=(0.0, 0.03)),
    "holes": EventTerm(optics.DepthHoles, share=(0.0, 0.05)),
    "late": EventTerm(optics.Late, pictures=(0, 2)),
}


def sheet(images: dict[str, torch.Tensor]) -> np.ndarray:
    """All pictures (N, h, w, c) side by side, (N h, 4 w, 3) uint8."""
    columns = []
    for name, pictures in images.items():
        scale = {"room_depth": 255 / 4.0, "room_parts": 60.0}.get(name, 1.0)
        gray_or_color = (pictures.float() * scale).clamp(0, 255).byte().numpy()
        columns.append(np.concatenate(list(np.broadcast_to(gray_or_color, (*gray_or_color.shape[:3], 3)))))
    return np.concatenate(columns, axis=1)


def main(path: Path) -> None:
    """Make the worlds, move a little, and write the sheet."""
    robot = get_robot("panda")
    cfg = get_task("reach").make(robot)
    table = RandomizationCfg({**cfg.randomization.entries, **SEEN})
    cfg = dataclasses.replace(cfg, observations={**cfg.observations, **CAMERAS}, randomization=table)
    env = make_env("reach", robot, cfg, num_worlds=WORLDS)
    env.reset()
    for _ in range(STEPS):
        env.step(0.3 * torch.randn(WORLDS, env.spec.action_dim))
    for group in env.spec.observation[1:]:
        image = group.image
        assert image is not None
        print(f"{group.name}: {image.kind} {image.width} x {image.height}, every {group.every} steps, fx {image.fx:.1f} cx {image.cx:.1f}")
    assert env.cameras is not None
    cv2.imwrite(str(path), sheet(dict(env.images))[..., ::-1])
    print(f"{path}: {WORLDS} worlds, drawn by the {env.cameras.renderers['hand']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path("pictures.png"), help="the sheet to write (default: pictures.png)")
    main(parser.parse_args().out)
