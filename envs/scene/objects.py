"""Things to grasp and to push: one free body whose shape, size, mass, friction and colour each world draws for itself.

The body has a geom for each part that any shape may have. A world uses those of its shape and keeps the others, half a millimetre small,
inside one of these, so that many shapes cost six degrees of freedom and no more contacts than one:

    shape       box_0  box_1  box_2  ball  cylinder
    box           x      .      .      .      .
    tee           x      x      .      .      .
    dumbbell      x      x      x      .      .
    ball          .      .      .      x      .
    cylinder      .      .      .      .      x

Shapes come from a formula, so nothing has to be fetched; every fifth of them is held out of training (`catalogue`). Of balls none is:
they differ in size alone, which is drawn anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

OBJECT = "object"
"""Name of the body and of its free joint."""
PARTS = ("object_box_0", "object_box_1", "object_box_2", "object_ball", "object_cylinder")
"""Its geoms."""
BOXES = 3
BALL, CYLINDER = 3, 4
HIDDEN = 0.0005  # m: half side of a part that a shape does not have
KINDS = ("box", "ball", "cylinder", "tee", "cross", "dumbbell", "steps")
CUBE, CUBE_MASS = 0.02, 0.1  # half side [m] and mass [kg] of the nominal object
ROLLING = (1.0, 0.005, 0.0005)
"""Sliding, torsional and rolling friction of the nominal object."""
HELD_OUT_EVERY = 5
EACH = 10
"""Shapes of each kind."""


@dataclass(frozen=True)
class Shape:
    """A shape at its nominal size, its centre of mass at the origin and its principal axes along x, y, z.

    Attributes:
        kind: one of `KINDS`.
        sizes: MuJoCo's size of each part [m], (5, 3); `HIDDEN` for those that it lacks.
        places: position of each part [m], (5, 3).
        half: half extents of the whole, the last down to its lowest point [m], (3,).
        inertia: inertia for a mass of one [m2], (3,).
    """

    kind: str
    sizes: np.ndarray
    places: np.ndarray
    half: np.ndarray
    inertia: np.ndarray


def catalogue(kinds: tuple[str, ...] = KINDS, held_out: bool = False) -> list[Shape]:
    """The shapes of some kinds: those for training, or those that are held out. The same at every call.

    Raises:
        ValueError: there is no such kind; lists those that there are.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"there is no shape {unknown[0]!r}; valid: {', '.join(KINDS)}")
    last = HELD_OUT_EVERY - 1
    found = [
        _shape(kind, index)
        for kind in kinds
        for index in range(EACH)
        if (kind != "ball" and index % HELD_OUT_EVERY == last if held_out else kind == "ball" or index % HELD_OUT_EVERY != last)
    ]
    if not found:
        raise ValueError("no shape is left: name a kind, and for held-out shapes another than ball; valid: " + ", ".join(KINDS))
    return found


def _shape(kind: str, index: int) -> Shape:
    """The shape number `index` of a kind, with proportions drawn from its own seed."""
    rng = np.random.default_rng([KINDS.index(kind), index])
    a, b, c = rng.uniform(0.6, 1.0, 3) * CUBE  # half sides [m]
    if kind == "ball":
        return _of(kind, ball=rng.uniform(0.85, 1.2) * CUBE)
    if kind == "cylinder":
        return _of(kind, cylinder=(rng.uniform(0.7, 1.0) * CUBE, rng.uniform(0.8, 1.6) * CUBE))
    if kind == "box":
        return _of(kind, boxes=[((0.0, 0.0, 0.0), (1.1 * a, 1.1 * b, 1.1 * c))])
    if kind == "tee":  # an upright plate on a lying one
        return _of(kind, boxes=[((0.0, 0.0, 0.0), (0.45 * a, b, 0.8 * c)), ((0.0, 0.0, -0.8 * c - 0.4 * CUBE), (1.3 * a, b, 0.4 * CUBE))])
    if kind == "cross":
        return _of(kind, boxes=[((0.0, 0.0, 0.0), (1.3 * a, 0.5 * b, c)), ((0.0, 0.0, 0.0), (0.5 * a, 1.3 * b, c))])
    if kind == "dumbbell":
        bar, end = (0.9 * CUBE, 0.5 * b, 0.7 * c), (0.5 * a, b, c)
        return _of(kind, boxes=[((0.0, 0.0, 0.0), bar), *(((side * (bar[0] + end[0]), 0.0, 0.0), end) for side in (-1, 1))])
    low, high = (1.3 * a, 1.1 * b, 0.5 * c), (0.7 * a, 0.7 * b, 0.6 * c)  # steps: a smaller box on a larger one
    return _of(kind, boxes=[((0.0, 0.0, 0.0), low), ((0.0, 0.0, low[2] + high[2]), high)])


