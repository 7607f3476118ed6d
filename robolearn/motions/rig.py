"""The table person -> robot: which points of a robot are its hips, knees, ankles, shoulders, elbows and wrists, found from its model.

Names are not used. A leg is the chain of joints to a foot, an arm a chain with a left-right image and without a foot. A hip, an ankle and a
shoulder are points where the axes of several joints (nearly) meet; a knee is the second joint of a leg that swings it fore and aft; an
elbow is the joint that bends an arm closest to its middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.robot import Robot
from envs.robots.spots import foot_site
from robolearn.errors import UserError
from robolearn.evaluation.gait.anatomy import Anatomy
from robolearn.evaluation.gait.soles import Sole
from robolearn.evaluation.locomotion.limbs import bodies_above

Spot = tuple[np.ndarray, int]
"""A place in the world [m], (3,), and the id of the body that it is fixed to."""
ALONG = 0.5  # cosine between an axis and the limb, below which the joint bends the limb rather than rolling it


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of a body: the body's id and the place in its frame [m], (3,)."""

    body: int
    local: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Limb:
    """A leg or an arm: hip, knee, ankle or shoulder, elbow, wrist; lengths of its two parts [m], and the joints that move it."""

    points: tuple[Point, Point, Point]
    upper: float
    lower: float
    joints: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A humanoid's limbs, left before right.

    Attributes:
        robot: the robot.
        anatomy: its trunk and soles.
        pelvis: id of the body from which the legs branch off.
        chest: id of the body from which the arms branch off; the trunk if there are none.
        hips: middle of both hips, of the pelvis.
        level: attitudes of pelvis and chest in the default pose with the base upright, (2, 3, 3).
        legs: left and right.
        arms: left and right; empty if it has none.
        feet: which of the robot's feet belongs to the left and to the right leg.
        neutral: angle to which each joint is drawn without another target [rad], (J,).
        stand_height: height of the middle of the hips above the soles with straight legs [m].
        upright: attitude of each sole's body with flat soles and toes ahead, (2, 3, 3).
    """

    robot: Robot
    anatomy: Anatomy
    pelvis: int
    chest: int
    hips: Point
    level: np.ndarray
    legs: tuple[Limb, Limb]
    arms: tuple[Limb, ...]
    feet: tuple[int, int]
    neutral: np.ndarray
    stand_height: float
    upright: np.ndarray

    @property
    def soles(self) -> tuple[Sole, Sole]:
        """Soles of the left and the right foot."""
        return self.anatomy.soles[self.feet[0]], self.anatomy.soles[self.feet[1]]

    def table(self) -> list[tuple[str, str]]:
        """The person's landmarks and the robot's bodies, as text."""
        model, rows = (
            self.anatomy.model,
            [("pelvis", self.anatomy.model.body(self.pelvis).name), ("chest", self.anatomy.model.body(self.chest).name)],
        )
        for limbs, names in ((self.legs, ("hip", "knee", "ankle")), (self.arms, ("shoulder", "elbow", "wrist"))):
            for side, limb in zip(("left", "right"), limbs, strict=False):
                rows += [(f"{side} {name}", model.body(point.body).name) for name, point in zip(names, limb.points, strict=True)]
        return rows

    @staticmethod
    def of(robot: Robot) -> Rig:
        """Find a humanoid's limbs.

        Raises:
            UserError: it does not stand on two feet, one left and one right, with knees in their legs.
        """
        if len(robot.feet) != 2:
            raise UserError(f"{robot.where} stands on {len(robot.feet)} feet; people's motions can only be retargeted to robots with two")
        anatomy = Anatomy.of(robot)
        if any(knee is None for knee in anatomy.knees):
            raise UserError(f"{robot.where}: a leg has no knee, which is a second joint that swings it fore and aft")
        pose = _Pose(robot, anatomy)
        sides = [pose.data.site(foot_site(name)).xpos[1] - pose.data.xpos[pose.base][1] for name in robot.feet]
        if sides[0] * sides[1] >= 0:
            raise UserError(f"{robot.where}: its feet do not stand one left and one right of the base's x axis")
        feet = (0, 1) if sides[0] > 0 else (1, 0)
        pelvis = pose.branching([anatomy.soles[foot].body for foot in feet])
        legs = tuple(pose.leg(foot, pelvis) for foot in feet)
        arms = pose.arms()
        chest = arms[0].points[0].body if arms else anatomy.trunk
        soles = [anatomy.soles[foot] for foot in feet]
        places = [sole.places(pose.data.xpos[sole.body][None], pose.data.xmat[sole.body].reshape(1, 3, 3)) for sole in soles]
        lowest = min(float(sole.height(place)[0]) for sole, place in zip(soles, places, strict=True))
        ankle = np.mean([pose.at(leg.points[2])[2] for leg in legs]) - lowest
        return Rig(
            robot=robot,
            anatomy=anatomy,
            pelvis=pelvis,
            chest=chest,
            hips=Point(body=pelvis, local=(legs[0].points[0].local + legs[1].points[0].local) / 2),
            level=np.stack([pose.data.xmat[body].reshape(3, 3).copy() for body in (pelvis, chest)]),
            legs=(legs[0], legs[1]),
            arms=arms,
            feet=feet,
            neutral=np.array(robot.default_pose),
            stand_height=float(np.mean([leg.upper + leg.lower for leg in legs]) + ankle),
            upright=np.stack([pose.data.xmat[sole.body].reshape(3, 3).copy() for sole in soles]),
        )


class _Pose:
    """The robot in its default pose, for finding its limbs."""

    def __init__(self, robot: Robot, anatomy: Anatomy) -> None:
        self.robot, self.anatomy, self.model = robot, anatomy, anatomy.model
        self.data = mujoco.MjData(self.model)
        self.base = self.model.body(robot.base).id
        mujoco.mj_resetDataKeyframe(self.model, self.data, self.model.key("stand").id)
        mujoco.mj_kinematics(self.model, self.data)
        self.ids = [self.model.joint(name).id for name in robot.joint_names]

    def at(self, point: Point) -> np.ndarray:
        """The position of a point [m], (3,)."""
        return self.data.xpos[point.body] + self.data.xmat[point.body].reshape(3, 3) @ point.local

    def branching(self, bodies: list[int]) -> int:
        """The last common ancestor of two bodies."""
        one, other = (bodies_above(self.model, body) for body in bodies)
        return next(body for body in one if body in other)

    def leg(self, foot: int, pelvis: int) -> Limb:
        """The leg of a foot, from the pelvis."""
        sole = self.anatomy.soles[foot]
        below = set(bodies_above(self.model, pelvis))
        chain = [joint for joint in self._joints(sole.body) if self._body(joint) not in below]
        knee = self.anatomy.knees[foot]
        assert knee is not None
        place = chain.index(knee)
        before, behind = chain[:place], chain[place + 1 :]
        middle = self.data.xanchor[self.ids[knee]].copy()
        first = self._meeting(before, middle)
        last = self._meeting(behind, self.data.xpos[sole.body]) if behind else self.data.xpos[sole.body].copy()
        return self._limb((first, pelvis), (middle, self._body(knee)), (last, sole.body), chain)

    def arms(self) -> tuple[Limb, ...]:
        """The arms, left and right; none unless there is one of each."""
        able = set(self.anatomy.limbs.arms)
        tips: dict[bool, list[int]] = {True: [], False: []}
        for joint in able:
            chain = self._joints(int(self.model.jnt_bodyid[self.ids[joint]]))
            own = [other for other in chain if other in able]
            left = float(self.data.xanchor[self.ids[own[0]]][1] - self.data.xpos[self.base][1]) > 0
            tips[left] = max(tips[left], own, key=len)
        if not tips[True] or not tips[False]:
            return ()
        chest = self.branching([self._body(tips[True][-1]), self._body(tips[False][-1])])
        found = [self._arm(tips[True], chest), self._arm(tips[False], chest)]
        return tuple(limb for limb in found if limb is not None) if all(found) else ()

    def _arm(self, chain: list[int], chest: int) -> Limb | None:
        """An arm from its joints, beginning at the trunk; None if no joint can be an elbow."""
        if len(chain) < 2:
            return None
        anchors = np.array([self.data.xanchor[self.ids[joint]] for joint in chain])
        hand = self._tip(int(self.model.jnt_bodyid[self.ids[chain[-1]]]), anchors[0])
        best, elbow = np.inf, 0
        for place in range(1, len(chain)):
            line = hand - anchors[place]
            length, before = float(np.linalg.norm(line)), float(np.linalg.norm(anchors[place] - anchors[0]))
            across = abs(self.data.xaxis[self.ids[chain[place]]] @ line) < ALONG * length
            if across and min(length, before) > 1e-3 and abs(length - before) < best:
                best, elbow = abs(length - before), place
        if not elbow:
            return None
        shoulder = self._meeting(chain[:elbow], anchors[elbow])
        bends = [
            place
            for place in range(elbow + 1, len(chain))
            if np.linalg.norm(anchors[place] - anchors[elbow]) > 0.02
            and abs(self.data.xaxis[self.ids[chain[place]]] @ _unit(hand - anchors[elbow])) < ALONG
        ]
        wrist = (anchors[bends[0]], chain[bends[0]]) if bends else (hand, chain[-1])
        holds = int(self.model.body_parentid[self.model.jnt_bodyid[self.ids[wrist[1]]]]) if bends else self._body(wrist[1])
        return self._limb((shoulder, chest), (anchors[elbow], self._body(chain[elbow])), (wrist[0], holds), chain)

    def _body(self, joint: int) -> int:
        return int(self.model.jnt_bodyid[self.ids[joint]])

    def _joints(self, body: int) -> list[int]:
        """The controlled joints from the root to a body."""
        above = bodies_above(self.model, body)[::-1]
        found = [(above.index(self._body(i)), self.ids[i], i) for i in range(len(self.ids)) if self._body(i) in above]
        return [i for _, _, i in sorted(found)]

    def _limb(self, first: Spot, middle: Spot, last: Spot, chain: list[int]) -> Limb:
        """A limb from three places in the world, each fixed to a body."""
        points = [
            Point(body=body, local=self.data.xmat[body].reshape(3, 3).T @ (where - self.data.xpos[body]))
            for where, body in (first, middle, last)
        ]
        upper, lower = (float(np.linalg.norm(b[0] - a[0])) for a, b in ((first, middle), (middle, last)))
        return Limb(points=(points[0], points[1], points[2]), upper=upper, lower=lower, joints=tuple(chain))

    def _meeting(self, joints: list[int], towards: np.ndarray) -> np.ndarray:
        """The point nearest to the axes of joints, with a small pull to the last one, since parallel axes have no unique point."""
        anchors = np.array([self.data.xanchor[self.ids[joint]] for joint in joints])
        axes = np.array([self.data.xaxis[self.ids[joint]] for joint in joints])
        away = np.eye(3) - axes[:, :, None] * axes[:, None, :]
        centre = anchors[np.linalg.norm(anchors - towards, axis=1).argmin()]
        weight = 1e-2
        return np.linalg.solve(away.sum(0) + weight * np.eye(3), (away @ anchors[:, :, None]).sum(0)[:, 0] + weight * centre)

    def _tip(self, body: int, start: np.ndarray) -> np.ndarray:
        """The place of a hand: the middle of the shapes of a limb's last body, or the body's origin if it has none."""
        welded = np.flatnonzero(self.model.body_weldid[self.model.geom_bodyid] == self.model.body_weldid[body])
        if not len(welded):
            return self.data.xpos[body].copy()
        middles = self.data.geom_xpos[welded]
        return middles[np.linalg.norm(middles - start, axis=1).argmax()].copy()


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
