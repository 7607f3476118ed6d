"""Finds legs, feet and arms of a mechanism by what they can reach; names are only a last hint.

Legs are chains of at least three joints in left-right pairs that reach lowest, which excludes the arms of a humanoid and an arm on a
quadruped's back. Fingers and wheels are found first: they are locked and become part of the link that carries them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import mujoco
import numpy as np

from envs.robots.describe.links import Link, extent, links, root_body, turn
from envs.robots.describe.shapes import Cloud, cloud
from envs.robots.describe.symmetry import Mirror

LEG_JOINTS = 3
LEG_DEPTH = 0.7  # share of the deepest reach that makes a leg
FINGER_LENGTH = 0.2  # of the robot's size
SAMPLES = 300
FINGER_WORDS = re.compile(r"finger|thumb|grip|jaw|knuckle|claw|pinch", re.IGNORECASE)
ARM_WORDS = re.compile(r"arm|shoulder|elbow|wrist|hand", re.IGNORECASE)


@dataclass(eq=False)
class Chain:
    """Links one after another, from the base to a tip.

    Attributes:
        links: all links, without the base.
        own: links not shared with another chain.
        cloud: shape of the last link, in its frame, from its colliding geoms, or the visible ones if none collides.
        collides: whether the last link has colliding geoms.
        depth: how far below the base's origin the tip can get [m].
        reach: how far from the first own joint's axis the tip can get [m].
    """

    links: list[Link]
    own: list[Link]
    cloud: Cloud
    collides: bool
    depth: float = 0.0
    reach: float = 0.0

    @property
    def tip(self) -> Link:
        return self.links[-1]


@dataclass(eq=False)
class Limbs:
    """The limbs of a robot.

    Attributes:
        base: the mechanism without its locked joints.
        chains: all chains.
        legs: the chains that it stands on, from front to back, left before right.
        arms: chains of at least three own joints that are not legs, the longest first.
        locked: joint -> why it is not one of the policy's.
        remarks: notes.
    """

    base: Link
    chains: list[Chain] = field(default_factory=list)
    legs: list[Chain] = field(default_factory=list)
    arms: list[Chain] = field(default_factory=list)
    locked: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def joints(self) -> list[Link]:
        """The links with one of the policy's joints, in the order of the file."""
        return sorted(self.base.walk()[1:], key=lambda link: link.joint)


def limited(model: mujoco.MjModel, joint: int, free: float = np.pi) -> tuple[float, float]:
    """The range of a joint, `free` to both sides if the file sets none."""
    if model.jnt_limited[joint]:
        low, high = model.jnt_range[joint]
        return float(low), float(high)
    return -free, free


def neutral(model: mujoco.MjModel, qpos: np.ndarray | None = None) -> np.ndarray:
    """The angles nearest to zero that the ranges allow, or to `qpos`; (nq,)."""
    qpos = np.array(model.qpos0 if qpos is None else qpos)
    for joint in range(model.njnt):
        if model.jnt_limited[joint] and model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE:
            low, high = model.jnt_range[joint]
            address = model.jnt_qposadr[joint]
            qpos[address] = np.clip(qpos[address], low, high)
    return qpos


def world_frame(model: mujoco.MjModel, data: mujoco.MjData, link: Link) -> np.ndarray:
    """The frame of a link in the world, (4, 4); after `mj_kinematics`."""
    body, home = next(iter(link.bodies.items()))
    where = np.eye(4)
    where[:3, :3], where[:3, 3] = data.xmat[body].reshape(3, 3), data.xpos[body]
    return where @ np.linalg.inv(home)


def find_limbs(model: mujoco.MjModel, mirror: Mirror, followers: dict[str, str] | None = None) -> Limbs:
    """Find the limbs of the model's robot.

    Args:
        model: the robot alone.
        mirror: its left-right symmetry.
        followers: joint -> why the policy does not move it (it mimics another, it has no motor).
    """
    data = mujoco.MjData(model)
    data.qpos[:] = neutral(model)
    mujoco.mj_kinematics(model, data)
    limbs = Limbs(links(model))
    size = extent(model, data)
    _lock(limbs, model, dict(followers or {}))
    _lock_fingers(limbs, model, size)
    _lock_wheels(limbs, model, mirror)
    limbs.chains = _chains(limbs.base, model)
    _measure(limbs, model)
    _choose_legs(limbs, model, mirror)
    others = [chain for chain in limbs.chains if chain not in limbs.legs]
    limbs.arms = sorted((chain for chain in others if len(chain.own) >= LEG_JOINTS), key=lambda chain: (-len(chain.own), -chain.reach))
    return limbs


