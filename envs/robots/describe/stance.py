"""The kinematics for finding a stance: the legs and their measures, and a search over the angles of the left side."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco import minimize

from envs.robots.describe.limbs import Chain, Limbs, limited, neutral, world_frame
from envs.robots.describe.links import Link, root_body
from envs.robots.describe.soles import Sole, find_sole
from envs.robots.describe.symmetry import Mirror

MARGIN = 0.08  # share of a range that is avoided at its ends, at most 0.15 rad

Residual = Callable[[np.ndarray], np.ndarray]
"""Residual of a stance as a function of angles; (J,) -> (M,)."""


@dataclass(eq=False)
class Leg:
    """A leg with its measures: `straight` is the distance from hip to foot of the stretched leg [m]."""

    chain: Chain
    sole: Sole
    straight: float
    side: float
    hip: int
    """Index in `chain.own` of the last joint of the hip, from which the leg's length is measured."""


class Stance:
    """The robot's kinematics for the search, in the frame of the level base."""

    def __init__(self, model: mujoco.MjModel, limbs: Limbs, mirror: Mirror) -> None:
        self.model, self.limbs, self.mirror = model, limbs, mirror
        self.data = mujoco.MjData(model)
        self.root = root_body(model)
        self.qpos = neutral(model)
        self.place(self.qpos)
        self.legs = [self._leg(chain) for chain in limbs.legs]
        self.leg_length = float(np.mean([leg.straight + self.ankle_height(leg) for leg in self.legs])) if self.legs else 1.0

    def place(self, qpos: np.ndarray) -> None:
        """Move to a configuration; the base goes to the origin, level."""
        self.data.qpos[:] = qpos
        for joint in range(self.model.njnt):
            if self.model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
                start = self.model.jnt_qposadr[joint]
                self.data.qpos[start : start + 7] = [0, 0, 0, 1, 0, 0, 0]
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        self.rotation = self.data.xmat[self.root].reshape(3, 3).T
        self.origin = self.data.xpos[self.root].copy()

    def local(self, points: np.ndarray) -> np.ndarray:
        """Points of the world in the base's frame."""
        return (points - self.origin) @ self.rotation.T

    def anchor(self, link: Link) -> np.ndarray:
        return self.local(self.data.xanchor[link.joint])

    def axis(self, link: Link) -> np.ndarray:
        return self.rotation @ self.data.xaxis[link.joint]

    def tip(self, chain: Chain) -> np.ndarray:
        """The frame of a chain's last link in the base's, (4, 4)."""
        where = world_frame(self.model, self.data, chain.tip)
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = self.rotation @ where[:3, :3], self.local(where[:3, 3])
        return local

    def com(self) -> np.ndarray:
        return self.local(self.data.subtree_com[self.root])

    def foot(self, leg: Leg) -> np.ndarray:
        """The middle of a flat sole, or the lowest point of a round foot, in the base's frame (3,)."""
        tip = self.tip(leg.chain)
        if leg.sole.flat:
            home = leg.chain.tip.bodies[leg.sole.body]
            return tip[:3, :3] @ (home[:3, :3] @ leg.sole.position + home[:3, 3]) + tip[:3, 3]
        return tip[:3, :3] @ leg.chain.cloud.lowest(-tip[2, :3]) + tip[:3, 3]

    def up(self, leg: Leg) -> np.ndarray:
        """The sole's upward normal in the base's frame (3,)."""
        return self.tip(leg.chain)[:3, :3] @ leg.chain.tip.bodies[leg.sole.body][:3, :3] @ leg.sole.up

    def along(self, leg: Leg) -> np.ndarray | None:
        """Direction of the sole's length in the base's frame (3,); None if it has none."""
        along = leg.sole.along
        return None if along is None else self.tip(leg.chain)[:3, :3] @ leg.chain.tip.bodies[leg.sole.body][:3, :3] @ along

    def lowest(self, leg: Leg) -> float:
        """Height of the lowest point of a leg's last link in the base's frame [m]."""
        tip = self.tip(leg.chain)
        return float((tip[:3, :3] @ leg.chain.cloud.lowest(-tip[2, :3]) + tip[:3, 3])[2])

    def length(self, leg: Leg) -> float:
        """Distance from hip to ankle, or to the foot if there is no ankle [m]."""
        own = leg.chain.own
        end = self.anchor(own[-1]) if leg.sole.flat else self.foot(leg)
        return float(np.linalg.norm(end - self.anchor(own[leg.hip])))

    def _leg(self, chain: Chain) -> Leg:
        own = chain.own
        down = -self.tip(chain)[2, :3]
        tip = float(np.linalg.norm(chain.cloud.points - own[-1].anchor, axis=1).max())
        anchors = [self.anchor(link) for link in own]
        steps = [float(np.linalg.norm(b - a)) for a, b in itertools.pairwise(anchors)]
        sole = find_sole(self.model, chain, down, sum(steps) + tip)
        if sole.flat:
            return Leg(chain, sole, self._farthest(own), float(np.sign(anchors[0][1]) or 1.0), 0)
        # the hip ends before the first long link
        hip = next((i for i, step in enumerate([*steps, tip]) if step > 0.25 * (sum(steps) + tip)), 0)
        return Leg(chain, sole, sum(steps[hip:]) + tip, float(np.sign(anchors[0][1]) or 1.0), hip)

    def _farthest(self, own: list[Link]) -> float:
        """Largest distance between the last and first joint of a chain within the ranges [m], by coordinate ascent."""
        qpos, best = self.qpos.copy(), 0.0
        for _ in range(2):
            for link in own[1:-1]:
                address = self.model.jnt_qposadr[link.joint]
                kept = qpos[address]
                for angle in np.linspace(*limited(self.model, link.joint), 25):
                    qpos[address] = angle
                    self.place(qpos)
                    distance = float(np.linalg.norm(self.anchor(own[-1]) - self.anchor(own[0])))
                    if distance > best + 1e-6:
                        best, kept = distance, angle
                qpos[address] = kept
        self.place(self.qpos)
        return best

    def ankle_height(self, leg: Leg) -> float:
        """Height of the last joint above a flat sole [m]."""
        return float(self.up(leg) @ (self.anchor(leg.chain.own[-1]) - self.foot(leg))) if leg.sole.flat else 0.0

    def sprawls(self, leg: Leg) -> bool:
        """Whether a leg begins with a vertical axis and has no ankle: an insect's."""
        return not leg.sole.flat and abs(self.axis(leg.chain.own[0])[2]) > 0.8


