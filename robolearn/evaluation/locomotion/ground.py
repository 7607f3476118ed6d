"""The course: flat, up, flat, down, flat. Its length scales with the robot; the grade is the same for all."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import mujoco
import numpy as np
import torch

from envs.env_cfg import EnvCfg
from envs.terms.face import Env
from envs.terms.term import SceneTerm, TerminationTerm

GRADE = 0.1
SEGMENTS = (("flat", 1.5, 0.0), ("uphill", 2.5, GRADE), ("top", 1.5, 0.0), ("downhill", 2.5, -GRADE), ("flat again", 1.5, 0.0))
"""Name, length in the plane [m] for a robot of Go1's or G1's size, and grade."""
HALF_WIDTH, THICKNESS = 4.0, 0.2  # m
FLOOR = 1e-9  # m, below which a height counts as the floor
MARGIN = 0.25  # m around an edge that belong to neither side


def add_course(spec: mujoco.MjSpec, size: float = 1.0) -> None:
    """Add the course to a scene: boxes whose upper sides are its parts above the floor."""
    course = Course(size)
    thickness = size * THICKNESS
    points = zip(course.edges_x, course.edges_z, strict=True)
    for (name, _, _), ((x0, z0), (x1, z1)) in zip(SEGMENTS, pairwise(points), strict=True):
        if abs(z0) < FLOOR and abs(z1) < FLOOR:
            continue
        angle = math.atan2(z1 - z0, x1 - x0)
        center = [(x0 + x1) / 2 + thickness / 2 * math.sin(angle), 0.0, (z0 + z1) / 2 - thickness / 2 * math.cos(angle)]
        spec.worldbody.add_geom(
            name=f"course_{name}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[math.hypot(x1 - x0, z1 - z0) / 2, size * HALF_WIDTH, thickness / 2],
            pos=center,
            quat=[math.cos(angle / 2), 0.0, -math.sin(angle / 2), 0.0],
            contype=1,
            conaffinity=0,
            rgba=[0.72, 0.76, 0.82, 1.0],
        )


def too_low_on_the_course(env: Env, minimum: float, size: float = 1.0) -> torch.Tensor:
    """The base is less than `minimum` above the course [m], (N,) bool."""
    position = env.base.position_w
    below = Course(size).height(position[:, 0].cpu().numpy())
    return position[:, 2] - torch.from_numpy(below).to(position) < minimum


def on_the_course(cfg: EnvCfg, size: float) -> EnvCfg:
    """The config of a task with the course in its scene; the height that ends an episode is measured from it."""
    lowest = cfg.terminations.get("height")
    ends = dict(cfg.terminations)
    if lowest is not None:
        ends["height"] = TerminationTerm(too_low_on_the_course, minimum=lowest.params["minimum"], size=size)
    return dataclasses.replace(
        cfg,
        scene={**cfg.scene, "course": SceneTerm(add_course, size=size)},
        terminations=ends,
    )


class Course:
    """The places of the segments.

    Attributes:
        size: scale of its length relative to Go1 or G1.
        edges_x, edges_z: place and height of the edges between segments [m], (S + 1,).
    """

    def __init__(self, size: float = 1.0) -> None:
        self.size = size
        self.edges_x = size * np.cumsum([0.0, *(length for _, length, _ in SEGMENTS)])
        self.edges_z = size * np.cumsum([0.0, *(length * grade for _, length, grade in SEGMENTS)])

    @property
    def length(self) -> float:
        """Length from start to end [m]."""
        return float(self.edges_x[-1])

    def height(self, x: np.ndarray) -> np.ndarray:
        """Height of the course at x [m]."""
        return np.interp(x, self.edges_x, self.edges_z)

    def segment_of(self, x: np.ndarray) -> np.ndarray:
        """Index of the segment at x [m], -1 before the start, near an edge and beyond the end."""
        edges, margin = self.edges_x, self.size * MARGIN
        index = np.clip(np.searchsorted(edges, x) - 1, 0, len(SEGMENTS) - 1)
        inside = (x - edges[index] > margin) & (edges[index + 1] - x > margin)
        return np.where(inside, index, -1)