def _lock(limbs: Limbs, model: mujoco.MjModel, locked: dict[str, str]) -> None:
    """Lock joints of the mechanism at their angle nearest to zero: what they carry becomes part of the link before them."""

    def visit(link: Link) -> None:
        for child in link.children:
            visit(child)
        kept: list[Link] = []
        for child in link.children:
            if child.name not in locked:
                kept.append(child)
                continue
            limbs.locked[child.name] = locked[child.name]
            low, high = limited(model, child.joint)
            angle = float(np.clip(0.0, low, high)) - float(model.qpos0[model.jnt_qposadr[child.joint]])
            home = child.home.copy()
            if not child.slides:
                rotation = np.eye(4)
                rotation[:3, :3] = turn(child.axis, angle)
                rotation[:3, 3] = child.anchor - rotation[:3, :3] @ child.anchor
                home = home @ rotation
            link.bodies |= {body: home @ where for body, where in child.bodies.items()}
            if link.mass + child.mass > 0:
                com = home[:3, :3] @ child.com + home[:3, 3]
                link.com = (link.mass * link.com + child.mass * com) / (link.mass + child.mass)
            link.mass += child.mass
            for grandchild in child.children:
                grandchild.home = home @ grandchild.home
                kept.append(grandchild)
        link.children = kept

    visit(limbs.base)


def _length(link: Link) -> float:
    """Distance from a joint to the farthest centre of mass or joint that it carries [m]."""
    ends = [float(np.linalg.norm(link.com - link.anchor))] if link.mass > 0 else [0.0]
    for child in link.children:
        anchor = child.home[:3, :3] @ child.anchor + child.home[:3, 3]
        ends.append(float(np.linalg.norm(anchor - link.anchor)) + _length(child))
    return max(ends)


def _lock_fingers(limbs: Limbs, model: mujoco.MjModel, size: float) -> None:
    fingers: dict[str, str] = {}

    def visit(link: Link, depth: int) -> None:
        short = [child for child in link.children if _length(child) < FINGER_LENGTH * size]
        alone = len(link.children) == 1 and len(short) == 1 and not short[0].children
        named = alone and (FINGER_WORDS.search(short[0].name) or short[0].slides)
        if depth >= LEG_JOINTS and ((len(short) >= 2 and len(short) == len(link.children)) or named):
            fingers.update({one.name: "a finger of the gripper or hand" for child in short for one in child.walk()})
            return
        for child in link.children:
            visit(child, depth + 1)

    visit(limbs.base, 0)
    _lock(limbs, model, fingers)


def _lock_wheels(limbs: Limbs, model: mujoco.MjModel, mirror: Mirror) -> None:
    """Wheels come in left-right pairs; the last joint of a wrist is not a wheel, even with a round flange."""
    wheels: dict[str, str] = {}
    for link in limbs.base.walk()[1:]:
        turns = not model.jnt_limited[link.joint] or np.ptp(model.jnt_range[link.joint]) > 4 * np.pi
        paired = mirror.joints.get(link.name, (link.name, 1.0))[0] != link.name
        if link.children or link.slides or not turns or not paired:
            continue
        shape = cloud(model, link.bodies)
        shape = shape if len(shape) else cloud(model, link.bodies, colliding=False)
        if _round(shape, link):
            wheels[link.name] = "a wheel"
    if wheels:
        _lock(limbs, model, wheels)
        limbs.remarks.append(
            f"{', '.join(wheels)}: wheels, which are locked here (it walks on them as on round feet); robolearn has no task for driving"
        )


def _round(shape: Cloud, link: Link) -> bool:
    """Whether a shape is round about the axis of its joint, but not a ball or a rod along it."""
    if len(shape) < 12:
        return False
    off = shape.points - link.anchor
    along = off @ link.axis
    across = off - along[:, None] * link.axis
    radius = np.linalg.norm(across, axis=1)
    one = np.cross(link.axis, np.eye(3)[np.argmin(np.abs(link.axis))])
    angle = np.arctan2(across @ np.cross(link.axis, one), across @ (one / np.linalg.norm(one)))
    sectors = [radius[(angle >= start) & (angle < start + np.pi / 4)] for start in np.linspace(-np.pi, np.pi, 8, endpoint=False)]
    if any(len(sector) == 0 for sector in sectors):
        return False
    rims = np.array([sector.max() for sector in sectors])
    return bool(rims.min() > 0.9 * rims.max() and rims.max() > 0.7 * np.ptp(along))


