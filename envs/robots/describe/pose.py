"""A standing pose for a legged robot: soles flat on one level, feet below the hips, centre of mass over them, knees bent to push off.

Found by bounded least squares over the joints of the left legs (the right ones are their mirror images), from several starts, in a frame
with the base level. A pose that the file names (a keyframe `home`, `stand`) is taken instead where it is a good one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco import minimize

from envs.robots.describe.limbs import Chain, Limbs, Sole, find_sole, limited, neutral, world_frame
from envs.robots.describe.links import Link, root_body
from envs.robots.describe.symmetry import Mirror

BIPED_RATIO, RATIO = 0.93, 0.72  # of the straight leg that the standing one has, of hip to ankle or foot
STARTS = 10
MARGIN = 0.08  # of a range that is left at its ends, at most 0.15 rad
SPRAWL_OUT, SPRAWL_UP = 0.55, 0.4  # of the straight leg, where its first axis is vertical, as an insect's
HANGING = np.array([0.25, 0.2, -0.94])  # from shoulder to hand, forward, outward and up


@dataclass(eq=False)
class Leg:
    """A leg with its measures: `straight` is from its hip to its foot when it is stretched [m]."""

    chain: Chain
    sole: Sole
    straight: float
    side: float
    hip: int
    """Index in `chain.own` of the last joint of the hip, from which the leg's length counts."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A pose to stand in.

    Attributes:
        qpos: of the whole robot (nq,), the base level, its height set so that the lowest foot touches the ground.
        height: of the base's origin above the ground [m].
        legs: with their soles.
        leg_length: mean length of the straight legs [m].
        bent: length of the standing leg against the straight one.
        margin: how far the centre of mass is inside the feet's polygon [m]; negative outside.
        source: where the pose comes from.
        faults: what is wrong with it.
    """

    qpos: np.ndarray
    height: float
    legs: list[Leg]
    leg_length: float
    bent: float
    margin: float
    source: str
    faults: tuple[str, ...] = ()


class Stance:
    """The robot's kinematics as the search needs them, in the frame of the level base."""

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

    def lowest(self, leg: Leg) -> float:
        """Height of the lowest point of a leg's last link in the base's frame [m]."""
        tip = self.tip(leg.chain)
        return float((tip[:3, :3] @ leg.chain.cloud.lowest(-tip[2, :3]) + tip[:3, 3])[2])

    def length(self, leg: Leg) -> float:
        """From hip to ankle, or to the foot without one [m]."""
        own = leg.chain.own
        end = self.anchor(own[-1]) if leg.sole.flat else self.foot(leg)
        return float(np.linalg.norm(end - self.anchor(own[leg.hip])))

    def _leg(self, chain: Chain) -> Leg:
        own = chain.own
        down = -self.tip(chain)[2, :3]
        shape = chain.cloud.points if len(chain.cloud) else chain.tip.com[None]
        ankle = own[-1].anchor
        tip = float(np.linalg.norm(shape - ankle, axis=1).max())
        anchors = [self.anchor(link) for link in own]
        steps = [float(np.linalg.norm(b - a)) for a, b in zip(anchors, anchors[1:], strict=False)]
        sole = find_sole(self.model, chain, down, sum(steps) + tip)
        if sole.flat:
            return Leg(chain, sole, self._farthest(own), float(np.sign(anchors[0][1]) or 1.0), 0)
        # the hip ends before the first long link
        hip = next((i for i, step in enumerate([*steps, tip]) if step > 0.25 * (sum(steps) + tip)), 0)
        return Leg(chain, sole, sum(steps[hip:]) + tip, float(np.sign(anchors[0][1]) or 1.0), hip)

    def _farthest(self, own: list[Link]) -> float:
        """How far the ranges let the last joint of a chain be from its first [m], by going up along one joint after another."""
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
        """Of the last joint above a flat sole [m]."""
        return float(self.up(leg) @ (self.anchor(leg.chain.own[-1]) - self.foot(leg))) if leg.sole.flat else 0.0

    def sprawls(self, leg: Leg) -> bool:
        """Whether a leg begins with a vertical axis and has no ankle: an insect's."""
        return not leg.sole.flat and abs(self.axis(leg.chain.own[0])[2]) > 0.8