class Search:
    """Angles of the left side's joints as a vector, and the residual of a stance."""

    def __init__(self, stance: Stance, qpos: np.ndarray, joints: list[Link]) -> None:
        self.stance, self.model, self.base_qpos = stance, stance.model, qpos.copy()
        images = stance.mirror.joints
        chosen: set[str] = set()
        self.free: list[Link] = []
        for link in joints:
            if link.name not in chosen:
                self.free.append(link)
                chosen |= {link.name, images.get(link.name, (link.name, 1.0))[0]}
        self.addresses = [self.model.jnt_qposadr[link.joint] for link in self.free]
        bounds = [self._bounds(link) for link in self.free]
        self.low, self.high = (np.array([bound[i] for bound in bounds]) for i in (0, 1))
        self.neutral = np.clip(self.base_qpos[self.addresses], self.low, self.high)

    def _bounds(self, link: Link) -> tuple[float, float]:
        """The range that a joint and its mirror image share."""
        low, high = _bounds(self.model, link.joint)
        image, sign = self.stance.mirror.joints.get(link.name, (link.name, 1.0))
        if image == link.name and sign < 0:  # a joint in the middle stays at the angle that is its own mirror image
            middle = float(np.clip(self.stance.mirror.offsets[link.name] / 2, low, high))
            return middle, middle + 1e-6
        if image != link.name:
            ends = sorted(sign * (end - self.stance.mirror.offsets[link.name]) for end in _bounds(self.model, self.model.joint(image).id))
            both = max(low, ends[0]), min(high, ends[1])
            if both[0] < both[1]:
                return both
        return low, high

    def full(self, angles: np.ndarray) -> np.ndarray:
        qpos = self.base_qpos.copy()
        for link, angle in zip(self.free, angles, strict=True):
            qpos[self.model.jnt_qposadr[link.joint]] = angle
            if link.name in self.stance.mirror.joints:
                image, sign = self.stance.mirror.joints[link.name]
                if image != link.name:
                    address = self.model.jnt_qposadr[self.model.joint(image).id]
                    low, high = limited(self.model, self.model.joint(image).id, np.inf)
                    qpos[address] = np.clip(sign * angle + self.stance.mirror.offsets[link.name], low, high)
        return qpos

    def solve(self, start: np.ndarray, residual: Residual) -> tuple[np.ndarray, float]:
        """The nearest minimum of |residual|^2 from a start; the residual is computed with the stance placed. Returns angles and cost."""

        def vectorized(angles: np.ndarray) -> np.ndarray:
            columns = []
            for column in angles.T:
                self.stance.place(self.full(column))
                columns.append(residual(column))
            return np.stack(columns, axis=1)

        answer, _ = minimize.least_squares(
            np.clip(start, self.low, self.high)[:, None], vectorized, bounds=[self.low[:, None], self.high[:, None]],
            verbose=0, max_iter=40, xtol=1e-5, gtol=1e-6,
        )  # fmt: skip
        answer = answer.flatten()
        self.stance.place(self.full(answer))
        return answer, float(np.sum(residual(answer) ** 2))


def _bounds(model: mujoco.MjModel, joint: int) -> tuple[float, float]:
    low, high = limited(model, joint)
    low, high = max(low, -np.pi), min(high, np.pi)
    if high - low < 1e-6:
        return low, low + 1e-6
    margin = min(0.15, MARGIN * (high - low))
    return low + margin, high - margin