def _chains(base: Link, model: mujoco.MjModel) -> list[Chain]:
    paths: list[list[Link]] = []

    def visit(link: Link, path: list[Link]) -> None:
        if not link.children and path:
            paths.append(path)
        for child in link.children:
            visit(child, [*path, child])

    visit(base, [])
    chains = []
    for path in paths:
        shared = {id(link) for other in paths if other is not path for link in other}
        colliding = cloud(model, path[-1].bodies)
        shape = colliding if len(colliding) else cloud(model, path[-1].bodies, colliding=False)
        if not len(shape):  # only its centre of mass is known: its end is assumed twice as far away
            shape = Cloud(points=(2 * path[-1].com - path[-1].anchor)[None], radii=np.zeros(1), geoms=np.full(1, -1))
        chains.append(Chain(path, [link for link in path if id(link) not in shared], shape, bool(len(colliding))))
    return chains


def _measure(limbs: Limbs, model: mujoco.MjModel) -> None:
    """Depth and distance that each chain's tip can reach, over configurations drawn from the ranges."""
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    root = root_body(model)
    addresses = [model.jnt_qposadr[link.joint] for link in limbs.joints]
    ranges = np.array([limited(model, link.joint, np.pi / 2) for link in limbs.joints]).reshape(-1, 2)
    ranges = np.clip(ranges, -np.pi, np.pi)
    depths, reaches = np.zeros(len(limbs.chains)), np.zeros(len(limbs.chains))
    for index in range(SAMPLES):
        data.qpos[:] = neutral(model)
        if index:
            data.qpos[addresses] = random.uniform(ranges[:, 0], ranges[:, 1])
        mujoco.mj_kinematics(model, data)
        to_base = np.eye(4)
        to_base[:3, :3], to_base[:3, 3] = data.xmat[root].reshape(3, 3), data.xpos[root]
        to_base = np.linalg.inv(to_base)
        for i, chain in enumerate(limbs.chains):
            where = to_base @ world_frame(model, data, chain.tip)
            points = chain.cloud.points @ where[:3, :3].T + where[:3, 3]
            start = (to_base @ np.append(data.xanchor[chain.own[0].joint], 1.0))[:3]
            depths[i] = max(depths[i], -float(points[:, 2].min()))
            reaches[i] = max(reaches[i], float(np.linalg.norm(points - start, axis=1).max()))
    for chain, depth, reach in zip(limbs.chains, depths, reaches, strict=True):
        chain.depth, chain.reach = float(depth), float(reach)


def _choose_legs(limbs: Limbs, model: mujoco.MjModel, mirror: Mirror) -> None:
    def paired(chain: Chain) -> bool:
        first = chain.own[0].name if chain.own else chain.tip.name
        return mirror.joints.get(first, (first, 1.0))[0] != first

    def armlike(chain: Chain) -> bool:
        return 2 * sum(bool(ARM_WORDS.search(link.name)) for link in chain.own) > len(chain.own)

    able = [chain for chain in limbs.chains if paired(chain) and len(chain.own) >= LEG_JOINTS and not armlike(chain)]
    if not able and len([chain for chain in limbs.chains if paired(chain)]) >= 4:  # legs that only swing and bend
        able = [chain for chain in limbs.chains if paired(chain) and len(chain.own) == 2 and not armlike(chain)]
    below = cloud(model, limbs.base.bodies)
    floor = -float((below.points[:, 2] - below.radii).min()) if len(below) else 0.0
    deepest = max((chain.depth for chain in able), default=0.0)
    legs = [chain for chain in able if chain.depth >= LEG_DEPTH * deepest and chain.depth > max(floor, 0.0)]
    data = mujoco.MjData(model)
    data.qpos[:] = neutral(model)
    mujoco.mj_kinematics(model, data)
    root = root_body(model)

    def hip(chain: Chain) -> np.ndarray:
        return data.xmat[root].reshape(3, 3).T @ (data.xanchor[chain.own[0].joint] - data.xpos[root])

    rows = sorted(legs, key=lambda chain: -hip(chain)[0])
    limbs.legs = [leg for start in range(0, len(rows), 2) for leg in sorted(rows[start : start + 2], key=lambda chain: -hip(chain)[1])]


def leg_names(count: int) -> tuple[str, ...]:
    """Names of feet by their places, in the order of `Limbs.legs`."""
    if count == 2:
        return ("left", "right")
    rows = {4: ("F", "R"), 6: ("F", "M", "R")}.get(count, tuple(str(i + 1) for i in range(count // 2)))
    return tuple(row + side for row in rows for side in ("L", "R"))


def gait(count: int) -> tuple[float, ...]:
    """Phase of each foot's lift-off, in turns: alternating, trotting on diagonals, or tripods."""
    return tuple(0.5 if (row + side) % 2 else 0.0 for row in range(count // 2) for side in range(2))