def _bounds(model: mujoco.MjModel, joint: int) -> tuple[float, float]:
    low, high = limited(model, joint)
    low, high = max(low, -np.pi), min(high, np.pi)
    if high - low < 1e-6:
        return low, low + 1e-6
    margin = min(0.15, MARGIN * (high - low))
    return low + margin, high - margin


class _Search:
    """Angles of the left side's joints as a vector, and what is wrong with a stance."""

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
        bounds = [_bounds(self.model, link.joint) for link in self.free]
        self.low, self.high = (np.array([bound[i] for bound in bounds]) for i in (0, 1))
        self.neutral = np.clip(self.base_qpos[self.addresses], self.low, self.high)

    def full(self, angles: np.ndarray) -> np.ndarray:
        qpos = self.base_qpos.copy()
        for link, angle in zip(self.free, angles, strict=True):
            qpos[self.model.jnt_qposadr[link.joint]] = angle
            if link.name in self.stance.mirror.joints:
                image, sign = self.stance.mirror.joints[link.name]
                if image != link.name:
                    address = self.model.jnt_qposadr[self.model.joint(image).id]
                    qpos[address] = sign * angle + self.stance.mirror.offsets[link.name]
        return qpos

    def solve(self, start: np.ndarray, residual) -> tuple[np.ndarray, float]:
        """The nearest minimum of |residual|^2 from a start; the residual sees the stance placed. Returns angles and cost."""

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


def find_standing(model: mujoco.MjModel, limbs: Limbs, mirror: Mirror, keys: Mapping[str, Mapping[str, float]] | None = None) -> Standing:
    """Find a pose to stand in: a good one of the file's keyframes, or one that is searched for.

    Args:
        model: the robot alone.
        limbs: its limbs, legs among them.
        mirror: its symmetry.
        keys: name -> joint -> angle, the file's keyframes.
    """
    stance = Stance(model, limbs, mirror)
    for name in sorted(keys or {}, key=lambda key: (not any(word in key.lower() for word in ("stand", "home", "default", "init")), key)):
        qpos = neutral(model)
        for joint, angle in (keys or {})[name].items():
            if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, joint) >= 0:
                qpos[model.jnt_qposadr[model.joint(joint).id]] = angle
        found = _judge(stance, qpos, f"keyframe {name} of the file")
        if not found.faults and (len(stance.legs) > 2 or found.bent < 0.985):
            return found
    qpos = neutral(model)
    qpos = _place_arms(stance, qpos)
    qpos = _place_legs(stance, qpos)
    return _judge(stance, qpos, "found: feet below the hips, soles level, centre of mass over them, knees bent")


