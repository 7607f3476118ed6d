"""Finds a standing pose for a legged robot: soles flat on one level, feet below the hips, centre of mass over them, knees bent to push off.

Found by bounded least squares over the joints of the left legs (the right ones are mirrored), from several starts, with a level base. A
named pose of the file (a keyframe `home` or `stand`) is used instead if it is good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.describe.hanging import place_arms
from envs.robots.describe.limbs import Limbs, limited, neutral
from envs.robots.describe.soles import find_sole
from envs.robots.describe.stance import Leg, Search, Stance
from envs.robots.describe.symmetry import Mirror

BIPED_RATIO, RATIO = 0.93, 0.72  # length of the standing leg, hip to ankle or foot, as a share of the straight one
STARTS = 10
LEAST_MARGIN = 0.03  # of the legs' length
SPRAWL_OUT, SPRAWL_UP = 0.55, 0.4  # of the straight leg, if its first axis is vertical, as in an insect's


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A standing pose.

    Attributes:
        qpos: of the whole robot (nq,), with a level base at the height at which the lowest foot touches the ground.
        height: of the base's origin above the ground [m].
        legs: the legs with their soles.
        leg_length: mean length of the straight legs [m].
        bent: length of the standing leg as a share of the straight one.
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


def find_standing(model: mujoco.MjModel, limbs: Limbs, mirror: Mirror, keys: Mapping[str, Mapping[str, float]] | None = None) -> Standing:
    """Find a standing pose: a good one among the file's keyframes, or by search.

    Args:
        model: the robot alone.
        limbs: its limbs, including legs.
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
    qpos = place_arms(stance, qpos)
    qpos = _place_legs(stance, qpos)
    return _judge(stance, qpos, "found: feet below the hips, soles level, centre of mass over them, knees bent")


def _place_legs(stance: Stance, qpos: np.ndarray) -> np.ndarray:
    legs, size = stance.legs, stance.leg_length
    biped = len(legs) == 2
    ratio = BIPED_RATIO if biped else RATIO
    search = Search(stance, qpos, [link for leg in legs for link in leg.chain.links if link in leg.chain.own])
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
                along = stance.along(leg)
                terms.append(0.0 if along is None else 2 * along[1])  # toes forward
            knee = _knee(stance, leg)
            if knee is not None:  # a biped's knees point forward; a quadruped's front ones backward, its hind ones either way
                bend = (knee[0] - (hip[0] + foot[0]) / 2) / size
                front = hip[0] > stance.com()[0]
                terms.append(0.3 * min(0.0, bend - 0.1) if biped else (0.4 if front else 0.1) * max(0.0, bend + 0.1))
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


def _bent_starts(stance: Stance, search: Search, sides: list[Leg]) -> list[np.ndarray]:
    """Start values with hip and knee bent either way."""
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
    """The horizontal direction of an insect's leg away from the body, (2,)."""
    hip = stance.anchor(leg.chain.own[0])
    off = stance.tip(leg.chain)[:2, 3] - hip[:2]
    if np.linalg.norm(off) < 0.1 * leg.straight:
        off = np.array([0.0, leg.side])
    return off / np.linalg.norm(off)


def _knee(stance: Stance, leg: Leg) -> np.ndarray | None:
    rest = leg.chain.own[leg.hip + 1 :]
    return stance.anchor(rest[0]) if rest else None


def _judge(stance: Stance, qpos: np.ndarray, source: str) -> Standing:
    """Evaluate a pose."""
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
    if margin < -LEAST_MARGIN * size:  # two points only span a line
        faults.append(f"the centre of mass is {-margin:.3f} m outside the feet")
    if ground > -0.3 * size:
        faults.append("the feet are not below the body")
    for joint, (image, sign) in stance.mirror.joints.items():
        here, there = (float(qpos[stance.model.jnt_qposadr[stance.model.joint(name).id]]) for name in (joint, image))
        if joint < image and abs(there - sign * here - stance.mirror.offsets[joint]) > 0.02:
            faults.append(f"{joint} and {image} are not mirror images")
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
    """For round feet, the sole is the lowest point in this pose."""
    for leg in stance.legs:
        if not leg.sole.flat:
            down = -stance.tip(leg.chain)[2, :3]
            leg.sole = find_sole(stance.model, leg.chain, down, leg.straight)


def _support(stance: Stance) -> np.ndarray:
    """The horizontal coordinates of the points that touch the ground, (S, 2)."""
    points = []
    for leg in stance.legs:
        tip = stance.tip(leg.chain)
        touching = leg.chain.cloud.support(-tip[2, :3], 0.01 * leg.straight)
        points.append((touching @ tip[:3, :3].T + tip[:3, 3])[:, :2])
    return np.concatenate(points)


def _inside(points: np.ndarray, point: np.ndarray) -> float:
    """Distance of a point from the edge of the convex hull of points (S, 2) [m], positive inside; outside, negative along the worst
    direction.
    """
    directions = np.array([(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 180, endpoint=False)])
    return float(((points @ directions.T).max(axis=0) - directions @ point).min())
