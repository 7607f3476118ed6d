"""A robot as a mechanism: rigid links and the joints between them, however a file divides them into bodies.

Bodies that are welded together are one link; a body with several joints is as many links, of which only the last has mass. Angles are
measured from the configuration `qpos0` of the model, in which the frames are given.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import mujoco
import numpy as np


@dataclass(eq=False)
class Link:
    """A rigid part and the joint that carries it.

    Attributes:
        joint: id of the joint, -1 for the base.
        name: of the joint.
        slides: whether the joint is prismatic.
        home: frame of the link in its parent's at `qpos0`, (4, 4).
        anchor: a point of the joint's axis in the link's frame [m], (3,).
        axis: of the joint in the link's frame, (3,).
        bodies: body id -> its frame in the link's, (4, 4); the first is the one whose frame is the link's.
        mass: [kg].
        com: centre of mass in the link's frame [m], (3,).
        subtree_mass: of the link and all that it carries [kg].
        children: links that it carries.
    """

    joint: int = -1
    name: str = "the base"
    slides: bool = False
    home: np.ndarray = field(default_factory=lambda: np.eye(4))
    anchor: np.ndarray = field(default_factory=lambda: np.zeros(3))
    axis: np.ndarray = field(default_factory=lambda: np.zeros(3))
    bodies: dict[int, np.ndarray] = field(default_factory=dict)
    mass: float = 0.0
    com: np.ndarray = field(default_factory=lambda: np.zeros(3))
    subtree_mass: float = 0.0
    children: list[Link] = field(default_factory=list)

    def walk(self) -> list[Link]:
        """This link and all links that it carries, parents first."""
        return [self, *(link for child in self.children for link in child.walk())]


def frame(pos: np.ndarray, quat_wxyz: np.ndarray) -> np.ndarray:
    """A homogeneous matrix (4, 4)."""
    matrix, rotation = np.eye(4), np.empty(9)
    mujoco.mju_quat2Mat(rotation, np.asarray(quat_wxyz, dtype=float))
    matrix[:3, :3], matrix[:3, 3] = rotation.reshape(3, 3), pos
    return matrix


def turn(axis: np.ndarray, angle: float) -> np.ndarray:
    """The rotation about a unit axis by an angle [rad], (3, 3)."""
    quat, rotation = np.empty(4), np.empty(9)
    mujoco.mju_axisAngle2Quat(quat, np.asarray(axis, dtype=float), angle)
    mujoco.mju_quat2Mat(rotation, quat)
    return rotation.reshape(3, 3)


def root_body(model: mujoco.MjModel) -> int:
    """The robot's base: the heaviest of the bodies directly in the world."""
    roots = [body for body in range(1, model.nbody) if model.body_parentid[body] == 0]
    if not roots:
        raise ValueError("the model has no body")
    return max(roots, key=lambda body: float(model.body_subtreemass[body]))


def links(model: mujoco.MjModel) -> Link:
    """The mechanism of the model's robot, from its base; the base's own free joint is not part of it."""
    root = root_body(model)
    base = Link()
    of_body: dict[int, Link] = {}
    for body in range(root, model.nbody):
        parent = int(model.body_parentid[body])
        if body != root and parent not in of_body:
            continue
        above = base if body == root else of_body[parent]
        home = np.eye(4) if body == root else above.bodies[parent] @ frame(model.body_pos[body], model.body_quat[body])
        first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
        joints = [j for j in range(first, first + count) if model.jnt_type[j] != mujoco.mjtJoint.mjJNT_FREE]
        for joint in joints:
            link = Link(
                joint=joint,
                name=model.joint(joint).name,
                slides=model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE,
                home=home,
                anchor=model.jnt_pos[joint].copy(),
                axis=model.jnt_axis[joint].copy(),
            )
            above.children.append(link)
            above, home = link, np.eye(4)
        above.bodies[body] = home
        of_body[body] = above
        _add_mass(above, model, body, home)
    for link in reversed(base.walk()):
        link.subtree_mass = link.mass + sum(child.subtree_mass for child in link.children)
    return base


def _add_mass(link: Link, model: mujoco.MjModel, body: int, home: np.ndarray) -> None:
    mass = float(model.body_mass[body])
    if mass <= 0:
        return
    com = home[:3, :3] @ model.body_ipos[body] + home[:3, 3]
    link.com = (link.mass * link.com + mass * com) / (link.mass + mass)
    link.mass += mass


def extent(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Size of the robot: the diagonal of the bounding box of its bodies and centres of mass [m]."""
    points = np.concatenate([data.xpos[1:], data.xipos[1:]])
    return max(float(np.linalg.norm(points.max(axis=0) - points.min(axis=0))), 1e-3)