def _place_legs(stance: Stance, qpos: np.ndarray) -> np.ndarray:
    legs, size = stance.legs, stance.leg_length
    biped = len(legs) == 2
    ratio = BIPED_RATIO if biped else RATIO
    search = _Search(stance, qpos, [link for leg in legs for link in leg.chain.links if link in leg.chain.own])
    random = np.random.default_rng(0)
    wanted = {leg.chain.own[0].name: leg for leg in legs}
    sides = [leg for leg in wanted.values() if any(link in search.free for link in leg.chain.own)]
    stance.place(qpos)
    outward = {id(leg): _outward(stance, leg) for leg in legs}
    yaw = np.array([abs(stance.axis(link)[2]) > 0.8 for link in search.free])

    def residual(angles: np.ndarray) -> np.ndarray:
        feet = np.array([stance.foot(leg) for leg in legs])
        ground = feet[:, 2].mean()
        terms: list[float] = []
        for leg in sides:
            hip, foot = stance.anchor(leg.chain.own[leg.hip]), stance.foot(leg)
            terms.append(10 * (foot[2] - ground) / size)
            if stance.sprawls(leg):
                reach = foot[:2] - hip[:2] - SPRAWL_OUT * leg.straight * outward[id(leg)]
                terms += [*(3 * reach / size), 3 * ((foot[2] - hip[2]) / leg.straight + SPRAWL_UP)]
                continue
            terms.append(8 * (stance.length(leg) / leg.straight - ratio))
            rest = np.array([stance.anchor(link)[1] for link in leg.chain.own[leg.hip :]])
            terms.append(4 * (foot[1] - rest.mean()) / size)
            terms.append((0.5 if biped else 2.0) * (foot[0] - hip[0]) / size)
            if leg.sole.flat:
                up = stance.up(leg)
                terms += [5 * up[0], 5 * up[1]]
            knee = _knee(stance, leg)
            if knee is not None:  # a person's knees point forward, a dog's hind legs' too, but robots' mostly backward
                bend = (knee[0] - (hip[0] + foot[0]) / 2) / size
                terms.append(0.3 * min(0.0, bend - 0.1) if biped else 0.1 * max(0.0, bend + 0.1))
        terms.append((10.0 if biped else 1.5) * (stance.com()[0] - feet[:, 0].mean()) / size)
        return np.concatenate([terms, np.where(yaw, 0.3, 0.03) * (angles - search.neutral)])

    best, least = search.neutral, np.inf
    starts = [search.neutral, (search.low + search.high) / 2, *_bent_starts(stance, search, sides)]
    starts += [random.uniform(search.low, search.high) for _ in range(max(0, STARTS - len(starts)))]
    for start in starts:
        answer, cost = search.solve(start, residual)
        if cost < least - 1e-4:
            best, least = answer, cost
    return search.full(best)


def _bent_starts(stance: Stance, search: _Search, sides: list[Leg]) -> list[np.ndarray]:
    """Starts with hip and knee bent either way."""
    starts = []
    for bend in (1.0, -1.0):
        start = search.neutral.copy()
        for leg in sides:
            own = leg.chain.own
            for index, link in enumerate(search.free):
                if link in own and abs(stance.axis(link)[1]) > 0.7:
                    along = np.sign(stance.axis(link)[1])
                    place = own.index(link)
                    amount = 0.6 if place <= leg.hip else -1.2 if place == leg.hip + 1 else 0.6
                    start[index] += along * bend * amount
        starts.append(start)
    return starts


def _outward(stance: Stance, leg: Leg) -> np.ndarray:
    """The horizontal direction in which an insect's leg stretches from the body, (2,)."""
    hip = stance.anchor(leg.chain.own[0])
    off = stance.tip(leg.chain)[:2, 3] - hip[:2]
    if np.linalg.norm(off) < 0.1 * leg.straight:
        off = np.array([0.0, leg.side])
    return off / np.linalg.norm(off)


def _knee(stance: Stance, leg: Leg) -> np.ndarray | None:
    rest = leg.chain.own[leg.hip + 1 :]
    return stance.anchor(rest[0]) if rest else None