def _of(kind: str, boxes: list[tuple[tuple[float, ...], tuple[float, ...]]] | None = None, ball: float = 0.0,
        cylinder: tuple[float, float] | None = None) -> Shape:  # fmt: skip
    """A shape of boxes (centre, half sides), or of a ball's radius, or of a cylinder's radius and half height [m]."""
    sizes, places = np.full((len(PARTS), 3), HIDDEN), np.zeros((len(PARTS), 3))
    if ball:
        sizes[BALL] = ball, 0.0, 0.0
        return Shape(kind, sizes, places, np.full(3, ball), np.full(3, 0.4 * ball**2))
    if cylinder is not None:
        radius, height = cylinder
        sizes[CYLINDER] = radius, height, 0.0
        across = radius**2 / 4 + height**2 / 3
        return Shape(kind, sizes, places, np.array([radius, radius, height]), np.array([across, across, radius**2 / 2]))
    centres, halves = (np.array([box[i] for box in boxes or []]) for i in (0, 1))
    volume = 8 * halves.prod(1)
    centres = centres - (volume @ centres) / volume.sum()
    sizes[: len(halves)], places[: len(halves)] = halves, centres
    places[len(halves) :] = centres[0]
    squares = halves**2 / 3 + centres**2
    inertia = (volume @ (squares.sum(1, keepdims=True) - squares)) / volume.sum()
    low, high = (centres - halves).min(0), (centres + halves).max(0)
    return Shape(kind, sizes, places, np.array([*np.maximum(-low, high)[:2], -low[2]]), inertia)


def add_object(spec: mujoco.MjSpec, x: float = 0.45, y: float = 0.0) -> None:
    """Add the object to a scene, as a cube on the floor. The robot's bodies and joints stay before it.

    Args:
        spec: the scene.
        x: where it lies in front of the base [m].
        y: where it lies to the left of the base [m].
    """
    place = [x, y, CUBE]
    body = spec.worldbody.add_body(name=OBJECT, pos=place)
    cube = _of("box", boxes=[((0.0, 0.0, 0.0), (CUBE,) * 3)])
    body.mass, body.ipos, body.inertia = CUBE_MASS, [0, 0, 0], CUBE_MASS * cube.inertia
    body.explicitinertial = True  # a model may forbid computing inertia from shapes
    body.add_freejoint(name=OBJECT)
    spec.add_material(name=OBJECT, rgba=[1, 1, 1, 1])
    kinds = mujoco.mjtGeom
    for index, name in enumerate(PARTS):
        kind = kinds.mjGEOM_BOX if index < BOXES else kinds.mjGEOM_SPHERE if index == BALL else kinds.mjGEOM_CYLINDER
        geom = body.add_geom(name=name, type=kind, size=cube.sizes[index], pos=cube.places[index], mass=0.0, material=OBJECT)
        geom.contype, geom.conaffinity, geom.priority, geom.friction = 1, 1, 1, list(ROLLING)
        geom.condim, geom.rgba, geom.group = 3 if index < BOXES else 6, [0.85, 0.35, 0.2, 1], 0
    for key in spec.keys:
        key.qpos = [*key.qpos, *place, 1, 0, 0, 0]
