"""A cabinet with one drawer and a bar for a handle, to be opened by hooking or by grasping it."""

from __future__ import annotations

import mujoco

CABINET, DRAWER, HANDLE = "cabinet", "drawer", "handle"
"""Names of the bodies, of the drawer's slide joint, and of the bar's geom."""
PLACE = (0.64, 0.0, 0.0)
"""Where the middle of the cabinet's front stands [m]."""
HEIGHT, WIDTH, DEPTH = 0.2, 0.3, 0.25  # m, of the cabinet
GAP, BAR, BAR_LENGTH, BAR_HEIGHT = 0.06, 0.008, 0.14, 0.17  # m: bar before the front, its radius, length, height above the floor
TRAVEL = 0.2  # m
WALL = 0.01  # m


def add_cabinet(spec: mujoco.MjSpec, mass: float = 0.8, damping: float = 5.0, friction: float = 1.0) -> None:
    """Add the cabinet to a scene, its drawer closed. The robot's bodies and joints stay before it.

    Args:
        spec: the scene.
        mass: of the drawer [kg].
        damping: of its slide [N s / m].
        friction: dry friction of its slide [N].
    """
    wood, pale, steel = [0.55, 0.40, 0.26, 1], [0.75, 0.62, 0.45, 1], [0.7, 0.72, 0.75, 1]
    box, capsule = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CAPSULE
    cabinet = spec.worldbody.add_body(name=CABINET, pos=list(PLACE))
    cabinet.add_geom(name=CABINET, type=box, size=[DEPTH / 2, WIDTH / 2, HEIGHT / 2], pos=[DEPTH / 2 + 2 * WALL, 0, HEIGHT / 2],
                     contype=1, conaffinity=0, rgba=wood)  # fmt: skip
    drawer = cabinet.add_body(name=DRAWER)
    drawer.mass, drawer.ipos, drawer.inertia = mass, [0.0, 0.0, HEIGHT / 2], [mass * 0.01] * 3
    drawer.explicitinertial = True
    drawer.add_joint(name=DRAWER, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[-1, 0, 0], range=[0, TRAVEL], limited=True,
                     damping=[damping, 0, 0], frictionloss=friction)  # fmt: skip
    drawer.add_geom(name="drawer_front", type=box, size=[WALL, 0.45 * WIDTH, 0.4 * HEIGHT], pos=[WALL, 0, 0.55 * HEIGHT], mass=0.0,
                    contype=1, conaffinity=0, rgba=pale)  # fmt: skip
    ends = [[-GAP, side * BAR_LENGTH / 2, BAR_HEIGHT] for side in (-1, 1)]
    drawer.add_geom(name=HANDLE, type=capsule, size=[BAR, 0, 0], fromto=[*ends[0], *ends[1]], mass=0.0, contype=1, conaffinity=0,
                    condim=3, friction=[1.0, 0.005, 0.0001], rgba=steel)  # fmt: skip
    for end in ends:
        drawer.add_geom(type=capsule, size=[BAR, 0, 0], fromto=[*end, 0, end[1], end[2]], mass=0.0, contype=0, conaffinity=0, rgba=steel)
    for key in spec.keys:
        key.qpos = [*key.qpos, 0.0]