def _place_arms(stance: Stance, qpos: np.ndarray) -> np.ndarray:
    """Arms of a pair hang at the sides, slightly bent; one in the middle of a back is drawn in over it."""
    for chain in stance.limbs.arms:
        search = _Search(stance, qpos, chain.own)
        image = stance.mirror.joints.get(chain.tip.name, (chain.tip.name, 1.0))[0]
        alone = image == chain.tip.name
        if not alone and image < chain.tip.name and any(other.tip.name == image for other in stance.limbs.arms):
            continue  # it follows the other
        stance.place(qpos)
        side = np.sign(stance.anchor(chain.own[0])[1]) or 1.0
        direction = np.array([0.35, 0.0, 0.3]) if alone else 0.93 * HANGING * [1, side, 1]
        elbow = chain.own[len(chain.own) // 2]

        def residual(
            angles: np.ndarray,
            chain: Chain = chain,
            search: _Search = search,
            alone: bool = alone,
            side: float = side,
            direction: np.ndarray = direction,
            elbow: Link = elbow,
        ) -> np.ndarray:
            shoulder = stance.anchor(chain.own[0])
            tip = stance.tip(chain)
            shape = chain.cloud.points if len(chain.cloud) else chain.tip.com[None]
            hand = tip[:3, :3] @ shape.mean(axis=0) + tip[:3, 3]
            terms = [(hand - shoulder) / chain.reach - direction]
            upper = stance.anchor(elbow) - shoulder
            if not alone and np.linalg.norm(upper) > 0.2 * chain.reach:
                terms.append(upper / np.linalg.norm(upper) - np.array([0.0, 0.2 * side, -0.97]))
            return np.concatenate([*terms, 0.05 * (angles - search.neutral)])

        best, least = search.neutral, np.inf
        random = np.random.default_rng(0)
        for start in (search.neutral, *(random.uniform(search.low, search.high) for _ in range(4))):
            answer, cost = search.solve(start, residual)
            if cost < least - 1e-3:
                best, least = answer, cost
        qpos = search.full(best)
    return qpos


def _judge(stance: Stance, qpos: np.ndarray, source: str) -> Standing:
    """What a pose is good for."""
    stance.place(qpos)
    feet = np.array([stance.foot(leg) for leg in stance.legs])
    size = stance.leg_length
    faults: list[str] = []
    ground = float(min(stance.lowest(leg) for leg in stance.legs))
    spread = float(np.ptp(feet[:, 2]))
    if spread > 0.03 * size:
        faults.append(f"the feet are not on one level: {spread:.3f} m apart")
    tilted = [leg for leg in stance.legs if leg.sole.flat and stance.up(leg)[2] < 0.995]
    if tilted:
        faults.append("the soles are not flat on the ground")
    bent = float(np.mean([stance.length(leg) / leg.straight for leg in stance.legs]))
    margin = _inside(_support(stance), stance.com()[:2])
    if margin < 0.0:
        faults.append(f"the centre of mass is {-margin:.3f} m outside the feet")
    if ground > -0.3 * size:
        faults.append("the feet are not below the body")
    for joint, (image, sign) in stance.mirror.joints.items():
        here, there = (float(qpos[stance.model.jnt_qposadr[stance.model.joint(name).id]]) for name in (joint, image))
        if joint < image and abs(there - sign * here - stance.mirror.offsets[joint]) > 0.02:
            faults.append(f"{joint} and {image} are no mirror images")
    for link in stance.limbs.joints:
        low, high = limited(stance.model, link.joint)
        angle = float(qpos[stance.model.jnt_qposadr[link.joint]])
        if stance.model.jnt_limited[link.joint] and not low - 1e-3 <= angle <= high + 1e-3:
            faults.append(f"{link.name} is outside its range")
    _turn_soles(stance)
    return Standing(
        qpos=qpos.copy(), height=-ground, legs=stance.legs, leg_length=size, bent=bent, margin=margin, source=source, faults=tuple(faults)
    )


def _turn_soles(stance: Stance) -> None:
    """Round feet: the sole is the point that is lowest in this pose."""
    for leg in stance.legs:
        if not leg.sole.flat:
            down = -stance.tip(leg.chain)[2, :3]
            leg.sole = find_sole(stance.model, leg.chain, down, leg.straight)


def _support(stance: Stance) -> np.ndarray:
    """The points that touch the ground, horizontal, (S, 2)."""
    points = []
    for leg in stance.legs:
        tip = stance.tip(leg.chain)
        touching = leg.chain.cloud.support(-tip[2, :3], 0.01 * leg.straight)
        points.append((touching @ tip[:3, :3].T + tip[:3, 3])[:, :2])
    return np.concatenate(points)


def _inside(points: np.ndarray, point: np.ndarray) -> float:
    """How far a point is inside the convex hull of points (S, 2) [m]; negative outside (then along the worst direction)."""
    directions = np.array([(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 180, endpoint=False)])
    return float(((points @ directions.T).max(axis=0) - directions @ point).min())
